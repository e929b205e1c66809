"""A fault as values: what is to be done to the shop, before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runbook_lab.cluster.node.traffic import Link


class UnknownFaultError(ValueError):
    """There is no fault, or no kind of it, of this name; or its intensity is out of range. The message names what there is."""


@dataclass(frozen=True)
class PodConditions:
    """Conditions (see `shop.conditions`) for the running pods of an app: the nth pod by name gets the nth values, in turn."""

    app: str
    values: tuple[Mapping[str, float], ...]


@dataclass(frozen=True)
class Patch:
    """A strategic merge patch, as `kubectl patch`, `kubectl set` and `kubectl annotate` send one."""

    kind: str
    name: str
    patch: Mapping[str, Any]


@dataclass(frozen=True)
class RestartRollout:
    """`kubectl rollout restart deployment/NAME`."""

    deployment: str


@dataclass(frozen=True)
class Scale:
    """`kubectl scale KIND NAME --replicas N`."""

    kind: str
    name: str
    replicas: int


@dataclass(frozen=True)
class DeletePods:
    """`kubectl delete pods -l app=APP`: all at once, as when their node is drained."""

    app: str


@dataclass(frozen=True)
class StopProcesses:
    """`kill -STOP` for every process in the pods of an app: they are there, and do nothing any more."""

    app: str


@dataclass(frozen=True)
class LeftRunning:
    """A statement that a role starts in the shop's database, by a psql that is then closed: the server goes on with it."""

    role: str
    application: str
    sql: str


@dataclass(frozen=True)
class RedisCommand:
    """`redis-cli WORD…`."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class FillRedis:
    """Another tenant's keys, `redis-cli set TENANT:…`, until Redis refuses them; then its maximum is lowered below what is used,
    so that not even the smallest write finds a place that an expired key has left. `seconds`: when they expire; None: never.
    """

    tenant: str
    value_bytes: int
    seconds: int | None


@dataclass(frozen=True)
class Create:
    """`kubectl create -f`."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class SlowLinks:
    """The network interfaces of the first pods of an app, by name, become slow: `tc qdisc add dev eth0 root netem delay`."""

    app: str
    pods: int
    link: Link


@dataclass(frozen=True)
class Executed:
    """Statements that a role executes in the shop's database, one after the other, as a migration does."""

    role: str
    application: str
    statements: tuple[str, ...]


Step = (
    PodConditions
    | Patch
    | RestartRollout
    | Scale
    | DeletePods
    | StopProcesses
    | LeftRunning
    | Executed
    | RedisCommand
    | FillRedis
    | Create
    | SlowLinks
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault with all its numbers drawn.

    runbook: the one that its alert starts. cause: what that runbook has to confirm; None where nothing may be. cure: its action
    that fixes the fault; None where there is nothing to fix. target: what has to be typed to approve a cure of high risk.
    shows_after_seconds: how long it takes to show where there is no alert to wait for.
    """

    name: str
    kind: str | None
    seed: int
    intensity: float
    text: str
    steps: tuple[Step, ...]
    runbook: str
    cause: str | None
    cure: str | None
    target: str | None = None
    shows_after_seconds: float = 0.0

    @property
    def approval(self) -> str | None:
        """The cure as `runbook run --approve` takes it."""
        return f"{self.cure}={self.target}" if self.cure and self.target else self.cure

    @property
    def spelled(self) -> str:
        """The fault as the command line takes it, such as `bad_deployment:pool`."""
        return f"{self.name}:{self.kind}" if self.kind else self.name

    def told(self) -> str:
        """Say what this is, with all that is needed to get it again."""
        return f"{self.spelled}: {self.text} [--seed {self.seed} --intensity {self.intensity:g}]"
