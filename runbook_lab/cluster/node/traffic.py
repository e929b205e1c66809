"""What may pass between pods at present, and how long it takes: the network policies, and the links of pods that are slow."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from runbook_lab.cluster.following import follow
from runbook_lab.cluster.metadata import Object, key_of
from runbook_lab.cluster.node.policies import End, lets_through
from runbook_lab.cluster.store import Store

_FOLLOWED = ("networkpolicies", "namespaces", "pods")
_LOOK_SECONDS = 0.25
_OVER = ("Succeeded", "Failed")
# There is no such pod here. Policies name it in one of these ways.
_NAME_SERVER = End(
    "10.96.0.10",
    {"metadata": {"namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}, "spec": {"containers": []}},
    {"kubernetes.io/metadata.name": "kube-system"},
)


@dataclass(frozen=True, kw_only=True)
class Link:
    """How slow a pod's network interface is: what leaves it is late by so many seconds, `jitter_seconds` more or less.

    As with a `tc netem delay` on the interface. The file stands in the pod's own directory, so that a container which is started
    again has the same link, and a new pod has another.
    """

    FILE_NAME: ClassVar = ".link.json"

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0

    def write(self, directory: Path) -> None:
        """Make the link of a pod what this says."""
        fresh = directory / f"{self.FILE_NAME}.new"
        fresh.write_text(json.dumps(asdict(self)), encoding="utf-8")
        fresh.replace(directory / self.FILE_NAME)

    @classmethod
    def clear(cls, directory: Path) -> bool:
        """Let nothing be said about the link of a pod any more, and tell whether anything was."""
        path = directory / cls.FILE_NAME
        said = path.exists()
        path.unlink(missing_ok=True)
        return said

    @classmethod
    def read(cls, directory: Path) -> Link | None:
        """Give the link of a pod; None where nothing was said about it."""
        try:
            return cls(**json.loads((directory / cls.FILE_NAME).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None


class Traffic:
    """Follows policies and pods, and answers for connections. `directory` is that of the pods' own directories.

    While there are no policies and all links are as they should be, an answer costs next to nothing.
    """

    def __init__(self, store: Store, directory: Path, *, randomness: random.Random | None = None) -> None:
        self._store = store
        self._directory = directory
        self._chance = randomness or random.Random()
        self._policies: list[Object] = []
        self._ends: dict[str, End] = {}
        self._verdicts: dict[tuple[str, str, int], bool] = {}
        self._links: dict[str, Link] = {}
        self._listeners: list[Callable[[], None]] = []
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow what decides, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for plural in _FOLLOWED:
                tasks.create_task(self._follow(plural))
            tasks.create_task(self._look())

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call whenever what may pass has changed."""
        self._listeners.append(listener)

    def passes(self, source: str, target: str, port: int) -> bool:
        """Tell whether policies let a connection from one address to another pass."""
        if not self._policies:
            return True
        way = (source, target, port)
        if way not in self._verdicts:
            self._verdicts[way] = lets_through(self._policies, self._end(source), self._end(target), port)
        return self._verdicts[way]

    def delay_seconds(self, source: str) -> float:
        """Draw how late something is that leaves an address now."""
        link = self._links.get(source)
        return max(0.0, link.delay_seconds + self._chance.uniform(-1, 1) * link.jitter_seconds) if link else 0.0

    def asks(self, source: str) -> float | None:
        """Give how late an answer of the cluster's name server is; None where a policy denies a pod to ask it."""
        end = self._end(source)
        if self._policies and not lets_through(self._policies, end, _NAME_SERVER, 53, "UDP"):
            return None
        return self.delay_seconds(source)

    async def changes(self) -> None:
        """Wait until what may pass has changed."""
        await self._changed.wait()

    def _end(self, ip: str) -> End:
        return self._ends.get(ip) or End(ip)

    async def _follow(self, plural: str) -> None:
        async for _ in follow(self._store, plural):
            self._policies = self._store.list("networkpolicies")
            if self._policies:  # nobody asks for pods before
                self._ends = {end.ip: end for end in self._pods()}
            self._tell()

    def _pods(self) -> list[End]:
        labels = {entry["metadata"]["name"]: entry["metadata"].get("labels") or {} for entry in self._store.list("namespaces")}
        # The address of a pod that has ended is another's by now.
        present = [pod for pod in self._store.list("pods") if pod.get("status", {}).get("phase") not in _OVER]
        addressed = [pod for pod in present if pod.get("status", {}).get("podIP")]
        return [End(pod["status"]["podIP"], pod, labels.get(pod["metadata"]["namespace"])) for pod in addressed]

    async def _look(self) -> None:
        while True:
            self._links = self._read_links()
            await asyncio.sleep(_LOOK_SECONDS)

    def _read_links(self) -> dict[str, Link]:
        found = {path.parent: Link.read(path.parent) for path in self._directory.glob(f"*/*/{Link.FILE_NAME}")}
        if not found:
            return {}
        ips = {key_of(pod): pod.get("status", {}).get("podIP") for pod in self._store.list("pods")}
        named = ((ips.get((path.parent.name, path.name)), link) for path, link in found.items())
        return {ip: link for ip, link in named if ip and link}

    def _tell(self) -> None:
        self._verdicts.clear()
        self._changed.set()
        self._changed = asyncio.Event()
        for listener in self._listeners:
            listener()
