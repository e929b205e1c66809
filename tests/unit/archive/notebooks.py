"""Small notebooks to run, and a service to run them for."""

from pathlib import Path

import nbformat

from runbook_lib.archive.runner import RunRequest

SERVICE = """\
service:
  name: orders
  environment: prod
  overview: {purpose: Takes orders, owner: Orders team, tier: 1}
  components:
    application: {deployment: orders, selector: app=orders}
  connections:
    postgres: {dsn: "postgresql://runbook@db.example.com/shop", password: "env:ORDERS_PASSWORD"}
"""


def notebook(directory: Path, *cells: str) -> Path:
    """Write a notebook `probe` whose first cell holds parameters."""
    code = [nbformat.v4.new_code_cell(source) for source in cells]
    parameters = nbformat.v4.new_code_cell('archive = ""\nwindow = "60m"', metadata={"tags": ["parameters"]})
    written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("## Look"), parameters, *code])
    written.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "probe.ipynb"
    nbformat.write(written, path)
    return path


def request(directory: Path, *cells: str, **changes) -> RunRequest:
    """Ask for a run of a notebook with these cells."""
    notebook(directory / "notebooks", *cells)
    service = directory / "orders.prod.yaml"
    service.write_text(SERVICE)
    given = {
        "issue": "probe",
        "service": str(service),
        "environment": "prod",
        "notebooks": directory / "notebooks",
        "parameters_directory": directory,
        "outputs": directory / "outputs",
    }
    return RunRequest(**{**given, **changes})
