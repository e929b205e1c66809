"""The cluster's HTTP side: what `kubectl` and the client libraries talk to."""
