"""The cluster's names, as hosts files: one per namespace, since short names mean the services of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

from runbook_lab.cluster.following import follow
from runbook_lab.cluster.metadata import Object
from runbook_lab.cluster.store import Store

_DOMAIN = "cluster.local"
_SERVICE_LABEL = "kubernetes.io/service-name"


class HostsFiles:
    """Keeps `<namespace>.hosts` in a directory; each file is replaced as a whole, so that no reader sees half of one."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._changed = asyncio.Event()
        self._addresses: dict[str, dict[str, list[str]]] = {}

    def path(self, namespace: str) -> Path:
        """Give the file for the processes of a namespace."""
        return self._directory / f"{namespace}.hosts"

    def addresses(self, name: str, namespace: str) -> list[str] | None:
        """Give the addresses of a name as seen from a namespace; None when there is no such name."""
        return self._addresses.get(namespace, {}).get(name)

    async def run(self) -> None:
        """Follow services and endpoints, and write, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for plural in ("services", "endpointslices"):
                tasks.create_task(self._follow(plural))
            tasks.create_task(self._write_changes())

    async def _follow(self, plural: str) -> None:
        async for _ in follow(self._store, plural):
            self._changed.set()

    async def _write_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for namespace in {service["metadata"]["namespace"] for service in self._store.list("services")}:
                self._write(namespace)

    def _write(self, namespace: str) -> None:
        lines: list[str] = []
        known: dict[str, list[str]] = {}
        for service in self._store.list("services"):
            name = service["metadata"]["name"]
            slices = self._store.list("endpointslices", namespace=service["metadata"]["namespace"], labels={_SERVICE_LABEL: name})
            for ip, names in records(service, slices, seen_from=namespace):
                lines.append(" ".join((ip, *names)))
                for one in names:
                    known.setdefault(one, []).append(ip)
        self._addresses[namespace] = known
        text = "".join(f"{line}\n" for line in lines)
        path = self.path(namespace)
        if not path.exists() or path.read_text() != text:
            fresh = path.with_suffix(".new")
            fresh.write_text(text)
            fresh.replace(path)


def records(service: Object, slices: Iterable[Object], *, seen_from: str) -> Iterator[tuple[str, list[str]]]:
    """Give the addresses of a service with their names, shortest first; a headless one has those of its ready pods."""
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    local = namespace == seen_from
    ip = service["spec"].get("clusterIP")
    if ip and ip != "None":
        yield ip, _names(name, namespace, local=local)
    for entry in slices:
        for endpoint in entry.get("endpoints") or ():
            if ip == "None" and endpoint["conditions"]["ready"]:
                yield endpoint["addresses"][0], _names(name, namespace, local=local)
            if endpoint.get("hostname"):
                yield endpoint["addresses"][0], _names(f"{endpoint['hostname']}.{name}", namespace, local=local)


def _names(name: str, namespace: str, *, local: bool) -> list[str]:
    names = [f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.{_DOMAIN}"]
    return [name, *names] if local else names
