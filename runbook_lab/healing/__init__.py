"""Makes a lab well again, whatever was done to it: by our own faults, or by hand with kubectl, psql, redis-cli and signals."""

from runbook_lab.healing.heal import heal

__all__ = ["heal"]
