"""The page that explains the words says what the code says."""

import json
import re
from pathlib import Path

import pytest

from runbook_lib.analysis.heap.content import COLUMNS as HEAP_COLUMNS
from runbook_lib.analysis.heap.growth import COLUMNS as GROWTH_COLUMNS
from runbook_lib.incident.heap import DUMP_COLUMNS
from runbook_lib.service.instrumentation import MEASURES, PRESETS, resolving
from runbook_lib.sources import postgres, postgres_plans, postgres_statistics, redis_looks
from runbook_lib.sources.configuration import CHANGE_COLUMNS
from runbook_lib.sources.events import EVENT_COLUMNS
from runbook_lib.sources.logs import LOG_COLUMNS
from runbook_lib.sources.networking import ENDPOINT_COLUMNS, POLICY_COLUMNS
from runbook_lib.sources.pods import METRIC_COLUMNS, POD_COLUMNS
from runbook_lib.sources.rollout import HISTORY_COLUMNS
from runbook_lib.sources.templates import DIFF_COLUMNS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "nomenclature.md").read_text()
FRAMES = {
    "cluster: `pods`": POD_COLUMNS,
    "cluster: `events`": EVENT_COLUMNS,
    "cluster: `rollout_history`": HISTORY_COLUMNS,
    "cluster: `rollout_diff`": DIFF_COLUMNS,
    "cluster: `config_changes`": CHANGE_COLUMNS,
    "cluster: `endpoints`": ENDPOINT_COLUMNS,
    "cluster: `network_policies`": POLICY_COLUMNS,
    "cluster: `pod_metrics`": METRIC_COLUMNS,
    "heap: contents": HEAP_COLUMNS,
    "heap: growth": GROWTH_COLUMNS,
    "heap: dumps": DUMP_COLUMNS,
    "logs: `read`": LOG_COLUMNS,
    "cache: `slow_log`": redis_looks._SLOW_COLUMNS,
    "cache: `latency_events`": redis_looks._EVENT_COLUMNS,
    "cache: `key_sample`": redis_looks._FAMILY_COLUMNS,
    "database: `connections`": postgres._CONNECTION_COLUMNS,
    "database: `sessions`": postgres._SESSION_COLUMNS,
    "database: `blocking_chains`": postgres._BLOCKING_COLUMNS,
    "database: `table_access`": postgres._ACCESS_COLUMNS,
    "database: `statements`": postgres_statistics.STATISTIC_COLUMNS,
    "database: `statement_plans`": postgres_plans.PLAN_COLUMNS,
    "database: `table_sizes`": postgres._TABLE_COLUMNS,
}


def rows(heading: str, first: str) -> list[list[str]]:
    """The rows of the table below a heading whose first column has this name."""
    section = re.split(r"^#+ ", PAGE.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = section[section.index(f"| {first} |") :].splitlines()
    table = lines[2 : next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_measure_is_told_with_its_unit_and_labels():
    told = {
        names(name)[0]: (unit, tuple(names(labels)), text.replace("`", ""))
        for name, unit, labels, text in rows("Measures", "measure")
    }
    assert told == {name: (measure.unit, measure.labels, measure.text) for name, measure in MEASURES.items()}


def test_every_unit_of_a_measure_is_explained():
    explained = {unit for cell, _ in rows("Units", "unit") for unit in names(cell)}
    assert {measure.unit for measure in MEASURES.values()} - explained == set()


def test_every_preset_and_placeholder_is_told():
    assert [names(cells[0])[0] for cells in rows("Whose series they are", "preset")] == list(PRESETS)
    placeholders = [names(cells[0])[0].removeprefix("$") for cells in rows("Naming a measure yourself", "placeholder")]
    assert placeholders == list(resolving._PLACEHOLDERS)


@pytest.mark.parametrize("heading", FRAMES)
def test_every_column_of_a_frame_is_told(heading):
    told = [name for cells in rows(heading, "column") for name in names(cells[0])]
    assert sorted(told) == sorted(FRAMES[heading])


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_parameter_of_a_notebook_is_told(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    parameters = next("".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", ()))
    told = [names(cells[0])[0] for cells in rows("Parameters of a notebook", "parameter")]
    assert re.findall(r"^(\w+) =", parameters, flags=re.MULTILINE) == told
