"""Where a team's service files are, unless somebody says so."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["parameters_folder"]


def parameters_folder(given: str | Path | None = None) -> Path:
    """The folder of the service files: the one given, RUNBOOK_PARAMETERS, else `parameters/` here or above here.

    Above, since a notebook that somebody opens in JupyterLab runs in its own folder. Whether it exists is for its reader to say.
    """
    named = given or os.environ.get("RUNBOOK_PARAMETERS")
    if named:
        return Path(named).expanduser()
    here = Path.cwd()
    return next(
        (folder / "parameters" for folder in (here, *here.parents) if (folder / "parameters").is_dir()), Path("parameters")
    )
