"""The buttons under a proposal: they approve once, and say what came of it."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets as widgets

from runbook_lab.waiting import wait_for
from runbook_lib.display.buttons import buttons
from runbook_lib.models.plan import Outcome, Proposal
from tests.unit.display.shown import outcome, plan, proposal


class Panel:
    """The widget of a proposal, by what a person sees."""

    def __init__(self, shown: Proposal, **how: Any) -> None:
        self.box = how.get("box") or buttons(shown, clean=how.get("clean", lambda value: value))

    def find(self, kind: type, description: str = "") -> Any:
        row, state, *_ = self.box.children
        return next(one for one in (*row.children, state) if type(one) is kind and description in getattr(one, "description", ""))

    @property
    def approve(self) -> Any:
        return self.find(widgets.Button, "Approve")

    @property
    def undo(self) -> Any:
        return self.find(widgets.Button, "Undo")

    @property
    def text(self) -> Any:
        return self.find(widgets.Text)

    @property
    def state(self) -> str:
        return str(self.find(widgets.HTML).value)

    def waits_for(self, text: str) -> None:
        wait_for(f"{text!r}", lambda: text in self.state, seconds=10)


def approving(result: Any, **more: Any) -> tuple[Proposal, list[str | None]]:
    """A proposal that records what was typed, and gives the result or raises it."""
    typed: list[str | None] = []

    def approve(target: str | None) -> Outcome:
        typed.append(target)
        if isinstance(result, Exception):
            raise result
        assert isinstance(result, Outcome)
        return result

    return proposal(approve=approve, **more), typed


def test_approving_carries_it_out_and_shows_what_came_of_it() -> None:
    shown, typed = approving(outcome(text="Raised the pool to 10"))
    panel = Panel(shown)
    panel.approve.click()
    panel.waits_for("Raised the pool to 10")
    assert typed == [None]
    assert panel.approve.disabled
    assert panel.undo.layout.display == "none", "without a way back there is no button for it"


def test_two_clicks_carry_it_out_once() -> None:
    going_on, release = threading.Event(), threading.Event()
    calls = []

    def approve(_: str | None) -> Outcome:
        calls.append(1)
        going_on.set()
        release.wait(10)
        return outcome()

    panel = Panel(proposal(approve=approve))
    panel.approve.click()
    panel.approve.click()
    assert going_on.wait(10)
    panel.approve.click()
    release.set()
    panel.waits_for("Raised the pool")
    assert calls == [1]


def test_a_refusal_says_why_and_offers_no_way_back() -> None:
    shown, _ = approving(outcome("refused", text="production needs two people"))
    panel = Panel(shown)
    panel.approve.click()
    panel.waits_for("production needs two people")
    assert "refused" in panel.state
    assert panel.undo.layout.display == "none"


def test_what_fails_is_told_without_its_secrets() -> None:
    shown, _ = approving(RuntimeError("no answer from <db> with hunter2"))
    panel = Panel(shown, clean=lambda value: value.replace("hunter2", "***") if isinstance(value, str) else value)
    panel.approve.click()
    panel.waits_for("Failed: no answer from &lt;db&gt; with ***")


def test_a_high_risk_needs_the_target_typed() -> None:
    shown, typed = approving(outcome(), plan=plan(risk="high"))
    panel = Panel(shown)
    assert panel.approve.disabled
    panel.approve.click()
    panel.text.value = "configmap/orders"
    assert panel.approve.disabled
    panel.text.value = " configmap/orders-config "
    assert not panel.approve.disabled
    panel.approve.click()
    panel.waits_for("Raised the pool")
    assert typed == ["configmap/orders-config"]
    assert panel.text.disabled


def test_what_was_done_can_be_taken_back_once() -> None:
    taken_back = []

    def undo() -> Outcome:
        taken_back.append(1)
        shown.undo = None
        return outcome("undone", text="The pool is at 5 again")

    def approve(_: str | None) -> Outcome:
        shown.undo = undo
        return outcome()

    shown = proposal(approve=approve)
    panel = Panel(shown)
    panel.approve.click()
    panel.waits_for("Raised the pool")
    assert panel.undo.layout.display == ""
    panel.undo.click()
    panel.waits_for("The pool is at 5 again")
    panel.undo.click()
    assert taken_back == [1]
    assert panel.undo.layout.display == "none"


def test_a_way_back_of_high_risk_shows_its_own_plan_and_needs_the_target_typed() -> None:
    typed: list[str | None] = []

    def take_back(target: str | None) -> Outcome:
        assert shown.on_progress is not None
        shown.on_progress("waiting for 3 of 3 pods")
        seen.append(below.state)
        typed.append(target)
        shown.undo = shown.back = None
        return outcome("undone", text="The pool is at 5 again")

    def undo() -> Outcome:
        planned = plan("All pods go down together", risk="high")
        shown.back = proposal(plan=planned, outcome=outcome("proposed", text="Proposed."), approve=take_back)
        return shown.back.outcome

    def approve(_: str | None) -> Outcome:
        shown.undo = undo
        return outcome()

    seen: list[str] = []
    shown = proposal(approve=approve)
    panel = Panel(shown, clean=lambda value: value)
    panel.approve.click()
    panel.waits_for("Raised the pool")
    panel.undo.click()
    panel.waits_for("All pods go down together")
    wait_for("buttons of its own", lambda: len(panel.box.children) == 3, seconds=10)
    below = Panel(shown, box=panel.box.children[2])
    assert typed == []
    assert below.approve.disabled
    below.text.value = "configmap/orders-config"
    below.approve.click()
    below.waits_for("The pool is at 5 again")
    assert seen == ["<p>waiting for 3 of 3 pods</p>"]
    assert typed == ["configmap/orders-config"]
    wait_for("no more undo", lambda: panel.undo.layout.display == "none", seconds=10)


def test_progress_is_shown_as_it_comes() -> None:
    def approve(_: str | None) -> Outcome:
        assert shown.on_progress is not None
        shown.on_progress("waiting for 2 of 3 pods <b>")
        seen.append(panel.state)
        return outcome()

    seen: list[str] = []
    shown = proposal(approve=approve)
    panel = Panel(shown)
    panel.approve.click()
    panel.waits_for("Raised the pool")
    assert seen == ["<p>waiting for 2 of 3 pods &lt;b&gt;</p>"]
