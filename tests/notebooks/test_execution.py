"""Every notebook runs from end to end under plain papermill, as a stranger runs it, while nothing at all answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
import yaml

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SYSTEMS = {"prometheus", "kubernetes", "logs", "postgres", "redis", "http"}


@pytest.fixture(scope="module")
def closed() -> Iterator[str]:
    """An address where nobody listens: its port is taken, and takes no connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="module")
def service_file(closed: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parameters")
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "gone",
        "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "gone"}}],
        "clusters": [{"name": "gone", "cluster": {"server": f"http://{closed}"}}],
        "users": [{"name": "gone", "user": {}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    service = {
        "name": "shop",
        "environment": "test",
        "overview": {"purpose": "Sells things.", "owner": "Shop team", "tier": 1},
        "components": {
            "application": {"deployment": "shop", "selector": "app=shop", "url": f"http://{closed}"},
            "database": {"name": "shop", "application_name": "shop"},
            "cache": {"usage": "products"},
        },
        "dependencies": {"downstream": [{"name": "payments", "health_url": f"http://{closed}/health"}]},
        "connections": {
            "prometheus": {"url": f"http://{closed}"},
            "kubernetes": {"kubeconfig": str(folder / "kubeconfig"), "context": "gone", "namespace": "shop"},
            "postgres": {"dsn": f"postgresql://runbook@{closed}/shop"},
            "redis": {"url": f"redis://{closed}/0"},
        },
    }
    (folder / "shop.test.yaml").write_text(yaml.safe_dump({"service": service}))
    return folder / "shop.test.yaml"


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(
    request: pytest.FixtureRequest, service_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[nbformat.NotebookNode, dict[str, Any]]:
    """The executed notebook, and the incident's record."""
    folder = tmp_path_factory.mktemp(request.param.stem)
    parameters = {"service": str(service_file), "environment": "test", "archive": str(folder / "incident")}
    notebook = papermill.execute_notebook(
        request.param, folder / "executed.ipynb", parameters=parameters, kernel_name="python3", cwd=folder, progress_bar=False
    )
    return notebook, json.loads((folder / "incident" / "incident.json").read_text())


def test_no_cell_fails_and_each_shows_something(executed):
    notebook, _ = executed
    shown = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.startswith("incident.")]
    assert len(shown) > 10
    assert [cell.source for cell in shown if not cell.outputs] == []
    assert [output for cell in notebook.cells for output in cell.get("outputs", ()) if output.output_type == "error"] == []


def test_what_is_missing_is_named_and_nothing_is_claimed(executed):
    _, record = executed
    assert record["status"] == "completed"
    states = {source["name"]: source["status"] for source in record["sources"]}
    assert set(states) == SYSTEMS
    assert "ok" not in [states[name] for name in SYSTEMS - {"http", "logs"}]
    assert {cause["name"] for cause in record["causes"] if cause["verdict"] != "unknown"} == set()
    assert [action["name"] for action in record["actions"] if action["status"] == "executed"] == []
