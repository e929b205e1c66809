"""Pure functions on frames and numbers: no I/O, no clock, no globals."""
