"""papermill's engine for archived runs: what it writes is redacted before it reaches the disk."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from papermill.engines import NBClientEngine, NotebookExecutionManager

from runbook_lib.archive.files import write_file
from runbook_lib.archive.redaction import Redaction

__all__ = ["Progress", "RedactingEngine"]

Progress = Callable[[str, int, int], None]
"""Called with the section, the cells done, and the cells in all."""

_BINARY = "image/"


class _RedactingManager(NotebookExecutionManager):  # type: ignore[misc]
    """Saves a redacted copy after each cell, whole or not at all. A cell that is done is redacted once."""

    def __init__(self, nb: Any, path: Path, redaction: Redaction, progress: Progress | None) -> None:
        super().__init__(nb, output_path=None, progress_bar=False, autosave_cell_every=1)
        self._path = path
        self._redaction = redaction
        self._progress = progress
        self._done: dict[int, Any] = {}

    def save(self, **_: Any) -> None:
        """Write the notebook as far as it has come."""
        shown = copy.copy(self.nb)
        # papermill keeps the parameters, and with them the alert, in the notebook's metadata as well.
        shown["metadata"] = nbformat.from_dict(self._redaction.value(self.nb.metadata))  # type: ignore[no-untyped-call]
        shown["cells"] = [self._done.get(index) or self._clean(cell) for index, cell in enumerate(self.nb.cells)]
        write_file(self._path, nbformat.writes(shown))  # type: ignore[no-untyped-call]
        self.last_save_time = self.now()

    def cell_start(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        """Tell which section is on."""
        super().cell_start(cell, cell_index, **kwargs)
        if self._progress is not None and cell_index is not None:
            self._progress(self._section(cell_index), cell_index, len(self.nb.cells))

    def cell_complete(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        """Keep the redacted copy."""
        super().cell_complete(cell, cell_index, **kwargs)
        if cell_index is not None:
            self._done[cell_index] = self._clean(cell)

    def _clean(self, cell: Any) -> Any:
        clean = copy.copy(cell)
        clean["source"] = self._redaction.text(cell["source"])
        if "outputs" in cell:
            clean["outputs"] = [self._clean_output(output) for output in cell["outputs"]]
        return clean

    def _clean_output(self, output: Any) -> Any:
        clean = copy.copy(output)
        for name in ("text", "ename", "evalue", "traceback"):
            if name in output:
                clean[name] = self._redaction.value(output[name])
        if "data" in output:
            clean["data"] = nbformat.from_dict(  # type: ignore[no-untyped-call]
                {
                    kind: content if kind.startswith(_BINARY) and kind != "image/svg+xml" else self._redaction.value(content)
                    for kind, content in output["data"].items()
                }
            )
        return clean

    def _section(self, index: int) -> str:
        """The last heading above a cell."""
        for cell in reversed(self.nb.cells[: index + 1]):
            headings = (
                [line for line in cell["source"].splitlines() if line.startswith("#")] if cell["cell_type"] == "markdown" else []
            )
            if headings:
                return str(headings[-1].lstrip("# "))
        return "parameters"


class RedactingEngine(NBClientEngine):  # type: ignore[misc]
    """Runs a notebook and writes it through a Redaction. Takes `path`, `redaction` and `progress` besides nbclient's options."""

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str, **options: Any) -> Any:
        """Run all cells; stops at the first that fails, with the notebook saved."""
        for unused in ("output_path", "progress_bar", "autosave_cell_every"):
            options.pop(unused, None)
        manager = _RedactingManager(nb, options.pop("path"), options.pop("redaction"), options.pop("progress"))
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, **options)
        finally:
            manager.notebook_complete()
        return manager.nb
