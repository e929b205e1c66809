"""What can go wrong in the lab: each fault drawn from a seed, put in as it would happen, with the action that fixes it."""

from runbook_lab.faults.catalog import FAULTS, FaultType, comes_in_kinds, draw, draw_together
from runbook_lab.faults.declaration import Fault, UnknownFaultError
from runbook_lab.faults.putting_in import put_in

__all__ = ["FAULTS", "Fault", "FaultType", "UnknownFaultError", "comes_in_kinds", "draw", "draw_together", "put_in"]
