"""What each source answers: the contract that checks are written against, and that `recorded` replays.

Every method is read-only, bounded in time and in size, and raises a SourceError (never the client library's own
exception) when the system does not answer properly. Every frame is tidy, its times are aware and UTC, and its `attrs` carry
`unit`, `source`, `query` and `command`. An empty answer is an empty frame with the same columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from runbook_lib.models.command import CommandResult
from runbook_lib.models.finding import SourceStatus
from runbook_lib.models.frame import Frame
from runbook_lib.models.window import Window

# Of the methods below, those that ask the system nothing.
NOT_QUESTIONS = ("close", "operator", "url_for")


class Source(Protocol):
    """What every source can do."""

    name: str

    def probe(self) -> SourceStatus:
        """Ask the cheapest question; never raises."""

    def close(self) -> None:
        """Give back connections and threads."""


class Metrics(Source, Protocol):
    """Prometheus."""

    def instant(self, promql: str, *, at: datetime | None = None) -> Frame:
        """Columns: time, one per label, value."""

    def range(self, promql: str, *, window: Window, step_seconds: float | None = None) -> Frame:
        """Columns: time, one per label, value. Without a step one is chosen: about 240 points, never over 11,000."""

    def label_values(self, label: str, *, match: Sequence[str] = (), window: Window | None = None) -> list[str]:
        """Values of a label (`__name__`: the metrics that exist), sorted."""

    def label_names(self, *, match: Sequence[str] = (), window: Window | None = None) -> list[str]:
        """Names of the labels of the series that match, sorted."""

    def unanswered(self) -> list[str]:
        """What stands behind it and was missing from the values and names of labels that it gave so far, in its own words: the
        stores of a Thanos or a Mimir. What these alone have is not known not to exist."""

    def series(self, match: Sequence[str], *, window: Window | None = None, limit: int = 10_000) -> Frame:
        """The label sets that match; one column per label."""

    def metadata(self, metric: str | None = None) -> Frame:
        """Columns: metric, type, help, unit."""

    def scrape_interval_seconds(self, match: str) -> float | None:
        """The interval at which the series that match are scraped, as measured from their samples."""

    def url_for(self, promql: str) -> str:
        """A link that opens the query in the Prometheus UI."""


class Cluster(Source, Protocol):
    """One namespace of a Kubernetes cluster."""

    namespace: str

    def operator(self) -> Cluster:
        """The same namespace with the identity that changes are made with."""

    def identity(self) -> str:
        """Who the cluster takes us for, such as `system:serviceaccount:shop:runbook-reader`."""

    def can(self, verb: str, resource: str, *, group: str = "", name: str | None = None, subresource: str | None = None) -> bool:
        """Ask a SelfSubjectAccessReview."""

    def pods(self, selector: str) -> Frame:
        """Columns: pod, phase, ready (bool), restarts, node, ip, started_at, version, revision (of the pod template: the
        deployment's revision or None), template_hash, state (`running`, `waiting: CrashLoopBackOff`, …), last_state
        (`OOMKilled (exit 137) at …`, `… in proxy at …`, or empty), last_terminated_at, containers, cpu_request_cores,
        cpu_limit_cores, memory_request_bytes, memory_limit_bytes, owner, labels (mapping), ports (of its containers,
        as the pod declares them, each with its container), ready_changed_at (when it last became ready, or ceased to be)."""

    def events(self, *, window: Window, names: Sequence[str] = ()) -> Frame:
        """Columns: time (last seen), first_seen, type, reason, kind, name, message, count. `names` are prefixes."""

    def deployment(self, name: str) -> Mapping[str, Any]:
        """Keys: name, replicas, ready, updated, available, revision, generation, observed_generation, paused, images,
        selector, strategy, resource_version, config_maps (names the template reads), secrets (names), references (list of
        {kind (`configmap`, `secret`), name, key or None, optional}), created_at, conditions (list of {type, status, reason,
        message, since})."""

    def rollout_history(self, deployment: str) -> Frame:
        """Columns: revision (int), created_at, replica_set, images, change_cause, replicas, ready, current (bool),
        first_ready_at (when the first pod of it became ready, None if unknown). Newest last."""

    def rollout_diff(self, deployment: str, *, old: int, new: int) -> Frame:
        """What differs between two revisions' pod templates. Columns: path, old, new, kind (`image`, `env`, `resources`,
        `probe`, `command`, `volume`, `annotation`, `label`, `other`). Values of secrets never appear."""

    def config_map(self, name: str) -> Mapping[str, Any]:
        """Keys: name, data (dict), keys (list: those of binary data, too), resource_version, updated_at (from managedFields, or
        None), last_applied (dict or None)."""

    def config_changes(self, names: Sequence[str], *, window: Window) -> Frame:
        """Config maps changed in the window, or that drift from what was last applied.
        Columns: config_map, key, old, new, updated_at."""

    def secret_keys(self, name: str) -> list[str]:
        """The names of a secret's keys, sorted; empty where the cluster kept no record of them. Its values are never read."""

    def service(self, name: str) -> Mapping[str, Any]:
        """Keys: name, type, selector (mapping; empty: none), ports (list of {name, port, target_port, protocol}), cluster_ip,
        resource_version, updated_at (when its selector was last written, or None), updated_by, ports_updated_at."""

    def endpoints(self, service: str) -> Frame:
        """From EndpointSlices. Columns: address, port, ready (bool), pod, node. `attrs["changed_at"]`: when they last changed."""

    def autoscaler(self, deployment: str) -> Mapping[str, Any] | None:
        """Keys: name, min_replicas, max_replicas, current_replicas, desired_replicas, conditions. None when there is none."""

    def disruption_budget(self, labels: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Keys: name, disruptions_allowed, min_available, max_unavailable. None when none covers these labels."""

    def network_policies(self, labels: Mapping[str, str]) -> Frame:
        """Policies that select pods with these labels. Columns: policy, types, ingress, egress (both in words), spec (mapping,
        with `policyTypes` made explicit), updated_at (when its spec was last written)."""

    def run_command(
        self, pod: str, command: Sequence[str], *, container: str | None = None, seconds: float = 5.0
    ) -> CommandResult:
        """`kubectl exec`, with a command that only looks. `container` None: the pod's first. Raises SourceTimeout for a command
        that does not end within `seconds`."""

    def pod_metrics(self, selector: str) -> Frame:
        """`kubectl top pods`. Columns: pod, container, cpu_cores, memory_bytes, time."""

    def nodes(self) -> Frame:
        """All nodes of the cluster, which not every identity may see. Columns: node, ready (bool), troubles (conditions that are
        not as they should be, in words), since (when the first of them began), schedulable (bool), cpu_allocatable_cores,
        memory_allocatable_bytes, cpu_cores and memory_bytes (in use; missing without metrics-server)."""


class Logs(Source, Protocol):
    """The logs of all pods of a selector, previous containers too, merged in time order."""

    def read(self, selector: str, *, window: Window, lines_per_pod: int = 2000, previous: bool = True) -> Frame:
        """Columns: time, pod, container, level (lower case or empty), message, previous (bool), fields (dict or None, from
        JSON lines). `attrs['truncated']` names the pods of which older lines were left out; `attrs['unread']` those that
        could not be read, with the reason."""


class Database(Source, Protocol):
    """PostgreSQL, in read-only transactions with a statement timeout."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, *, limit: int = 10_000) -> Frame:
        """Any read-only statement."""

    def connections(self) -> Frame:
        """Columns: application, user, database, state (`active`, `idle`, `idle in transaction`, …), client, count,
        oldest_seconds (in that state)."""

    def limits(self) -> Mapping[str, Any]:
        """Keys: max_connections, reserved_connections, used_connections, started_at, version, in_recovery (bool)."""

    def sessions(self, *, minimum_seconds: float = 1.0, limit: int = 200) -> Frame:
        """Active and idle-in-transaction sessions, oldest first. Columns: pid, application, user, state, wait_event,
        backend_start, transaction_start, query_start, state_seconds, transaction_seconds, query, blocked_by (list of pid)."""

    def activity(self, *, samples: int = 8, every_seconds: float = 0.25) -> Frame:
        """What client sessions do, looked at several times in a row, which shows what a single look misses: short locks that
        come again and again; and whoever they wait for, whatever it is: an idle session, an autovacuum, a prepared transaction
        (pid 0, its query is what takes it back). Columns: sample (from 0), then those of `sessions`, and kind (`client`,
        `autovacuum`, `prepared`, …). `attrs["samples"]`: how many looks were made."""

    def table_access(self, *, every_seconds: float = 2.0, limit: int = 50) -> Frame:
        """How tables are read at present, from two looks at the server's counters. Columns: schema, table, live_rows (as counted,
        or as many as at the last VACUUM or ANALYZE, if those are more), dead_rows, sequential_scans (a second), sequential_rows
        (read by them, a second), index_scans (a second), last_autovacuum_at, last_analyze_at, modified_rows (since then),
        sequential_rows_before (since `attrs["reset_at"]`, up to the first look). The most read sequentially first.
        `attrs["cache_hit_ratio"]`: pages found in shared buffers, to all."""

    def statements(self, *, every_seconds: float = 2.0, limit: int = 50) -> Frame:
        """What statements cost, from two looks at pg_stat_statements. Columns: query_id, user, statement, calls (a second), load
        (sessions at work on it), mean_seconds, rows_per_call, hit_ratio (all between the looks; missing without a call),
        calls_before, mean_before_seconds (up to the first look), since (when its counting began). Most load first.
        `attrs["missing"]`: why there is nothing to see, or empty; `attrs["reset_at"]`: since when everything is counted."""

    def statement_plans(self, *, samples: int = 3, every_seconds: float = 0.3, limit: int = 8) -> Frame:
        """The statements that clients are at, looked at several times, with what EXPLAIN says of them; none is executed. Columns:
        statement, application, user, seen (in how many looks, times the sessions at it), longest_seconds, tables (that it has
        locked or its plan reads), plan (its nodes, without the constants in their conditions; None: `problem` says why, such as
        a name that means another table for our role). Most seen first. `attrs["tables"]`: the definition of each of these
        tables, as `TableDefinition.of` reads it."""

    def blocking_chains(self) -> Frame:
        """Columns: blocked_pid, database (of who waits), blocked_application, blocked_user, blocked_seconds, blocked_query,
        blocking_pid, blocking_application, blocking_user, blocking_kind (as in `activity`), blocking_state, blocking_seconds,
        blocking_query, root_pid, waiters (sessions waiting on the root). Of the whole server: locks on roles and the like know
        no database."""

    def table_sizes(self, *, limit: int = 50) -> Frame:
        """Columns: schema, table, total_bytes, table_bytes, index_bytes, live_rows, dead_rows, last_autovacuum_at."""


class Cache(Source, Protocol):
    """Redis."""

    def info(self) -> Mapping[str, Any]:
        """The INFO answer as one flat mapping, plus `ping_seconds` (the median of some) and `ping_seconds_maximum`; or, where
        PING is refused, `ping_refused`: what was said. `stops_writes`, after a snapshot that failed: 1 where that stops all
        writes, else 0; missing where it is not known."""

    def traffic(self, *, every_seconds: float = 1.5) -> Mapping[str, Any]:
        """`info`, and from two looks at it `hits_per_second`, `misses_per_second`, `evicted_per_second`, `expired_per_second` and
        `rejected_per_second`: totals since the server's start would hide what changed a minute ago."""

    def slow_log(self, *, limit: int = 128) -> Frame:
        """Commands that took long, oldest first; how long is long is a setting of the server. Columns: time, seconds, command,
        keys (what their keys begin with; never a whole key or another argument), client (its name). `attrs["full"]`: older ones
        may have been dropped."""

    def latency_events(self) -> Frame:
        """What its own latency monitor noticed. Columns: event, time (of the latest), latest_seconds, maximum_seconds."""

    def waits(self, *, again: bool = False) -> Mapping[str, float]:
        """How long it lets a client wait that reaches it: `connect_seconds`; `longest_seconds`, the longest wait beyond that of a
        PING, or of a command that is held up as a write is and changes nothing; `longest_ping_seconds`, of PINGs alone, missing
        where none was answered or waited for; `waited_ratio`, the share of the time that was spent so, less what our own side
        took. What is without an answer has waited, and `unanswered` is 1 then, else 0. `crowded_ratio`: of a Redis on this
        machine, the share of the time at which processes waited for a processor; else 0. again: it is a second look, which a
        record keeps beside the first.
        """

    def key_sample(self, *, limit: int = 500) -> Frame:
        """Who fills it, by a sample of the keys. Columns: keys (what they begin with), sampled, bytes, bytes_ratio (of those
        sampled), without_expiry (how many), largest_bytes, types. `attrs["sampled"]`: keys in all; `attrs["complete"]`: these are
        all that there are."""


@dataclass(frozen=True, kw_only=True)
class HttpAnswer:
    """An HTTP answer: `status` None when there was none, then `error` says why. `body` is parsed JSON or text, bounded."""

    url: str
    status: int | None
    seconds: float
    body: Any = None
    error: str | None = None
    state: str = "ok"

    @property
    def ok(self) -> bool:
        """Answered with a 2xx."""
        return self.status is not None and 200 <= self.status < 300


class Http(Source, Protocol):
    """Health and admin endpoints. Only GET; changes go through actions."""

    def get(self, url: str, *, timeout_seconds: float | None = None) -> HttpAnswer:
        """Never raises for a sick server: the answer says what happened."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """All sources of a service. One that is not configured raises SourceNotConfigured from every method."""

    metrics: Metrics
    cluster: Cluster
    logs: Logs
    database: Database
    cache: Cache
    http: Http

    def close(self) -> None:
        """Close all of them."""
        for source in (self.metrics, self.cluster, self.logs, self.database, self.cache, self.http):
            source.close()
