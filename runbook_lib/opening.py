"""Opening an incident from a notebook's parameters: everything is put together here, and nowhere else."""

from __future__ import annotations

import getpass
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib.actions.interface import Approvals, CacheOperator, DatabaseOperator, Mode
from runbook_lib.archive.folder import IncidentFolder, new_folder
from runbook_lib.archive.journal import Journal
from runbook_lib.archive.known_secrets import known_secrets
from runbook_lib.archive.redaction import Redaction
from runbook_lib.errors import UsageError
from runbook_lib.folders import outputs_folder, parameters_folder
from runbook_lib.incident import Incident, Opening, ResolutionSettings, Scope
from runbook_lib.models.window import Window, parse_duration, parse_instant
from runbook_lib.playbooks import playbook
from runbook_lib.service import Service, service_from
from runbook_lib.service.instrumentation import Expressions
from runbook_lib.sources.container import Container
from runbook_lib.sources.discovery import discover
from runbook_lib.sources.opening import open_sources
from runbook_lib.sources.recorded import recording, replayed
from runbook_lib.sources.single_flight import single_flight

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["open_incident"]


def open_incident(
    issue: str,
    *,
    service: str | Path | Mapping[str, Any],
    environment: str = "",
    window: str = "60m",
    start: str = "",
    end: str = "",
    approve: str | Sequence[str] = (),
    dry_run: bool = False,
    alert: Mapping[str, Any] | None = None,
    archive: str = "",
    replay: str = "",
) -> Incident:
    """Open an incident of this issue type, and begin all checks of its playbook at once.

    service: a name in `parameters/`, the path of a service file, or its content. window: how far to look back from `end` (now);
    an alert that began earlier widens it. approve: actions to execute when nobody sits at the notebook. archive: the incident's
    folder; empty: a new one. replay: an earlier incident's folder, whose recorded answers are looked at instead of any system.
    Raises UsageError or ConfigurationError, with what to mend, before anything is asked.
    """
    chosen = playbook(issue)
    known = service_from(service, environment or None, parameters_folder())
    approvals = Approvals.parse(approve, known=chosen.actions)
    told = dict(alert or {})
    started_at = datetime.now(UTC)
    earlier = IncidentFolder(Path(replay)) if replay else None
    looked_at = _recorded_window(earlier) if earlier else _window(known, window, start, end, told)
    folder = IncidentFolder(Path(archive)) if archive else new_folder(outputs_folder(), service=known.name, issue=issue)
    journal = Journal(folder, Redaction(known_secrets(known)))
    _show_clean(journal)
    sources = (
        replayed(earlier.answers)
        if earlier
        else recording(single_flight(open_sources(known)), journal.answers_directory, clean=journal.clean)
    )
    return Incident(
        Opening(
            identifier=folder.id,
            playbook=chosen,
            scope=Scope(
                service=known,
                sources=sources,
                window=looked_at,
                live=not end if earlier is None else _was_live(earlier),
                replayed=earlier is not None,
                discover=_once(lambda: discover(known, sources, window=looked_at)),
            ),
            journal=journal,
            settings=ResolutionSettings(
                mode=_mode(told, approvals),
                operator=_operator(),
                history=outputs_folder() / known.name,
                approvals=approvals,
                dry_run=dry_run,
                api_client=_operator_client(known),
                open_container=Container,
                database=_operator_of_database(known),
                cache=_operator_of_cache(known),
            ),
            heap_dumps=earlier.heap if earlier is not None else None,
            alert=told,
            started_at=started_at,
        )
    )


def _window(service: Service, window: str, start: str, end: str, alert: Mapping[str, Any]) -> Window:
    until = parse_instant(end) if end else datetime.now(UTC)
    since = parse_instant(start) if start else until - parse_duration(window)
    if not start and (began := alert.get("startsAt")):
        since = min(since, parse_instant(str(began)) - parse_duration(service.limits.onset_lookback))
    if since >= until:
        raise UsageError(f"a window whose start lies before its end was expected; found start={start!r}, end={end!r}")
    return Window(since, until)


def _recorded_window(folder: IncidentFolder) -> Window:
    record = folder.read_record()
    return Window(record.window_start, record.window_end)


def _was_live(folder: IncidentFolder) -> bool:
    record = folder.read_record()
    return abs(record.started_at - record.window_end) < timedelta(minutes=1)


def _mode(alert: Mapping[str, Any], approvals: Approvals) -> Mode:
    """Whether somebody sits at the notebook: a front end that can ask says so with each cell; papermill cannot."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        shell = None
    else:
        shell = get_ipython()
    if getattr(getattr(shell, "kernel", None), "_allow_stdin", False):
        return "interactive"
    return "alert" if alert and not approvals.targets else "papermill"


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"  # a container whose user id has no name


def _operator_client(service: Service) -> Callable[[], ApiClient | None]:
    """Logs in with the identity for changes, when the first action is proposed."""
    from runbook_lib.sources.kubernetes import KubernetesCluster

    connection = service.connections.kubernetes
    if connection is None:
        return lambda: None
    return lambda: KubernetesCluster(connection).operator().api_client


def _operator_of_database(service: Service) -> DatabaseOperator | None:
    from runbook_lib.sources.postgres_operator import PostgresOperator

    connection = service.connections.postgres
    return PostgresOperator(connection) if connection is not None else None


def _operator_of_cache(service: Service) -> CacheOperator | None:
    from runbook_lib.sources.redis_operator import RedisOperator

    connection = service.connections.redis
    return RedisOperator(connection) if connection is not None else None


def _once(find: Callable[[], Expressions]) -> Callable[[], Expressions]:
    """Which metrics exist is found out once; a failure is not kept, since Prometheus may come back."""
    lock, found = threading.Lock(), list[Expressions]()

    def known() -> Expressions:
        with lock:
            if not found:
                found.append(find())
            return found[0]

    return known


def _show_clean(journal: Journal) -> None:
    """What is shown lands in the archive, so that it is redacted as well."""
    from runbook_lib import display

    display.register(clean=journal.clean)
