"""What a team knows of a service: the service file, its fields, and where it is found."""

from runbook_lib.service.loading import load_service, service_file, service_from
from runbook_lib.service.models import Service
from runbook_lib.service.reference import Reference

__all__ = ["Reference", "Service", "load_service", "service_file", "service_from"]
