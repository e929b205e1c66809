"""Progress of a run: a bar on stderr for a terminal, nothing for a file or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Progress", "shown"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, the steps done, and the steps in all (0: not known yet)."""


@contextmanager
def shown(title: str) -> Iterator[Progress | None]:
    """Show the progress of the body. Gives what to call, None when nobody is watching."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=None)

        def update(text: str, done: int, total: int) -> None:
            bars.update(task, description=text, completed=done, total=total or None)

        yield update
