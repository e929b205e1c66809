"""`runbook run` and `runbook open`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runbook_lib.cli.options import AsJson, Environment, Issue, NotebooksFolder, OutputsFolder, ParametersFolder, ServiceName

if TYPE_CHECKING:
    from runbook_lib.archive.runner import RunRequest

__all__ = ["End", "Parameters", "Start", "Window", "request_for", "run"]

_OWN_OPTIONS = {
    "service": "--service",
    "environment": "--env",
    "window": "--window",
    "start": "--start",
    "end": "--end",
    "approve": "--approve",
    "dry_run": "--dry-run",
    "alert": "--alert",
    "archive": "--outputs",
}

Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", "-p", metavar="K=V", help="A parameter of the notebook; may be given often.")
]
Window = Annotated[str, typer.Option("--window", metavar="DURATION", help="How far back to look, such as 60m or 2h.")]
Start = Annotated[
    str, typer.Option("--start", metavar="TIME", help="Look from this time (ISO 8601; UTC unless it says otherwise).")
]
End = Annotated[str, typer.Option("--end", metavar="TIME", help="Look up to this time.")]


def run(
    issue: Issue,
    service: ServiceName,
    environment: Environment = "",
    parameter: Parameters = None,
    approve: Annotated[
        list[str] | None,
        typer.Option(
            "--approve", metavar="ACTION", help="Execute this action if it fits; high risk: ACTION=TARGET. May be given often."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing, whatever is approved.")] = False,
    window: Window = "60m",
    start: Start = "",
    end: End = "",
    as_json: AsJson = False,
    alert: Annotated[
        Path | None, typer.Option("--alert", metavar="FILE", help="The alert that calls for this run, as JSON.")
    ] = None,
    parameters: ParametersFolder = None,
    notebooks: NotebooksFolder = None,
    outputs: OutputsFolder = None,
) -> None:
    """Run a runbook from end to end and archive it. The last line is the archive's path.

    Without --approve nothing is changed: every fix is shown as a plan.

    \b
    Examples:
      runbook run high_error_rate --service orders --env prod
      runbook run high_error_rate -s orders -e prod --window 2h --approve restart_pods
      runbook run high_error_rate -s parameters/orders.prod.yaml --start 2026-05-04T03:00Z --end 2026-05-04T04:00Z
    """
    from runbook_lib.cli.progress import shown
    from runbook_lib.cli.telling import NOTEBOOK_FAILED, say, say_json, warn

    request = request_for(
        issue,
        service=service,
        environment=environment,
        given=parameter or [],
        approve=approve or [],
        dry_run=dry_run,
        window=window,
        start=start,
        end=end,
        alert=_alert(alert),
        folders=(parameters, notebooks, outputs),
    )
    from runbook_lib.archive.runner import run_notebook

    with shown(f"{issue} for {service}") as progress:
        result = run_notebook(request, progress=progress)
    if result.error:
        warn(f"runbook: the notebook failed: {result.error}")
    if as_json:
        say_json(result.record.model_dump(mode="json", by_alias=True))
    else:
        if result.record.summary:
            say(result.record.summary)
        say(str(result.directory))
    if result.error:
        raise typer.Exit(NOTEBOOK_FAILED)


def request_for(
    issue: str,
    *,
    service: str,
    environment: str,
    given: list[str],
    window: str,
    start: str,
    end: str,
    folders: tuple[Path | None, Path | None, Path | None],
    approve: list[str] | None = None,
    dry_run: bool = False,
    alert: dict[str, Any] | None = None,
) -> RunRequest:
    """Check all that can be checked before a kernel starts, and put it together. `folders`: parameters, notebooks, outputs."""
    from runbook_lib.archive.runner import RunRequest
    from runbook_lib.cli.notebooks import read_runbook
    from runbook_lib.folders import notebooks_folder, outputs_folder, parameters_folder
    from runbook_lib.models.window import parse_duration, parse_instant
    from runbook_lib.service import service_file, service_from

    parameters = parameters_folder(folders[0]).resolve()
    notebooks = notebooks_folder(folders[1]).resolve()
    outputs = outputs_folder(folders[2]).resolve()
    runbook = read_runbook(notebooks, issue)
    if approve:
        from runbook_lib.actions.interface import Approvals
        from runbook_lib.playbooks import playbook

        Approvals.parse(approve, known=playbook(issue).actions)
    values = _values(given, [known.name for known in runbook.parameters])
    chosen = service_from(service, environment or None, parameters)
    parse_duration(window)
    for instant in (start, end):
        if instant:
            parse_instant(instant)
    return RunRequest(
        issue=issue,
        # The notebook runs in another folder, where a relative path would mean something else.
        service=str(service_file(service, environment or None, parameters).resolve()),
        environment=chosen.environment,
        parameters=values,
        approve=tuple(approve or ()),
        dry_run=dry_run,
        window=window,
        start=start,
        end=end,
        alert=alert,
        notebooks=notebooks,
        parameters_directory=parameters,
        outputs=outputs,
    )


def _values(given: list[str], known: list[str]) -> dict[str, Any]:
    """Read `-p k=v`. Values are YAML scalars, so that 5 is a number, true a truth value, and the rest text."""
    import difflib

    import yaml

    from runbook_lib.errors import UsageError
    from runbook_lib.service.secret_names import names_secret
    from runbook_lib.service.secrets import holds_secret

    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"-p takes name=value; found {name!r} without =")
        if name in _OWN_OPTIONS:
            raise UsageError(f"the parameter {name} has an option of its own: {_OWN_OPTIONS[name]}")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"the runbook has no parameter {name}; "
                + (f"did you mean {close[0]}?" if close else f"it has {', '.join(known)}")
            )
        if names_secret(name) or holds_secret(value):
            raise UsageError(f"the parameter {name} would put a secret into the archive; refer to it in the service file instead")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"the value of {name} cannot be read; quote it if it is text") from error
    return values


def _alert(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    import json

    from runbook_lib.errors import UsageError

    try:
        alert = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--alert {path}: {error}") from error
    if not isinstance(alert, dict):
        raise UsageError(f"--alert {path}: an alert is a JSON object; found {type(alert).__name__}")
    return alert
