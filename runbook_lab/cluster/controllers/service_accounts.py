"""Gives each namespace the service account that pods have when they name none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from runbook_lab.cluster.controllers.loop import Controller
from runbook_lab.cluster.metadata import Key, Object, is_terminating
from runbook_lab.cluster.pod_admission import DEFAULT_ACCOUNT
from runbook_lab.cluster.store import NotFound


class ServiceAccountController(Controller):
    """Makes the `default` service account of each namespace, again when somebody deletes it."""

    plural: ClassVar[str] = "namespaces"
    watched: ClassVar[tuple[str, ...]] = ("namespaces", "serviceaccounts")

    def concerned(self, plural: str, obj: Object) -> Iterable[Key]:
        """Give the namespace itself, or the one that a service account is in."""
        return [("", obj["metadata"]["name" if plural == self.plural else "namespace"])]

    def reconcile(self, key: Key) -> float | None:
        """Make one namespace's account where it is missing."""
        namespace = key[1]
        try:
            if is_terminating(self.store.get("namespaces", namespace)):
                return None
        except NotFound:
            return None
        try:
            self.store.get("serviceaccounts", DEFAULT_ACCOUNT, namespace=namespace)
        except NotFound:
            account = {"metadata": {"name": DEFAULT_ACCOUNT}}
            self.store.create("serviceaccounts", account, namespace=namespace, manager="service-account-controller")
        return None
