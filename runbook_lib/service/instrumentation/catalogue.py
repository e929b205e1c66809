"""What a Prometheus has: asked while an instrumentation is looked for, and never more than the names."""

from __future__ import annotations

from typing import Protocol

from runbook_lib.service.instrumentation.promql import ANY, Matchers
from runbook_lib.service.models import Service

__all__ = ["Catalogue", "accepted_names", "pod_pattern"]

# As Kubernetes names a Deployment's pods: the replica set's hash and five letters, from an alphabet without vowels. So a word is
# no hash: orders-worker-x7k2p is a pod of a DaemonSet orders-worker. A hash made in another way has a digit in it.
_HASH = "([bcdfghjklmnpqrstvwxz2-9]{1,10}|[a-z0-9]*[0-9][a-z0-9]*)"
_SUFFIX = "[a-z0-9]{5}"


class Catalogue(Protocol):
    """The names that exist. Raises SourceError when Prometheus cannot be asked."""

    def names(self, matchers: Matchers = ANY) -> frozenset[str]:
        """Names of the metrics that have series with these labels."""

    def labels(self, metric: str, matchers: Matchers = ANY) -> frozenset[str]:
        """Names of the labels of a metric."""

    def values(self, label: str, metric: str, matchers: Matchers = ANY) -> frozenset[str]:
        """Values of a label of a metric."""

    def unanswered(self) -> tuple[str, ...]:
        """What the answers so far may lack, in words; empty when they lack nothing."""


def accepted_names(service: Service) -> tuple[str, ...]:
    """What a label may say when it means this service. Not the container's name: `app` is that of many services."""
    application, namespace = service.components.application, service.connections.kubernetes
    names = [service.name, application.deployment, application.kubernetes_service]
    known = [name for name in dict.fromkeys(names) if name]
    return tuple(known + [f"{namespace.namespace}/{name}" for name in known if namespace])


def pod_pattern(service: Service) -> str:
    """A regular expression (RE2, anchored by Prometheus) of the names of the application's pods."""
    return f"{_escaped(service.components.application.deployment)}-{_HASH}-{_SUFFIX}"


def _escaped(name: str) -> str:
    # Names of Kubernetes objects hold no other character that means something in a regular expression.
    return name.replace(".", "[.]")
