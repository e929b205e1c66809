"""The score board of a series of drills, for a person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runbook_lab.scoring import Score

_WIDTH_WITHOUT_TERMINAL = 130


def show(scores: Sequence[Score], console: Console | None = None) -> None:
    """Print one line for each drill, and how many of them passed."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_WIDTH_WITHOUT_TERMINAL)
    board = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("drill", "seed", "intensity", "found", "fixed", "recovered"):
        board.add_column(column)
    for column in ("alert after", "run", "seconds"):
        board.add_column(column, justify="right")
    for score in scores:
        board.add_row(*_cells(score))
    console.print(board)
    passed = sum(score.passed for score in scores)
    console.print(f"{passed} of {len(scores)} drills passed")


def misses(score: Score) -> Iterable[str]:
    """Say what a drill has missed, each in one line."""
    if score.error:
        yield f"{score.name}: {score.error}"
        return
    if not score.found:
        yield f"{score.name}: confirmed as roots: {', '.join(score.confirmed) or 'nothing'}"
    if not score.fixed:
        yield f"{score.name}: the actions that fix it were not the ones executed"
    if not score.recovered:
        yield f"{score.name}: what the alert measures was not below its threshold in time"
    if score.archive:
        yield f"{score.name}: see {score.archive}"


def _cells(score: Score) -> list[Text]:
    intensities = ", ".join(f"{fault.intensity:g}" for fault in score.faults)
    verdicts = [_verdict(value) for value in (score.found, score.fixed, score.recovered)]
    alert = "-" if score.alert_seconds is None else f"{score.alert_seconds:.0f} s"
    times = [alert, f"{score.run_seconds:.0f} s", f"{score.seconds:.0f} s"]
    return [Text(score.name), Text(str(score.faults[0].seed)), Text(intensities), *verdicts, *map(Text, times)]


def _verdict(value: bool) -> Text:
    return Text("yes", style="green") if value else Text("NO", style="bold red")
