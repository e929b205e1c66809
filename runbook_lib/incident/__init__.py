"""One investigation, from its opening to its close."""

from runbook_lib.incident.incident import Incident, Opening
from runbook_lib.incident.investigation import Scope
from runbook_lib.incident.resolution import ResolutionSettings

__all__ = ["Incident", "Opening", "ResolutionSettings", "Scope"]
