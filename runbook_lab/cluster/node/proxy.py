"""The way to a service: its cluster IP leads in turn to one of its ready pods, as kube-proxy does it; and whether it is open."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

from runbook_lab.cluster.controllers.events import Recorder
from runbook_lab.cluster.following import follow
from runbook_lab.cluster.metadata import Key, Object, key_of
from runbook_lab.cluster.node.passage import Passage
from runbook_lab.cluster.node.traffic import Traffic
from runbook_lab.cluster.store import NotFound, Store

_SERVICE_LABEL = "kubernetes.io/service-name"
_CONNECT_SECONDS = 5.0
_BUFFER_BYTES = 65536
_THE_NODE = "127.0.0.1"


class ServiceProxy:
    """Listens on every service port that has a ready pod behind it; without one, connections are refused, as in a cluster."""

    def __init__(self, store: Store, traffic: Traffic) -> None:
        self._store = store
        self._traffic = traffic
        self._events = Recorder(store, "kube-proxy")
        self._due: dict[Key, None] = {}
        self._work = asyncio.Event()
        self._listeners: dict[Key, dict[tuple[str, int], _Listener]] = {}

    async def run(self) -> None:
        """Follow services and endpoints, and proxy, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow("services"))
                tasks.create_task(self._follow("endpointslices"))
                tasks.create_task(self._drain())
        finally:
            for listeners in self._listeners.values():
                for listener in listeners.values():
                    listener.close()

    def admits(self, source: str, target: str, port: int) -> bool:
        """Tell whether policies let a pod connect to an address: a service's, when it may reach a pod behind it."""
        listeners = (present.get((target, port)) for present in self._listeners.values())
        ways = next((listener.targets for listener in listeners if listener), [(target, port)])
        return any(self._traffic.passes(source, ip, number) for ip, number in ways)

    async def _follow(self, plural: str) -> None:
        async for _, obj in follow(self._store, plural):
            namespace, name = key_of(obj)
            if plural == "endpointslices":
                name = (obj["metadata"].get("labels") or {}).get(_SERVICE_LABEL, "")
            self._due[(namespace, name)] = None
            self._work.set()

    async def _drain(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._due:
                key, _ = self._due.popitem()
                await self._sync(key)

    async def _sync(self, key: Key) -> None:
        """Open, redirect and close listeners as a service's ports and ready pods ask for."""
        wanted = self._wanted(key)
        present = self._listeners.setdefault(key, {})
        for address in present.keys() - wanted.keys():
            present.pop(address).close()
        for address, targets in wanted.items():
            if address not in present:
                try:
                    present[address] = await _Listener.open(*address, traffic=self._traffic)
                except OSError as error:  # such as a port below 1024, for a user who may not listen there
                    self._tell(key, address, error)
                    continue
            present[address].targets = targets

    def _tell(self, key: Key, address: tuple[str, int], error: OSError) -> None:
        with contextlib.suppress(NotFound):
            service = self._store.get("services", key[1], namespace=key[0])
            self._events.warning(service, "ListenFailed", f"cannot listen on {address[0]}:{address[1]}: {error.strerror}")

    def _wanted(self, key: Key) -> dict[tuple[str, int], list[tuple[str, int]]]:
        namespace, name = key
        services = self._store.list("services", namespace=namespace, fields=f"metadata.name={name}")
        slices = self._store.list("endpointslices", namespace=namespace, labels={_SERVICE_LABEL: name})
        if not services or services[0]["spec"].get("clusterIP", "None") in ("", "None"):
            return {}
        spec = services[0]["spec"]
        wanted = {}
        for port in spec.get("ports") or ():
            if targets := [target for entry in slices for target in _targets(entry, port)]:
                wanted[(spec["clusterIP"], port["port"])] = targets
        return wanted


def _targets(entry: Object, port: Object) -> list[tuple[str, int]]:
    numbers = [item["port"] for item in entry.get("ports") or () if item.get("name", "") == port.get("name", "")]
    ready = [endpoint for endpoint in entry.get("endpoints") or () if endpoint["conditions"]["ready"]]
    return [(endpoint["addresses"][0], number) for endpoint in ready for number in numbers]


class _Listener:
    """One port of a service."""

    def __init__(self, traffic: Traffic) -> None:
        self.targets: list[tuple[str, int]] = []
        self._traffic = traffic
        self._turn = itertools.count()
        self._server: asyncio.Server | None = None
        # asyncio forgets the task of a connection whose client has gone. While its pod still takes its time for an answer that
        # nobody waits for, nothing else would refer to it, and it would be collected half done.
        self._serving: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, ip: str, port: int, *, traffic: Traffic) -> _Listener:
        listener = cls(traffic)
        listener._server = await asyncio.start_server(listener._accept, ip, port, limit=_BUFFER_BYTES)
        return listener

    def close(self) -> None:
        """Take no new connections; those that stand end with their pods."""
        if self._server:
            self._server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = writer.get_extra_info("peername")[0]
        targets = self.targets
        for _ in targets:
            ip, port = targets[next(self._turn) % len(targets)]
            passage = Passage(self._traffic, source, ip, port)
            with contextlib.suppress(OSError, TimeoutError):
                await passage.opens()
                async with asyncio.timeout(_CONNECT_SECONDS):
                    pod_reader, pod_writer = await asyncio.open_connection(ip, port, local_addr=_own(source))
                await passage.join((reader, writer), (pod_reader, pod_writer))
                return
        writer.transport.abort()


def _own(source: str) -> tuple[str, int] | None:
    """A pod sees who calls it: the address of the caller's pod."""
    return None if source == _THE_NODE else (source, 0)
