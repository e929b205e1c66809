"""Gives each service its cluster IP, from the lab's service network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import ClassVar

from runbook_lab.cluster.controllers.loop import Controller
from runbook_lab.cluster.metadata import Key, is_terminating
from runbook_lab.cluster.store import NotFound, Store


class ClusterIPController(Controller):
    """Assigns an address to services that need one; an address is not used a second time while the cluster lives."""

    plural: ClassVar[str] = "services"
    watched: ClassVar[tuple[str, ...]] = ("services",)

    def __init__(self, store: Store, *, take_ip: Callable[[], str]) -> None:
        super().__init__(store)
        self._take_ip = take_ip

    def reconcile(self, key: Key) -> float | None:
        """Assign one service's address."""
        namespace, name = key
        with contextlib.suppress(NotFound):
            service = self.store.get("services", name, namespace=namespace)
            spec = service["spec"]
            if not (spec.get("clusterIP") or is_terminating(service) or spec.get("type") == "ExternalName"):
                ip = self._take_ip()
                service["spec"] |= {"clusterIP": ip, "clusterIPs": [ip]}
                self.store.update("services", service, manager="service-ip-controller")
        return None
