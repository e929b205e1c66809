"""An IPython that keeps what is shown, and models that say everything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from IPython.core.interactiveshell import InteractiveShell

from runbook_lib.models.cause import Cause, Diagnosis, Evidence, Symptom, Verdict
from runbook_lib.models.figure import LineFigure, Marker, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, SourceStatus
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.plan import Outcome, Plan, Proposal, Refusal, Target

AT = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
HOSTILE = '日本語 🔥 <script>alert(1)</script> & "quoted" \x1b[31mred\x1b[0m \x07 \u202ereversed \ud800'
"""What a log line, a label or a server's error may hold."""


@contextmanager
def published(shell: InteractiveShell) -> Iterator[list[dict[str, Any]]]:
    """What is shown within, in order: each with `data` and `metadata`."""
    seen: list[dict[str, Any]] = []

    def keep(data: dict[str, Any], metadata: dict[str, Any] | None = None, **_: Any) -> None:
        seen.append({"data": data, "metadata": metadata or {}})

    with patch.object(shell.display_pub, "publish", keep):
        yield seen


def finding(text: str = "31% of requests fail", **more: Any) -> Finding:
    given: dict[str, Any] = {
        "name": "error_rate",
        "title": "Errors",
        "summary": text,
        "status": FindingStatus.CRITICAL,
        "command": f"kubectl logs {text}",
        "tables": ((text, frame({text: [text], "value": [1.0]})),),
        "notes": (text,),
        "sources": (
            SourceStatus(name="prometheus", status="ok", seconds=0.02),
            SourceStatus(name="cluster", status="timeout", error=text),
        ),
        "at": AT,
    }
    return Finding(**(given | more))


def diagnosis(text: str = "the pool is exhausted") -> Diagnosis:
    evidence = (
        Evidence(bearing="for", signal="pool_exhausted", text=text, finding="database"),
        Evidence(bearing="missing", signal="pool_size", text=text),
    )
    cause = Cause(
        name="db_pool_exhausted",
        title=text,
        verdict=Verdict.CONFIRMED,
        confidence=0.9,
        why=text,
        since=AT,
        evidence=evidence,
        actions=("raise_pool_size",),
    )
    symptom = Symptom(name="error_ratio", title=text, value=0.31, unit="ratio", threshold=0.05, breached=True, text=text)
    return Diagnosis(
        summary=text, causes=(cause,), symptoms=(symptom, symptom), next_steps=(text,), missing_sources=(text,), at=AT
    )


def plan(text: str = "Raise the pool", **more: Any) -> Plan:
    given: dict[str, Any] = {
        "action": "raise_pool_size",
        "title": text,
        "target": Target(kind="configmap", name="orders-config", namespace="shop"),
        "before": f"size: 5\nname: {text}",
        "after": f"size: 10\nname: {text}",
        "command": f"kubectl edit {text}",
        "risk": "medium",
        "affects": text,
        "undo": text,
        "seen_by": text,
        "seconds_until_effect": 30.0,
        "warnings": (text,),
        "made_at": AT,
    }
    return Plan(**(given | more))


def outcome(status: Any = "executed", text: str = "Raised the pool", **more: Any) -> Outcome:
    given: dict[str, Any] = {
        "action": "raise_pool_size",
        "target": Target(kind="configmap", name="orders-config", namespace="shop"),
        "status": status,
        "text": text,
        "at": AT,
        "steps": (text,),
        "seconds": 1.5,
        "effect": "better",
        "effect_text": text,
        "approved_by": "a.lovelace",
        "refusal": Refusal(by="policy", reason=text, mend=text) if status == "refused" else None,
    }
    return Outcome(**(given | more))


def proposal(text: str = "Raise the pool", status: Any = "proposed", **more: Any) -> Proposal:
    given: dict[str, Any] = {"action": "raise_pool_size", "plan": plan(text), "outcome": outcome(status, text)}
    return Proposal(**(given | {"recommended_for": ("db_pool_exhausted",)} | more))


def lines(count: int = 1, *, samples: int = 60, values: Any = None) -> Frame:
    """Series of a figure, a sample each 15 s."""
    times = [AT + timedelta(seconds=15 * place) for place in range(samples)]
    parts = []
    for number in range(count):
        level = np.full(samples, float(number)) if values is None else np.asarray(values, dtype="float64")
        parts.append(pd.DataFrame({"time": times, "series": f"pod-{number}", "value": level}))
    return frame(pd.concat(parts, ignore_index=True)) if parts else frame([], columns=["time", "series", "value"])


def figure(shown: Frame, *, unit: str = "bytes", text: str = "memory") -> LineFigure:
    return LineFigure(
        title=text, unit=unit, frame=shown, thresholds=(Threshold(0.5, text),), markers=(Marker(AT, text, "deploy"),)
    )


class Elements(HTMLParser):
    """The elements of some HTML, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        del attrs
        self.names.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
