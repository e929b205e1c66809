"""The buttons under a proposal in a live notebook. The archive keeps the static card alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from runbook_lib.display.proposals import outcome_html, outcome_text, proposal_html, proposal_text
from runbook_lib.models.plan import Outcome, Proposal

__all__ = ["Clean", "buttons"]

Clean = Callable[[Any], Any]


def buttons(proposal: Proposal, *, clean: Clean) -> Any:
    """A widget that approves the proposal, shows what is being done, then the outcome, and a way back.

    A high risk asks for the target's name; a way back of high risk shows its own plan first, and asks for the name as well. The
    change runs in a thread of its own, so that the notebook stays usable; no button can be pressed twice.
    """
    return _Buttons(proposal, clean).box


class _Buttons:
    def __init__(self, proposal: Proposal, clean: Clean, *, then: Callable[[], None] = lambda: None) -> None:
        import ipywidgets as widgets

        assert proposal.plan is not None
        self._proposal, self._clean, self._then = proposal, clean, then
        self._needs_name = proposal.plan.risk == "high"
        self._target = str(proposal.plan.target)
        self._approve = widgets.Button(
            description=f"Approve: {proposal.plan.title}",
            button_style="warning",
            layout={"width": "auto"},
            disabled=self._needs_name,
        )
        self._undo = widgets.Button(description="Undo", layout={"width": "auto", "display": "none"})
        self._typed = widgets.Text(placeholder=f"type {self._target} to approve", layout={"width": "24em"})
        self._state = widgets.HTML()
        self._approve.on_click(lambda _: self._run(self._approve, self._carry_out))
        self._undo.on_click(lambda _: self._run(self._undo, self._take_back))
        self._typed.observe(self._compare, names="value")
        row = [self._typed, self._approve] if self._needs_name else [self._approve]
        self.box = widgets.VBox([widgets.HBox([*row, self._undo]), self._state])

    def _compare(self, _: Any) -> None:
        self._approve.disabled = self._typed.value.strip() != self._target

    def _run(self, pressed: Any, act: Callable[[], Outcome]) -> None:
        if pressed.disabled:
            return
        pressed.disabled = self._typed.disabled = True
        self._proposal.on_progress = self._say
        threading.Thread(target=self._guarded, args=(act,), daemon=True, name="approved-action").start()

    def _guarded(self, act: Callable[[], Outcome]) -> None:
        self._say("Checking once more …")
        try:
            outcome = self._clean(act())
        except Exception as error:  # the engineer must see it here: nobody looks at the kernel's log
            self._say(f"Failed: {self._clean(str(error))}. The audit says how far it got.")
            return
        if self._proposal.back is not None:
            self._offer(self._proposal.back)
        else:
            self._state.value, self._state.tooltip = outcome_html(outcome), outcome_text(outcome)
            self.box.children = self.box.children[:2]
        self._offer_undo()
        self._then()

    def _offer(self, back: Proposal) -> None:
        """Show the plan of the way back, with buttons of its own below it."""
        seen = Proposal(action=back.action, plan=self._clean(back.plan), outcome=self._clean(back.outcome))
        self._state.value, self._state.tooltip = proposal_html(seen), proposal_text(seen)
        below = _Buttons(back, self._clean, then=self._offer_undo)
        self._proposal.on_progress = below._say  # the progress of both is told to the proposal that they began with
        self.box.children = (*self.box.children[:2], below.box)

    def _offer_undo(self) -> None:
        self._undo.layout.display = "" if self._proposal.undo is not None else "none"
        self._undo.disabled = False

    def _carry_out(self) -> Outcome:
        approve = self._proposal.approve
        assert approve is not None
        return approve(self._typed.value.strip() if self._needs_name else None)

    def _take_back(self) -> Outcome:
        undo = self._proposal.undo
        assert undo is not None
        return undo()

    def _say(self, text: str) -> None:
        from html import escape

        self._state.value = f"<p>{escape(str(self._clean(text)))}</p>"
