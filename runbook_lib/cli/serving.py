"""`runbook serve`: alerts in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runbook_lib.cli.options import NotebooksFolder, OutputsFolder, ParametersFolder

__all__ = ["serve"]

_TOKEN = "env:RUNBOOK_RECEIVER_TOKEN"


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0: any that is free.")] = 9095,
    token: Annotated[
        str, typer.Option("--token", metavar="REFERENCE", help="The bearer token that senders must have: env:NAME or file:PATH.")
    ] = _TOKEN,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Runs at the same time.")] = 2,
    deadline: Annotated[str, typer.Option("--deadline", metavar="DURATION", help="A run that takes longer is ended.")] = "10m",
    window: Annotated[str, typer.Option("--window", metavar="DURATION", help="How far back each run looks.")] = "60m",
    queue: Annotated[
        Path | None,
        typer.Option("--queue", metavar="DIR", help="Folder of the alerts that wait. [default: .queue in the outputs]"),
    ] = None,
    parameters: ParametersFolder = None,
    notebooks: NotebooksFolder = None,
    outputs: OutputsFolder = None,
) -> None:
    """Take alerts and run the runbooks that they call for.

    Alertmanager posts to /alerts; alert_routes.yaml in the parameters says which alert starts which runbook. What was accepted
    is on disk and survives a crash. Ctrl-C ends it; runs that are on then wait for the next start.

    \b
    Example:
      RUNBOOK_RECEIVER_TOKEN=... runbook serve --port 9095
    and in Alertmanager:
      webhook_configs: [{url: "http://127.0.0.1:9095/alerts", http_config: {authorization: {credentials_file: ...}}}]
    """
    from runbook_lib.cli.telling import warn
    from runbook_lib.folders import notebooks_folder, outputs_folder, parameters_folder
    from runbook_lib.models.window import parse_duration
    from runbook_lib.receiver.server import Serving
    from runbook_lib.receiver.server import serve as serve_alerts
    from runbook_lib.receiver.workers import RunCommand

    parse_duration(window)
    folder = outputs_folder(outputs).resolve()
    command = RunCommand(
        notebooks=notebooks_folder(notebooks).resolve(),
        parameters=parameters_folder(parameters).resolve(),
        outputs=folder,
        window=window,
    )
    if host not in ("127.0.0.1", "::1", "localhost"):
        warn(f"runbook: {host} is reachable from elsewhere and this server speaks plain HTTP; put a proxy with TLS in front")
    serving = Serving(
        host=host,
        port=port,
        token=_secret(token),
        command=command,
        queue=(queue or folder / ".queue").resolve(),
        workers=workers,
        deadline_seconds=parse_duration(deadline).total_seconds(),
    )
    serve_alerts(serving, told=warn)


def _secret(text: str) -> str:
    from runbook_lib.errors import ConfigurationError
    from runbook_lib.service import Reference

    reference = Reference(text)
    if reference.is_literal:
        raise ConfigurationError(
            "--token takes a reference such as env:NAME or file:PATH; a token itself would show in the process list"
        )
    return reference.resolve()
