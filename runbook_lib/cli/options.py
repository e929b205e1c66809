"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AsJson", "Environment", "Issue", "NotebooksFolder", "OutputsFolder", "ParametersFolder", "ServiceName"]

Issue = Annotated[str, typer.Argument(metavar="ISSUE", help="The runbook, such as high_error_rate; `runbook list` has all.")]
ServiceName = Annotated[
    str, typer.Option("--service", "-s", metavar="S", help="A service's name in the parameters folder, or a service file's path.")
]
Environment = Annotated[
    str,
    typer.Option(
        "--env", "-e", metavar="E", help="The environment, such as prod. Not needed with a file, or when there is only one."
    ),
]
ParametersFolder = Annotated[
    Path | None,
    typer.Option(
        "--parameters", metavar="DIR", help="Folder of the service files. [env: RUNBOOK_PARAMETERS; default: parameters/]"
    ),
]
NotebooksFolder = Annotated[
    Path | None,
    typer.Option("--notebooks", metavar="DIR", help="Folder of the runbooks. [env: RUNBOOK_NOTEBOOKS; default: notebooks/]"),
]
OutputsFolder = Annotated[
    Path | None,
    typer.Option("--outputs", metavar="DIR", help="Folder of the incident archive. [env: RUNBOOK_OUTPUTS; default: outputs/]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout, and nothing else there.")]
