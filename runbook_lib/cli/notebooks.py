"""Reading a runbook without running it: its title and its parameters.

papermill can tell them too, but its import alone takes longer than a tired person waits for `runbook list`.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_lib.errors import ConfigurationError, UsageError

__all__ = ["Parameter", "Runbook", "read_runbook", "runbooks"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a notebook, with its default as Python writes it and the comment beside it."""

    name: str
    default: str
    help: str


@dataclass(frozen=True, slots=True)
class Runbook:
    """A notebook as `runbook list` shows it."""

    name: str
    title: str
    path: Path
    parameters: tuple[Parameter, ...]


def runbooks(folder: Path) -> list[Runbook]:
    """Every runbook of a folder, by name. Raises ConfigurationError when there is no such folder."""
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder of runbooks; give --notebooks DIR or set RUNBOOK_NOTEBOOKS")
    return [_read(path) for path in sorted(folder.glob("*.ipynb"))]


def read_runbook(folder: Path, name: str) -> Runbook:
    """The runbook of this name. Raises UsageError, with the nearest names, when there is none."""
    path = folder / f"{name}.ipynb"
    if not path.is_file():
        names = [known.name for known in runbooks(folder)]
        raise UsageError(f"no runbook {name} in {folder}; {_nearest(name, names)}")
    return _read(path)


def _nearest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, names := list(names), n=1)
    return f"did you mean {close[0]}?" if close else f"there is {', '.join(names) or 'none at all'}"


def _read(path: Path) -> Runbook:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path}: is not a notebook: {error}") from error
    headings = (line for cell in cells if cell.get("cell_type") == "markdown" for line in _source(cell).splitlines())
    title = next((line.lstrip("# ").strip() for line in headings if line.startswith("# ")), path.stem)
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", ())]
    if len(tagged) != 1:
        raise ConfigurationError(f"{path}: a runbook has one cell with the tag `parameters`; found {len(tagged)}")
    return Runbook(path.stem, title, path, _parameters(path, _source(tagged[0])))


def _source(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _parameters(path: Path, source: str) -> tuple[Parameter, ...]:
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ConfigurationError(f"{path}: the parameters cell is not Python: {error.msg}") from error
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found: list[Parameter] = []
    for statement in statements:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        value = getattr(statement, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.expr):
            found.append(Parameter(target.id, ast.unparse(value), comments.get(statement.end_lineno or 0, "")))
    return tuple(found)
