"""The logs of all pods of a service, straight from the kubelets."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from runbook_lib.deadline import Deadline, UnansweredError, gather
from runbook_lib.errors import SourceAnswerInvalid, SourceError, SourceTimeout
from runbook_lib.models.finding import SourceStatus
from runbook_lib.models.frame import Frame
from runbook_lib.models.window import Window, format_instant
from runbook_lib.service.models import LogFormat
from runbook_lib.sources.kubernetes import PODS, KubernetesCluster
from runbook_lib.sources.log_records import Record, records
from runbook_lib.sources.pods import is_ready, restarts_of
from runbook_lib.sources.tables import instant, table

__all__ = ["LOG_COLUMNS", "PodLogs"]

LOG_COLUMNS = {
    "time": "time", "pod": "text", "container": "text", "level": "text", "message": "text", "previous": "flag", "fields": "any",
}  # fmt: skip

_WORKERS = 16
_MAXIMUM_CONTAINERS = 200
_MAXIMUM_LINES = 100_000  # of all containers together: parsing them takes about a second
_MINIMUM_LINES = 100
_CONTAINER_BYTES = 8 * 2**20
_SHORTER = 8  # by which the tail is divided when its bytes exceed the bound
_PAST = timedelta(seconds=60)  # a window that ended longer ago is history: tailing from now would miss it
_STAMP = re.compile(rb"\S+")
_ENDED = ("Succeeded", "Failed")

Pod = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Target:
    """One instance of one container."""

    pod: str
    container: str
    previous: bool

    def __str__(self) -> str:
        return f"{self.pod}/{self.container}" + (" (previous)" if self.previous else "")


@dataclass(frozen=True, slots=True)
class _Read:
    """What one container's log gave."""

    records: list[Record]
    truncated: bool


