"""A namespace of a cluster that answers what a test gives it, and is well otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.errors import SourceMissingObject
from runbook_lib.models.command import CommandResult
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.selectors import selects
from runbook_lib.models.window import Window
from runbook_lib.sources.interface import Cluster
from runbook_lib.testing.records import CONFIG_COLUMNS, DIFF_COLUMNS, EVENT_COLUMNS, POLICY_COLUMNS, pods, revisions
from runbook_lib.testing.series import ago
from runbook_lib.testing.sickness import Fake, Sick, given

__all__ = ["FakeCluster"]

Answer = Frame | Sick | None
_DATABASE = "app=postgres"

_SETTINGS = {"DATABASE_URL": "postgresql://postgres:5432/shop"}


class FakeCluster(Fake):
    """One namespace with one Deployment of three ready pods, rolled out a week ago and unchanged since.

    history: as `revisions` makes it. diffs: what changed between two revisions, as `changed` makes it. config: as
    `config_edit`. deployment: replaces single keys of the Deployment's answer. others: pods of other components, by selector;
    the database has one. endpoints: of any Service, else the given pods. services, secrets: what replaces the answer for an
    object of this name; None: there is none. absent: config maps and deployments that are gone. policies: as `policy` makes them.
    connects: for pods by name, the seconds that connecting to an address takes, or what goes wrong; 1 ms otherwise. settings: the
    data of every config map; an address of a database otherwise. config_maps: the data of single ones instead; binary: keys of
    their binary data. Any of them may be a `Sick`.
    """

    name = "kubernetes"

    def __init__(
        self,
        *,
        pods: Answer = None,
        history: Answer = None,
        diffs: Mapping[tuple[int, int], Frame] | Sick | None = None,
        config: Answer = None,
        events: Answer = None,
        deployment: Mapping[str, Any] | Sick | None = None,
        autoscaler: Mapping[str, Any] | Sick | None = None,
        others: Mapping[str, Frame] | None = None,
        endpoints: Answer = None,
        services: Mapping[str, Mapping[str, Any] | Sick | None] | None = None,
        secrets: Mapping[str, Sequence[str] | Sick | None] | None = None,
        absent: Sequence[str] = (),
        policies: Answer = None,
        nodes: Answer = None,
        connects: Mapping[str, Mapping[str, float | str]] | Sick | None = None,
        settings: Mapping[str, str] | None = None,
        config_maps: Mapping[str, Mapping[str, str] | Sick] | None = None,
        binary: Mapping[str, Sequence[str]] | None = None,
        namespace: str = "shop",
    ) -> None:
        self.namespace = namespace
        self._others = {_DATABASE: _database_pods(), **(others or {})}
        self._endpoints, self._policies, self._absent = endpoints, policies, absent
        self._nodes = nodes
        self._connects = connects
        self._settings = dict(_SETTINGS if settings is None else settings)
        self._config_maps, self._binary = config_maps or {}, binary or {}
        self._services, self._secrets = services or {}, secrets or {}
        self._pods, self._history, self._diffs, self._config = pods, history, diffs, config
        self._events, self._deployment, self._autoscaler = events, deployment, autoscaler

    def operator(self) -> Cluster:
        """The same."""
        return self

    def identity(self) -> str:
        """A reader."""
        return f"system:serviceaccount:{self.namespace}:runbook-reader"

    def can(self, verb: str, resource: str, *, group: str = "", name: str | None = None, subresource: str | None = None) -> bool:
        """Read, and nothing else."""
        del resource, group, name, subresource
        return verb in ("get", "list", "watch")

    def pods(self, selector: str) -> Frame:
        """The given pods: of `others` where it has this selector."""
        return self._or(self._others.get(selector, self._pods), pods())

    def events(self, *, window: Window, names: Sequence[str] = ()) -> Frame:
        """The given events of the window."""
        del names
        found = self._or(self._events, frame([], columns=EVENT_COLUMNS))
        return Frame(found[[at in window for at in found["time"]]])

    def deployment(self, name: str) -> Mapping[str, Any]:
        """A Deployment whose pods are all up to date."""
        if name in self._absent:
            raise SourceMissingObject(self.name, f"there is no deployment {name} in namespace {self.namespace}")
        known = given(self._deployment, self.name) or {}
        return {
            "name": name,
            "replicas": 3,
            "ready": 3,
            "updated": 3,
            "available": 3,
            "revision": 1,
            "generation": 1,
            "observed_generation": 1,
            "paused": False,
            "images": {"shop": "shop:1.0"},
            "selector": {"app": name},
            "strategy": "RollingUpdate",
            "resource_version": "1",
            "config_maps": ["shop-config"],
            "secrets": ["shop-db"],
            "references": [
                {"kind": "configmap", "name": "shop-config", "key": None, "optional": False},
                {"kind": "secret", "name": "shop-db", "key": "password", "optional": False},
            ],
            "created_at": ago(7 * 24 * 60),
            "conditions": [],
            **known,
        }

    def rollout_history(self, deployment: str) -> Frame:
        """The given history."""
        del deployment
        return self._or(self._history, revisions((1, ago(7 * 24 * 60))))

    def rollout_diff(self, deployment: str, *, old: int, new: int) -> Frame:
        """The given difference, none when these two were not given."""
        del deployment
        known: Mapping[tuple[int, int], Frame] = given(self._diffs, self.name) or {}
        return known.get((old, new), frame([], columns=DIFF_COLUMNS))

    def config_map(self, name: str) -> Mapping[str, Any]:
        """A config map with what it was given, else with the settings."""
        if name in self._absent:
            raise SourceMissingObject(self.name, f"there is no configmap {name} in namespace {self.namespace}")
        data = given(self._config_maps.get(name, self._settings), self.name)
        keys = sorted({*data, *self._binary.get(name, ())})
        known = {"name": name, "data": data, "keys": keys, "resource_version": "1"}
        return {**known, "updated_at": None, "last_applied": None}

    def config_changes(self, names: Sequence[str], *, window: Window) -> Frame:
        """The given edits."""
        del names, window
        return self._or(self._config, frame([], columns=CONFIG_COLUMNS))

    def secret_keys(self, name: str) -> list[str]:
        """One password."""
        found = given(self._secrets.get(name, ["password"]), self.name)
        if found is None:
            raise SourceMissingObject(self.name, f"there is no secret {name} in namespace {self.namespace}")
        return sorted(found)

    def service(self, name: str) -> Mapping[str, Any]:
        """A Service that selects the pods of its name on port 8080 (postgres: 5432); `services` replaces single keys."""
        known = given(self._services.get(name, {}), self.name)
        if known is None:
            raise SourceMissingObject(self.name, f"there is no service {name} in namespace {self.namespace}")
        port = 5432 if name == "postgres" else 8080
        return {
            "name": name,
            "type": "ClusterIP",
            "selector": {"app": name},
            "ports": [{"name": "", "port": port, "target_port": port, "protocol": "TCP"}],
            "cluster_ip": "10.1.0.1",
            "resource_version": "1",
            "updated_at": ago(7 * 24 * 60),
            "updated_by": "kubectl",
            "ports_updated_at": ago(7 * 24 * 60),
            **known,
        }

    def endpoints(self, service: str) -> Frame:
        """The given ones, else the pods of the Service's name."""
        columns = ["address", "port", "ready", "pod", "node"]
        behind = self.pods(f"app={service}") if self._endpoints is None else None
        rows = [(pod["ip"], 8080, bool(pod["ready"]), pod["pod"], pod["node"]) for pod in _rows(behind)]
        return self._or(self._endpoints, frame(rows, columns=columns, source=self.name))

    def autoscaler(self, deployment: str) -> Mapping[str, Any] | None:
        """None, unless one was given."""
        del deployment
        known: Mapping[str, Any] | None = given(self._autoscaler, self.name)
        return known

    def disruption_budget(self, labels: Mapping[str, str]) -> Mapping[str, Any] | None:
        """None."""
        del labels
        return None

    def network_policies(self, labels: Mapping[str, str]) -> Frame:
        """Those of the given ones that select pods with these labels."""
        found = self._or(self._policies, frame([], columns=POLICY_COLUMNS))
        rows = [row for row in _rows(found) if selects(row["spec"]["podSelector"], labels)]
        return frame(rows, columns=POLICY_COLUMNS, source=self.name)

    def run_command(
        self, pod: str, command: Sequence[str], *, container: str | None = None, seconds: float = 5.0
    ) -> CommandResult:
        """What connecting to the addresses among the command's words came to."""
        del container, seconds
        known = (given(self._connects, self.name) or {}).get(pod, {})
        places = [word for word in command if re.fullmatch(r"[\w.-]+:\d+", word)]
        lines = ["self\t0\t0.10\t", *(_tried(place, known.get(place, 0.001)) for place in places)]
        return CommandResult(code=0, out="".join(f"{line}\n" for line in lines * 3), error="")

    def pod_metrics(self, selector: str) -> Frame:
        """None."""
        del selector
        return frame([], columns=["pod", "container", "cpu_cores", "memory_bytes", "time"])

    def nodes(self) -> Frame:
        """The given nodes, else the one that all pods are on, half in use."""
        healthy = {
            "node": "node-1", "ready": True, "troubles": [], "since": None, "schedulable": True, "cpu_allocatable_cores": 8.0,
            "memory_allocatable_bytes": 2.0**35, "cpu_cores": 4.0, "memory_bytes": 2.0**34,
        }  # fmt: skip
        return self._or(self._nodes, frame([healthy], source=self.name))

    def _or(self, answer: Answer, healthy: Frame) -> Frame:
        known = given(answer, self.name)
        return healthy if known is None else known  # the given frame itself, for what its attrs say


def _tried(place: str, came: float | str) -> str:
    return f"{place}\t1.00\t{1000 * came:.2f}\t" if isinstance(came, float) else f"{place}\t1.00\t\t{came}"


def _rows(found: Frame | None) -> list[dict[Any, Any]]:
    return [] if found is None else list(found.to_dict("records"))


def _database_pods() -> Frame:
    return pods(["postgres-0"], labels={"app": "postgres"})
