"""What is wrong with a node, by those of its conditions that name a trouble."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runbook_lib.sources.nodes import NODE_COLUMNS, node_rows


def row(*conditions: tuple[str, str]) -> dict[str, Any]:
    """A node that is ready, with these conditions and their status beside."""
    at = "2026-03-01T03:12:00Z"
    told = [{"type": kind, "status": status, "lastTransitionTime": at} for kind, status in (("Ready", "True"), *conditions)]
    (found,) = node_rows([{"metadata": {"name": "node-1"}, "status": {"conditions": told}}], [])
    return dict(zip(NODE_COLUMNS, found, strict=True))


@pytest.mark.parametrize(
    "kind",
    [
        "MemoryPressure",
        "NetworkUnavailable",
        "KernelDeadlock",
        "ReadonlyFilesystem",
        "FrequentContainerdRestart",
        "KubeletUnhealthy",
    ],
)
def test_a_condition_that_names_a_trouble_is_one_while_it_holds(kind: str) -> None:
    assert row((kind, "True"))["troubles"] == [kind]
    assert row((kind, "True"))["since"] == datetime(2026, 3, 1, 3, 12, tzinfo=UTC)
    assert row((kind, "Unknown"))["troubles"] == [f"{kind} is not known"]
    assert row((kind, "False"))["troubles"] == []


def test_what_should_hold_is_a_trouble_while_it_does_not() -> None:
    assert row(("KernelReady", "True"))["troubles"] == []
    assert row(("KernelReady", "False"))["troubles"] == ["not KernelReady"]


@pytest.mark.parametrize("status", ["True", "False", "Unknown"])
@pytest.mark.parametrize("kind", ["EtcdIsVoter", "Schedulable", "ConfigOK"])
def test_a_condition_that_may_be_meant_either_way_is_no_trouble(kind: str, status: str) -> None:
    found = row((kind, status))
    assert (found["troubles"], found["since"]) == ([], None)
