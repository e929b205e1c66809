"""A finding as files that outlive this software: JSON for its sentences, CSV for its tables and figure."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from runbook_lib.archive.files import make_directory, write_file
from runbook_lib.models.figure import Figure, LineFigure
from runbook_lib.models.finding import Finding
from runbook_lib.models.window import format_instant

__all__ = ["write_finding"]


def write_finding(evidence: Path, finding: Finding) -> Path:
    """Write `evidence/<name>/` with finding.json, a CSV for each table, and figure.csv. Gives the folder.

    A second look by the same name goes to `<name>-2`: evidence is never written over. `finding` must be redacted already.
    """
    folder = _fresh(evidence, _slug(finding.name))
    tables = []
    for caption, table in finding.tables:
        file = _unused(folder, f"{_slug(caption) or 'table'}.csv")
        write_file(folder / file, as_csv(table))
        tables.append({"caption": caption, "file": file, "rows": len(table), **_provenance(table)})
    figure = None
    if finding.figure is not None:
        write_file(folder / "figure.csv", as_csv(finding.figure.frame))
        figure = _figure(finding.figure)
    told = {
        "name": finding.name,
        "title": finding.title,
        "status": str(finding.status),
        "summary": finding.summary,
        "notes": list(finding.notes),
        "command": finding.command,
        "at": format_instant(finding.at) if finding.at else None,
        "seconds": finding.seconds,
        "sources": [_fields(source, "name status error seconds") for source in finding.sources],
        "signals": [_fields(signal, "name presence text since until subject pods value unit") for signal in finding.signals],
        "tables": tables,
        "figure": figure,
    }
    # Last, so that a folder without it is one that a crash left unfinished.
    write_file(folder / "finding.json", json.dumps(told, indent=2, ensure_ascii=False, default=str) + "\n")
    return folder


def as_csv(table: pd.DataFrame) -> str:
    """Comma-separated, times in ISO 8601 UTC, nested values as JSON, missing ones empty."""
    plain = pd.DataFrame(
        {place: [_cell(item) for item in table.iloc[:, place]] for place in range(len(table.columns))}, dtype=object
    )
    plain.columns = pd.Index([str(column) for column in table.columns])
    return str(plain.to_csv(index=False, lineterminator="\n"))


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, datetime) and not pd.isna(value):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


def _figure(figure: Figure) -> dict[str, Any]:
    markers = figure.markers if isinstance(figure, LineFigure) else ()
    return {
        "kind": "lines" if isinstance(figure, LineFigure) else "bars",
        "title": figure.title,
        "unit": figure.unit,
        "file": "figure.csv",
        "thresholds": [_fields(threshold, "value label severity") for threshold in figure.thresholds],
        "markers": [_fields(marker, "at label kind") for marker in markers],
    }


def _fields(value: Any, names: str) -> dict[str, Any]:
    found = {name: getattr(value, name) for name in names.split()}
    return {name: format_instant(item) if isinstance(item, datetime) else item for name, item in found.items()}


def _provenance(table: pd.DataFrame) -> dict[str, Any]:
    return {key: table.attrs[key] for key in ("unit", "source", "query", "command") if table.attrs.get(key)}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:60]


def _fresh(parent: Path, name: str) -> Path:
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            make_directory(folder, new=True)
        except FileExistsError:
            number += 1
            continue
        return folder


def _unused(folder: Path, name: str) -> str:
    stem, number, candidate = name.removesuffix(".csv"), 2, name
    while (folder / candidate).exists():
        candidate, number = f"{stem}-{number}.csv", number + 1
    return candidate
