"""What `runbook lint` looks at: files only, no system is asked."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from runbook_lib.actions.registry import ACTIONS
from runbook_lib.cli.notebooks import runbooks
from runbook_lib.errors import ConfigurationError
from runbook_lib.receiver.routes import ROUTES_FILE, load_routes
from runbook_lib.service import Service, load_service

__all__ = ["Remark", "lint"]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to mend. An `error` makes a run fail or do the wrong thing, a `warning` does not."""

    severity: Literal["error", "warning"]
    text: str


def lint(*, parameters: Path, notebooks: Path, today: date) -> Iterator[Remark]:
    """Every remark on the service files, the alert routes and the notebooks of two folders."""
    yield from _service_files(parameters, today)
    yield from _routes(parameters, notebooks)
    yield from _notebooks(notebooks)


def _service_files(folder: Path, today: date) -> Iterator[Remark]:
    paths = sorted(path for pattern in ("*.*.yaml", "*.*.yml") for path in folder.glob(pattern))
    if not paths:
        yield Remark("error", f"{folder}: there are no service files; copy service.example.yaml and fill it in")
    for path in paths:
        try:
            service = load_service(path)
        except ConfigurationError as error:
            yield from _errors(error)
        else:
            yield from _service(path, service, today)


def _service(path: Path, service: Service, today: date) -> Iterator[Remark]:
    review = service.maintenance.next_review
    if review is not None and review < today:
        yield Remark("warning", f"{path}: the review was due on {review}; look it through and set maintenance.next_review")
    actions = sorted(ACTIONS)
    policy = service.policy
    for field in ("enabled_actions", "forbidden_actions", "auto_approve"):
        for action in getattr(policy, field):
            if action not in actions:
                # Not an error: a team may forbid an action ahead of the release that brings it.
                yield Remark("warning", f"{path}: policy.{field} names {action}, which is no action; {_nearest(action, actions)}")


def _routes(parameters: Path, notebooks: Path) -> Iterator[Remark]:
    path = parameters / ROUTES_FILE
    if not path.exists():
        return
    try:
        routes = load_routes(parameters)
    except ConfigurationError as error:
        yield from _errors(error)
        return
    stems = sorted(found.stem for found in notebooks.glob("*.ipynb"))
    for route in routes.routes:
        if route.notebook not in stems:
            yield Remark("error", f"{path}: no runbook {route.notebook} in {notebooks}; {_nearest(route.notebook, stems)}")


def _notebooks(folder: Path) -> Iterator[Remark]:
    try:
        found = runbooks(folder)
    except ConfigurationError as error:
        yield from _errors(error)
        return
    for runbook in found:
        cells = json.loads(runbook.path.read_text(encoding="utf-8"))["cells"]
        kept = [number for number, cell in enumerate(cells, 1) if cell.get("outputs") or cell.get("execution_count")]
        if kept:
            yield Remark(
                "error", f"{runbook.path}: outputs are stored in cells {', '.join(map(str, kept))}; run nbstripout on it"
            )


def _errors(error: ConfigurationError) -> Iterator[Remark]:
    return (Remark("error", line) for line in str(error).splitlines())


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there is {', '.join(known) or 'none'}"
