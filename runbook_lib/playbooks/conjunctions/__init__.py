"""What signs say together, of the issues that have many such rules."""
