"""A table's cells: nothing is longer than is read, and what is left out is said."""

from __future__ import annotations

from runbook_lib.display.cells import as_table
from runbook_lib.models.frame import frame


def test_of_a_long_traceback_both_ends_are_shown() -> None:
    traceback = "\n".join(["Traceback (most recent call last)", *(f"frame {number}" for number in range(30)), "ValueError: no"])
    shown = as_table(frame([{"message": traceback}])).rows[0][0].splitlines()
    assert (shown[0], shown[-1]) == ("Traceback (most recent call last)", "ValueError: no")
    assert shown[3] == "… 26 more lines in the archive …"
    assert len(shown) == 7


def test_a_few_lines_are_shown_as_they_are() -> None:
    few = "\n".join(f"line {number}" for number in range(8))
    assert as_table(frame([{"message": few}])).rows == ((few,),)
