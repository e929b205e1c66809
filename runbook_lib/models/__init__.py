"""The values that travel between the layers: frozen, typed, with their units. No I/O and no clock."""
