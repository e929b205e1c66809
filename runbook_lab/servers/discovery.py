"""Tells Prometheus of the pods.

Prometheus has a discovery of its own for Kubernetes, but Debian's build is made without it. So the lab writes the same targets,
with the labels that the usual relabelling gives them, into a file that Prometheus watches.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runbook_lab.cluster.following import follow
from runbook_lab.cluster.store import Store

_SCRAPE = "prometheus.io/scrape"
_VERSION = "app.kubernetes.io/version"


class Targets:
    """Keeps a file of scrape targets: the running pods that ask to be scraped."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._write()

    async def run(self) -> None:
        """Follow the pods, and write, until cancelled."""
        async for _ in follow(self._store, "pods"):
            self._write()

    def _write(self) -> None:
        text = json.dumps(targets(self._store.list("pods")), indent=1)
        if not self._path.exists() or self._path.read_text(encoding="utf-8") != text:
            fresh = self._path.with_suffix(".new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self._path)


def targets(pods: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the targets of pods in Prometheus' form, with labels namespace, pod, service (from `app`) and version."""
    found = []
    for pod in pods:
        metadata, status = pod["metadata"], pod.get("status") or {}
        wanted = (metadata.get("annotations") or {}).get(_SCRAPE) == "true"
        ports = [port["containerPort"] for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
        if not (wanted and ports and status.get("podIP") and status.get("phase") == "Running"):
            continue
        labels = metadata.get("labels") or {}
        described = {
            "namespace": metadata["namespace"],
            "pod": metadata["name"],
            "service": labels.get("app", ""),
            "version": labels.get(_VERSION, ""),
        }
        found.append({"targets": [f"{status['podIP']}:{ports[0]}"], "labels": described})
    return found
