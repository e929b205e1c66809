"""Whoever was woken for a service reads what its file knows of it, and of the people around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runbook_lib.archive.redaction import Redaction
from runbook_lib.incident.people import about, to_call
from runbook_lib.models.frame import Frame
from runbook_lib.service import Service, load_service
from runbook_lib.testing import service

EXAMPLE = Path(__file__).parents[3] / "parameters" / "service.example.yaml"
FOR_PEOPLE = ("overview", "alert_channels", "escalation", "dashboards", "documentation", "maintenance")
STEERS = {
    "next_review",
    "latency_p95_seconds",
    "availability_ratio",
    "tier",
    "level",
}  # told in other words, or by `runbook lint`


def texts(value: Any) -> Iterator[str]:
    """All that a person wrote below a key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner) if key not in STEERS else ()
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    else:
        yield str(value).strip()


def told(*frames: Frame) -> str:
    shown = "\n".join(str(value) for one in frames for value in one.to_numpy().ravel())
    return shown.replace("\u00a0\n", "").replace("\u00a0", " ")


@pytest.mark.parametrize("section", FOR_PEOPLE)
def test_what_was_written_for_people_is_shown_to_them(section: str) -> None:
    written = yaml.safe_load(EXAMPLE.read_text())["service"][section]
    shown = told(about(load_service(EXAMPLE)), to_call(load_service(EXAMPLE)))
    assert [text for text in texts(written) if text not in shown] == []


@pytest.mark.parametrize("group", ["upstream", "downstream", "external"])
def test_neighbours_are_told_with_what_they_are_for(group: str) -> None:
    shown = told(about(load_service(EXAMPLE)))
    for one in yaml.safe_load(EXAMPLE.read_text())["service"]["dependencies"][group]:
        named = [one[key] for key in ("name", "purpose", "impact_if_down", "provider") if one.get(key)]
        assert [text for text in named if text not in shown] == []


def test_redaction_leaves_a_phone_number_readable() -> None:
    shown = told(to_call(load_service(EXAMPLE)))
    assert "+49 30 000000" in Redaction().text(shown)


def test_a_file_that_says_little_has_short_tables() -> None:
    least: Service = service(components={"application": {"deployment": "shop", "selector": "app=shop"}}, dependencies={})
    assert list(about(least)["what"]) == ["purpose", "owner", "this file"]
    assert to_call(least).empty
