"""How the command line speaks: results on stdout, all else on stderr, errors as one line each, exit codes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import ConfigurationError, NotebookFailed, RunbookError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["NOTEBOOK_FAILED", "OK", "TROUBLE", "WRONG", "exit_code_of", "say", "say_json", "table", "warn"]

OK = 0
"""The run completed, whatever it found."""
TROUBLE = 1
"""Something outside of the call and the configuration went wrong."""
WRONG = 2
"""Usage or configuration; the message has the file, the line and the mend."""
NOTEBOOK_FAILED = 4
"""The notebook failed; the archive is kept."""


def exit_code_of(error: RunbookError) -> int:
    """Tell an error on stderr, and choose the exit code."""
    for line in str(error).splitlines():
        warn(f"runbook: {line}")
    if isinstance(error, NotebookFailed):
        return NOTEBOOK_FAILED
    return WRONG if isinstance(error, UsageError | ConfigurationError) else TROUBLE


def say(text: str = "") -> None:
    """A line of the result, on stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_json(value: Any) -> None:
    """The whole result for a program, on stdout."""
    say(json.dumps(value, indent=2, default=str))


def warn(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A table on stdout: drawn for a terminal; else tab-separated with its heading, for `cut` and `awk`."""
    console = _console()
    if not console.is_terminal:
        for row in (columns, *rows):
            say("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console.print(drawn)


def _console() -> Console:
    from rich.console import Console

    return Console()
