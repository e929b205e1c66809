"""`runbook open`: the notebook with its parameters filled in, in JupyterLab."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runbook_lib.cli.options import Environment, Issue, NotebooksFolder, OutputsFolder, ParametersFolder, ServiceName
from runbook_lib.cli.running import End, Parameters, Start, Window

if TYPE_CHECKING:
    from runbook_lib.archive.runner import RunRequest

__all__ = ["open_notebook"]


def open_notebook(
    issue: Issue,
    service: ServiceName,
    environment: Environment = "",
    parameter: Parameters = None,
    window: Window = "60m",
    start: Start = "",
    end: End = "",
    prepare: Annotated[bool, typer.Option("--prepare", help="Only write the notebook, and print its path.")] = False,
    parameters: ParametersFolder = None,
    notebooks: NotebooksFolder = None,
    outputs: OutputsFolder = None,
) -> None:
    """Open a runbook in JupyterLab, parameters filled in.

    It is a copy in the folder of a new incident, which is also where what you see and do is archived.

    \b
    Example:
      runbook open high_error_rate --service orders --env prod
    """
    from runbook_lib.cli.running import request_for
    from runbook_lib.cli.telling import say, warn

    request = request_for(
        issue,
        service=service,
        environment=environment,
        given=parameter or [],
        window=window,
        start=start,
        end=end,
        folders=(parameters, notebooks, outputs),
    )
    path = _prepared(request)
    if prepare:
        say(str(path))
        return
    warn(f"runbook: {path}")
    _become_jupyterlab(path)


def _prepared(request: RunRequest) -> Path:
    """The notebook with its parameters, in the folder of a new incident."""
    from papermill.iorw import load_notebook_node, write_ipynb
    from papermill.parameterize import parameterize_notebook

    from runbook_lib.archive.folder import new_folder
    from runbook_lib.service import load_service

    notebook = load_notebook_node(str(request.notebooks / f"{request.issue}.ipynb"))
    folder = new_folder(request.outputs, service=load_service(request.service).name, issue=request.issue)
    values = {
        "service": request.service,
        "environment": request.environment,
        "window": request.window,
        "start": request.start,
        "end": request.end,
        "archive": str(folder.path),
        **request.parameters,
    }
    write_ipynb(parameterize_notebook(notebook, values), str(folder.notebook))
    return folder.notebook


def _become_jupyterlab(path: Path) -> None:
    """Replace this process, so that Ctrl-C and the exit code are JupyterLab's own."""
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", str(path)])
