"""`runbook list`, `runbook incidents` and `runbook report`: what there is, and what there was."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runbook_lib.cli.options import AsJson, NotebooksFolder, OutputsFolder

if TYPE_CHECKING:
    from runbook_lib.models.record import IncidentRecord

__all__ = ["incidents", "list_runbooks", "report"]


def list_runbooks(notebooks: NotebooksFolder = None, as_json: AsJson = False) -> None:
    """List the runbooks and their parameters.

    \b
    Example:
      runbook list
    """
    from dataclasses import asdict

    from runbook_lib.cli.notebooks import runbooks
    from runbook_lib.cli.telling import say, say_json
    from runbook_lib.folders import notebooks_folder

    found = runbooks(notebooks_folder(notebooks))
    if as_json:
        say_json([asdict(runbook) for runbook in found])
        return
    for runbook in found:
        say(f"{runbook.name}: {runbook.title}")
        written = [f"{parameter.name}={parameter.default}" for parameter in runbook.parameters]
        width = max(map(len, written), default=0)
        for text, parameter in zip(written, runbook.parameters, strict=True):
            say(f"  {text:<{width}}  {parameter.help}".rstrip())


def incidents(
    search: Annotated[str, typer.Argument(metavar="[SEARCH]", help="Only incidents that have this text anywhere.")] = "",
    as_json: AsJson = False,
    outputs: OutputsFolder = None,
) -> None:
    """List the archive, newest first.

    \b
    Examples:
      runbook incidents
      runbook incidents db_pool_exhausted
      runbook incidents orders --json
    """
    from runbook_lib.archive.index import incidents as archived
    from runbook_lib.cli.telling import say_json, table, warn
    from runbook_lib.folders import outputs_folder

    folder = outputs_folder(outputs)
    found = archived(folder, search=search)
    if as_json:
        say_json([{**entry.record.model_dump(mode="json", by_alias=True), "path": str(entry.directory)} for entry in found])
    elif not found:
        warn(f"no incident{f' with {search!r}' if search else ''} in {folder}")
    else:
        columns = ("STARTED", "SERVICE", "ISSUE", "STATUS", "CONFIRMED", "PATH")
        table(columns, [_row(entry.record, entry.directory) for entry in found])
    _warn_of_broken_audits(entry.directory for entry in found)


def _warn_of_broken_audits(directories: Iterable[Path]) -> None:
    """Say of each incident whose audit was altered since it was written; one without actions has none."""
    from runbook_lib.actions.audit import FILE_NAME, verify_chain
    from runbook_lib.cli.telling import warn

    for path in (directory / FILE_NAME for directory in directories):
        if path.is_file() and not (seen := verify_chain(path)).intact:
            warn(f"{path}: {seen.text}")


def _row(record: IncidentRecord, directory: Path) -> tuple[str, ...]:
    from runbook_lib.models.window import format_instant

    confirmed = [cause.name for cause in record.causes if cause.verdict == "confirmed" and cause.because_of is None]
    return (
        format_instant(record.started_at),
        f"{record.service}.{record.environment}",
        record.issue,
        record.status,
        ", ".join(confirmed) or "-",
        str(directory),
    )


def report(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder of an incident, or its incident.ipynb.")],
) -> None:
    """Render an incident's report.html again from its notebook, and check its audit. The last line is the report's path.

    \b
    Example:
      runbook report outputs/orders/2026-05-04/20260504T031240Z-high_error_rate
    """
    from runbook_lib.cli.telling import say
    from runbook_lib.errors import UsageError

    directory = path.parent if path.name == "incident.ipynb" else path
    if not (directory / "incident.ipynb").is_file():
        raise UsageError(f"{directory}: there is no incident.ipynb; `runbook incidents` lists the folders")
    from runbook_lib.archive.report import render

    _warn_of_broken_audits([directory])
    say(str(render(directory)))
