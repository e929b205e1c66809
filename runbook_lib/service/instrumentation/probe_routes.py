"""Routes that nobody is served by: what kubelets, load balancers and Prometheus ask for.

They succeed, quickly, and all the time: counted among the requests they make a quiet service that fails look well.
"""

from __future__ import annotations

import re
from dataclasses import replace

from runbook_lib.errors import SourceError
from runbook_lib.service.instrumentation.catalogue import Catalogue
from runbook_lib.service.instrumentation.choosing import Chosen
from runbook_lib.service.models import Service

__all__ = ["only_probes", "without_probes"]

# As Kubernetes, Spring Boot, Quarkus, ASP.NET and Prometheus' own servers call them. `/live`, `/status` and `/ready/...` are not
# among them: they are pages of some services.
_USUAL = (
    "/?_?(healthz?|health[-_]?checks?|livez|liveness|readyz?|readiness|startupz?|alive|ping|metrics|prometheus)",
    "/?(q/)?health/(live|liveness|ready|readiness|started|startup|well|full)",
    "/?(q/metrics|-/healthy|-/ready|actuator(/.*)?)",
)


def without_probes(chosen: Chosen, service: Service, catalogue: Catalogue) -> Chosen:
    """The same requests without those of probes, where their route is known; all of them where they are nothing but probes."""
    route, pattern = chosen.route, "|".join(_routes(service))
    if route is None or not pattern:
        return chosen
    others = chosen.matchers.where(route, "!~", pattern)
    try:
        probed = chosen.metric in catalogue.names(chosen.matchers.where(route, "=~", pattern))
        return replace(chosen, matchers=others) if probed and chosen.metric in catalogue.names(others) else chosen
    except SourceError:
        return chosen  # a replay of an incident may lack these answers


def only_probes(chosen: Chosen, service: Service, catalogue: Catalogue) -> bool:
    """Whether every request is one of a probe, such as those of the side port of a service that speaks gRPC."""
    route, pattern = chosen.route, "|".join(_routes(service))
    if route is None or not pattern:
        return False
    try:
        return chosen.metric not in catalogue.names(chosen.matchers.where(route, "!~", pattern))
    except SourceError:
        return False


def _routes(service: Service) -> tuple[str, ...]:
    """Patterns (RE2, for whole values): those of the service file, else the usual ones and its own health path."""
    told = service.instrumentation.probe_routes
    if told is not None:
        return told
    return (*_USUAL, re.escape(service.components.application.health_path))
