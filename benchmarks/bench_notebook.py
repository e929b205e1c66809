"""The high-error-rate notebook under papermill against an empty notebook, both through the command line of papermill."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from common import REPOSITORY, lab, show

ROUNDS = 3


def empty(directory: Path) -> Path:
    """A notebook with nothing in it but its parameters."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("window = '60m'", metadata={"tags": ["parameters"]})])
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    path = directory / "empty.ipynb"
    nbformat.write(notebook, path)
    return path


def seconds(notebook: Path, directory: Path, *parameters: str) -> float:
    """How long papermill takes for a notebook."""
    command = [sys.executable, "-m", "papermill", str(notebook), str(directory / "out.ipynb"), "--no-progress-bar", *parameters]
    started = time.perf_counter()
    subprocess.run(command, check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measure in turns on a lab of its own."""
    taken: dict[str, list[float]] = {"an empty notebook": [], "high_error_rate": []}
    with lab(), tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        service = ("-f", str(REPOSITORY / "parameters" / "orders.lab.yaml"), "-p", "window", "10m")
        for _ in range(ROUNDS):
            taken["an empty notebook"].append(seconds(empty(directory), directory))
            taken["high_error_rate"].append(seconds(REPOSITORY / "notebooks" / "high_error_rate.ipynb", directory, *service))
    show(taken, against="an empty notebook")


if __name__ == "__main__":
    main()
