"""Small programs that a check runs in a container, with what its image has."""
