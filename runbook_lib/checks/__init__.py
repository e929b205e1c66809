"""Investigation steps: each takes the sources and gives a Finding. They read, and never change anything."""
