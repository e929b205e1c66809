"""Incident folders as a run leaves them, written by hand."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runbook_lib.archive.folder import IncidentFolder
from runbook_lib.models.record import IncidentRecord

AT = datetime(2026, 3, 1, 4, tzinfo=UTC)


def record(**changes: Any) -> IncidentRecord:
    """The record of an investigation that has ended."""
    fields = {
        "schema": 1,
        "id": "20260301T040000.000Z-high_error_rate-abc123",
        "issue": "high_error_rate",
        "service": "orders",
        "environment": "prod",
        "status": "completed",
        "started_at": AT,
        "finished_at": AT,
        "window_start": AT,
        "window_end": AT,
    }
    return IncidentRecord(**{**fields, **changes})


def folder(
    outputs: Path, *outputs_of_a_cell: Any, markdown: str = "## Look", known: IncidentRecord | None = None
) -> IncidentFolder:
    """A folder with a record, and a notebook whose one code cell had these outputs."""
    known = known or record()
    made = IncidentFolder(outputs / known.service / "2026-03-01" / known.id)
    made.path.mkdir(parents=True)
    made.write_record(known)
    cells = [
        {"cell_type": "markdown", "source": markdown, "metadata": {}},
        {"cell_type": "code", "source": "incident.check.error_logs()", "metadata": {}, "outputs": list(outputs_of_a_cell)},
    ]
    made.notebook.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return made


def shown(**data: Any) -> dict[str, Any]:
    """An output of a cell, by media type; `html` and `plotly` for short."""
    names = {"html": "text/html", "plotly": "application/vnd.plotly.v1+json", "png": "image/png", "text": "text/plain"}
    return {"output_type": "display_data", "data": {names[name]: content for name, content in data.items()}, "metadata": {}}
