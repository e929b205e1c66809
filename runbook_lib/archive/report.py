"""`report.html`: an incident as one file that opens without any network."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from runbook_lib.archive.blocks import blocks_of, sections_of
from runbook_lib.archive.files import write_file
from runbook_lib.archive.folder import IncidentFolder
from runbook_lib.archive.summary import summary
from runbook_lib.models.record import IncidentRecord
from runbook_lib.models.window import format_instant

__all__ = ["render"]


def render(directory: Path) -> Path:
    """Write the report of an incident from its record and its notebook, as far as they have come. Gives the report's path.

    Raises ArchiveError when there is no record, or the report cannot be written.
    """
    folder = IncidentFolder(directory)
    record = folder.read_record()
    write_file(folder.report, _page(record, _cells(folder.notebook)))
    return folder.report


def _cells(notebook: Path) -> list[dict[str, Any]]:
    """The notebook's cells; none when a crash left no notebook."""
    try:
        cells: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return []
    joined = [{**cell, "source": _joined(cell.get("source", ""))} for cell in cells]
    for cell in joined:
        cell["outputs"] = [_joined_output(output) for output in cell.get("outputs") or ()]
    return joined


def _joined(text: Any) -> str:
    """On disk, a text of a notebook may be a list of lines."""
    return "".join(text) if isinstance(text, list) else str(text)


def _joined_output(output: dict[str, Any]) -> dict[str, Any]:
    joined = dict(output)
    if "text" in output:
        joined["text"] = _joined(output["text"])
    if "data" in output:
        joined["data"] = {
            kind: content if kind.endswith("json") else _joined(content) for kind, content in output["data"].items()
        }
    return joined


def _page(record: IncidentRecord, cells: list[dict[str, Any]]) -> str:
    import jinja2
    from markupsafe import Markup

    from runbook_lib.display.theme import CSS

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["instant"] = format_instant
    blocks = blocks_of(cells)
    plotly, drawing = _asset("assets/plotly-basic.min.js"), _asset("templates/drawing.js")
    return environment.from_string(_asset("templates/report.html")).render(
        record=record,
        title=record.issue.replace("_", " ").capitalize(),
        status_words="still running" if record.status == "running" else record.status,
        summary=summary(record),
        sections=sections_of(cells),
        blocks=blocks,
        has_figures=any(block.kind == "figure" for block in blocks),
        css=Markup(_asset("templates/report.css")),
        card_css=Markup(CSS),
        plotly=plotly,
        drawing=drawing,
        script_hashes=Markup(f"{_hash(plotly)} {_hash(drawing)}"),
    )


@cache
def _asset(path: str) -> str:
    return files("runbook_lib.archive").joinpath(path).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """What a browser must find an inline script to be before it runs it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
