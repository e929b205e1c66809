"""Read-only clients of real systems: each bounded in time and size, each answering in tidy frames."""