class PodLogs:
    """Reads logs through the Kubernetes API, in parallel, all within `seconds` (the cluster's timeout unless given).

    `container` narrows to one container of each pod; else all are read, init containers too while they are at work. The kubelet
    keeps only the current log file and the previous instance: what was rotated away or belonged to a deleted pod is gone.
    """

    name = "logs"

    def __init__(
        self,
        cluster: KubernetesCluster,
        log_format: LogFormat | None = None,
        *,
        container: str | None = None,
        seconds: float | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cluster = cluster
        self._format = log_format or LogFormat()
        self._container = container
        self._seconds = seconds or cluster.api.seconds
        self._clock = clock

    def probe(self) -> SourceStatus:
        """Ask whether we may read logs."""
        started = time.monotonic()
        try:
            allowed = self._cluster.can("get", "pods", subresource="log")
        except SourceError as error:
            return SourceStatus(name=self.name, status=error.status, error=error.reason)
        reason = None if allowed else f"cannot read logs in namespace {self._cluster.namespace}; needs verb get on pods/log"
        return SourceStatus(
            name=self.name, status="ok" if allowed else "refused", error=reason, seconds=time.monotonic() - started
        )

    def close(self) -> None:
        """The connections are the cluster's, and closed with it."""

    def read(self, selector: str, *, window: Window, lines_per_pod: int = 2000, previous: bool = True) -> Frame:
        """The records of the window, oldest first; of too many pods those that are not ready, restarted or newest, and only then
        those that have ended. What ended before the window is not asked for.

        `attrs["truncated"]`: pods of which lines were left out. `attrs["unread"]`: container -> why it could not be read.
        `attrs["sampled"]`: a sentence when only some of the pods were read, else empty. Raises the first SourceError when no
        container at all could be read.
        """
        deadline = Deadline(self._seconds)
        pods = self._cluster.api.list(PODS, labels=selector).items
        unread: dict[str, str] = {}
        targets = [target for pod in sorted(pods, key=_urgency) for target in self._targets(pod, window, previous, unread)]
        chosen = targets[:_MAXIMUM_CONTAINERS]
        tail = min(lines_per_pod, max(_MINIMUM_LINES, _MAXIMUM_LINES // max(1, len(chosen))))
        answers = gather(chosen, lambda target: self._read(target, window, tail, deadline), workers=_WORKERS, deadline=deadline)
        failed = {target: answer for target, answer in zip(chosen, answers, strict=True) if isinstance(answer, Exception)}
        _raise_if_none_answered(failed, chosen)
        unread |= {str(target): self._why(error) for target, error in failed.items()}
        done = [(target, answer) for target, answer in zip(chosen, answers, strict=True) if isinstance(answer, _Read)]
        return self._frame(done, selector, window, tail, unread, _sample(chosen, targets))

    def _targets(self, pod: Pod, window: Window, previous: bool, unread: dict[str, str]) -> Iterator[_Target]:
        """The container instances of a pod that have a log. Those that never started are noted as unread, with the reason."""
        name, status = pod["metadata"]["name"], pod.get("status") or {}
        for container in (*(status.get("containerStatuses") or ()), *_busy_init_containers(status)):
            if self._container not in (None, container["name"]):
                continue
            state = container.get("state") or {}
            ended = (container.get("lastState") or {}).get("terminated")
            if _was_over(pod, state.get("terminated"), window):
                continue
            if "running" in state or "terminated" in state:
                yield _Target(pod=name, container=container["name"], previous=False)
            elif ended is None:
                reason = (state.get("waiting") or {}).get("reason") or "no reason given"
                unread[f"{name}/{container['name']}"] = f"it has not started: {reason}"
            # While a container waits for its restart, its log is that of the instance before: reading both would double it.
            if previous and ended and (instant(ended.get("finishedAt")) or window.start) >= window.start:
                yield _Target(pod=name, container=container["name"], previous=True)

    def _read(self, target: _Target, window: Window, tail: int, deadline: Deadline) -> _Read:
        """Read one container. `limitBytes` cuts the newest lines, so that a tail which exceeds it is read again, shorter."""
        live = window.end >= self._clock() - _PAST
        query = {"container": target.container, "timestamps": "true", "sinceTime": format_instant(window.start)}
        query |= {"limitBytes": str(_CONTAINER_BYTES), **({"previous": "true"} if target.previous else {})}
        wanted = tail
        while True:
            lines, cut = self._cluster.api.lines(
                target.pod,
                {**query, **({"tailLines": str(wanted)} if live else {})},
                deadline=deadline,
                maximum_bytes=_CONTAINER_BYTES,
                enough=None if live else lambda line: _is_after(line, window.end),
            )
            if not (cut and live and wanted > 1):
                break
            wanted = max(1, wanted // _SHORTER)
        found = records(lines, self._format)
        if lines and not found:
            text = lines[0][:200].decode("utf-8", "replace")
            raise SourceAnswerInvalid(self.name, f"the kubelet has no log of it: {text}")
        return _Read(found[-tail:], cut or wanted < tail or len(lines) >= wanted or len(found) > tail)

    def _why(self, error: Exception) -> str:
        if isinstance(error, UnansweredError):
            return f"not read within {self._seconds:.3g} s"
        return error.reason if isinstance(error, SourceError) else f"{type(error).__name__}: {error}"

    def _frame(
        self,
        done: Sequence[tuple[_Target, _Read]],
        selector: str,
        window: Window,
        tail: int,
        unread: Mapping[str, str],
        sampled: str,
    ) -> Frame:
        rows = [
            (record.time, target.pod, target.container, record.level, record.message, target.previous, record.fields)
            for target, read in done
            for record in read.records
            if record.time in window
        ]
        rows.sort(key=lambda row: row[0])
        which = ["-c", self._container] if self._container else ["--all-containers"]
        words = ["logs", "-l", selector, *which, "--prefix", "--timestamps"]
        words += [f"--since-time={format_instant(window.start)}", f"--tail={tail}", "--max-log-requests=50"]
        built = table(rows, LOG_COLUMNS, source=self.name, query=selector, command=self._cluster.kubectl(*words))
        truncated = sorted({target.pod for target, read in done if read.truncated})
        notes = [sampled] if sampled else []
        built.attrs.update({"truncated": truncated, "unread": dict(unread), "sampled": sampled, "notes": notes})
        return built


def _urgency(pod: Pod) -> tuple[bool, bool, int, float]:
    """Sorts first what most likely has something to tell: pods that are not ready, then restarted ones, then the newest. Those
    that have ended come last: a cluster keeps hundreds of them, of which nothing is left to read once their node is gone."""
    created = instant(pod["metadata"].get("creationTimestamp"))
    return _has_ended(pod), is_ready(pod), -restarts_of(pod), -(created.timestamp() if created else 0.0)


def _has_ended(pod: Pod) -> bool:
    return (pod.get("status") or {}).get("phase") in _ENDED


def _was_over(pod: Pod, ended: Mapping[str, Any] | None, window: Window) -> bool:
    """Whether a container of a pod that has ended wrote its last line before the window."""
    if not ended or not _has_ended(pod):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    # The kubelet knows no end of a container that it lost (ContainerStatusUnknown): the pod ceased to be ready with it.
    unready = next((one.get("lastTransitionTime") for one in conditions if one.get("type") == "Ready"), None)
    return (instant(ended.get("finishedAt") or unready) or window.start) < window.start


def _busy_init_containers(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Init containers that have not done their work; a finished one only tells of a start that went well."""
    return [
        container
        for container in status.get("initContainerStatuses") or ()
        if ((container.get("state") or {}).get("terminated") or {}).get("exitCode") != 0
    ]


def _is_after(line: bytes, end: datetime) -> bool:
    stamp = _STAMP.match(line)
    at = instant(stamp[0].decode("ascii", "replace")) if stamp else None
    return at is not None and at > end


def _raise_if_none_answered(failed: Mapping[_Target, Exception], chosen: Sequence[_Target]) -> None:
    """Logs of which none could be read are a sick source, not a quiet service."""
    if not chosen or len(failed) < len(chosen):
        return
    error = next((error for error in failed.values() if isinstance(error, SourceError)), None)
    if error is None:
        raise SourceTimeout("logs", f"none of the {len(chosen)} containers answered in time")
    raise type(error)("logs", error.reason)


def _sample(chosen: Sequence[_Target], targets: Sequence[_Target]) -> str:
    if len(chosen) == len(targets):
        return ""
    return (
        f"the logs of {len(chosen)} of {len(targets)} containers were read: those of pods that are not ready, restarted or newest"
    )
