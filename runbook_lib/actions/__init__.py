"""Changes to real systems, all of them through `guard`: planned, checked, approved, audited, verified, undone."""
