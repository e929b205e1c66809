"""Where a team's folders are, unless somebody says so: service files, notebooks, archive.

Each is the one given, else the environment variable's, else the folder of that name here or one above - a notebook that somebody
opens in JupyterLab runs in its own folder. For reading, the folders that come with the library are the last resort, so that
an installed wheel works without a clone.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["notebooks_folder", "outputs_folder", "parameters_folder", "shipped_folder"]

_PACKAGE = Path(__file__).resolve().parent
# In a wheel the folders lie within the package, in a clone beside it.
_SHIPPED = (_PACKAGE / "shipped", _PACKAGE.parent)


def parameters_folder(given: str | Path | None = None) -> Path:
    """The folder of the service files and alert routes; RUNBOOK_PARAMETERS. It may turn out not to exist."""
    return _found("parameters", given, shipped=True)


def notebooks_folder(given: str | Path | None = None) -> Path:
    """The folder of the runbooks; RUNBOOK_NOTEBOOKS. It may turn out not to exist."""
    return _found("notebooks", given, shipped=True)


def outputs_folder(given: str | Path | None = None) -> Path:
    """The incident archive; RUNBOOK_OUTPUTS. Whoever writes first creates it."""
    return _found("outputs", given, shipped=False)


def shipped_folder(name: str) -> Path:
    """A folder that comes with the library, such as `deploy`, whatever folder of that name a team has."""
    return next((folder / name for folder in _SHIPPED if (folder / name).is_dir()), _PACKAGE / "shipped" / name)


def _found(name: str, given: str | Path | None, *, shipped: bool) -> Path:
    chosen = given or os.environ.get(f"RUNBOOK_{name.upper()}")
    if chosen:
        return Path(chosen).expanduser()
    here = Path.cwd()
    folders: tuple[Path, ...] = (here, here.parent, *(_SHIPPED if shipped else ()))
    for folder in folders:
        if (folder / name).is_dir():
            return folder / name
    return here / name
