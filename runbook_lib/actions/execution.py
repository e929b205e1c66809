"""Carrying out a plan that the guard let pass: the intent on the disk, the changes in order, the watching, what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from runbook_lib.actions.audit import Event
from runbook_lib.actions.interface import Action, Change, ChangeRefused, Settling
from runbook_lib.actions.rules import Case
from runbook_lib.actions.verification import Assessment, assess, measure, recovered_since, settle
from runbook_lib.errors import ActionFailed, ArchiveError, OutcomeUnknown
from runbook_lib.models.plan import ActionStatus, Outcome, Plan, Refusal

__all__ = ["Execution", "facts", "refusal_text"]


@dataclass
class Execution:
    """One approved and checked plan on its way: used once."""

    action: Action
    case: Case
    changes: Sequence[Change]
    steps: list[str] = field(default_factory=list)

    def run(self) -> Outcome:
        """Write the intent, change, watch, write what came of it.

        Raises ChangeRefused when the intent cannot be written, or nobody watches and the symptom has gone meanwhile.
        """
        context, plan = self.case.context, self.case.plan
        before = measure(context)
        self._still_needed(before)
        started = context.now()
        try:
            context.audit.append("intent", facts(self.case) | _content(plan) | {"symptom_before": before})
        except ArchiveError as error:
            raise ChangeRefused(Refusal(by="audit", reason=str(error), mend="no change is made without its audit")) from error
        failure = self._apply()
        if failure is not None:
            ended = self._ended(failure.status, failure.text, started, unfinished=failure.unfinished)
            return replace(ended, refusal=failure.refusal)
        status: ActionStatus = "undone" if plan.undoes else "executed"
        self._note("outcome", {"status": status, "steps": self.steps})
        settled, assessment = self._watch(before)
        if not settled.done:
            text = f"{plan.title}: made, but it has not taken effect everywhere: {settled.text}"
            text += f". {settled.stuck[:1].upper()}{settled.stuck[1:]}" if settled.stuck else ""
            return self._ended("failed", f"{text}. To take it back: {plan.undo}", started, assessment)
        return self._ended(status, _told(plan, assessment), started, assessment)

    def _still_needed(self, before: float | None) -> None:
        """What was done since the diagnosis may have mended it. Evidence is to mend nothing, and a person sees for himself."""
        context, plan = self.case.context, self.case.plan
        if context.mode == "interactive" or plan.undoes or self.action.evidence:
            return
        recovered = recovered_since(context, before)
        if recovered:
            raise ChangeRefused(Refusal(by="is it this issue", reason=f"{recovered}, so that there is nothing to mend"))

    def _apply(self) -> _Failure | None:
        """Make the changes in order; when one fails, take back those before it, last first."""
        context = self.case.context
        done: list[Change] = []
        for change in self.changes:
            context.progress(change.text)
            try:
                self.steps.append(change.apply())
            except ChangeRefused as refused:
                self.steps.append(f"{change.text}: refused, {refused.refusal.reason}")
                if not done:
                    return _Failure("refused", refusal_text(refused.refusal), refused.refusal)
                return self._take_back(done, refused.refusal.reason)
            except (Exception, KeyboardInterrupt) as error:  # whatever it was, what was done before must not be left half done
                reason = str(error) if isinstance(error, ActionFailed) else f"{type(error).__name__}: {error}".rstrip(": ")
                self.steps.append(reason if isinstance(error, ActionFailed) else f"{change.text}: {reason}")
                return self._take_back(done, reason, unknown=change if isinstance(error, OutcomeUnknown) else None)
            done.append(change)
        return None

    def _take_back(self, done: Sequence[Change], reason: str, *, unknown: Change | None = None) -> _Failure:
        """unknown: the step that failed, when it may have been made all the same: it is taken back first, once it is seen."""
        where = f"step {len(done) + 1} of {len(self.changes)}" if done else "its first step"
        told = [f"It {'failed' if unknown is None else 'is unfinished'} at {where}: {reason}"]
        if not self.case.plan.reversible:
            told += ["look at it by hand"] if unknown is not None else []
            told += ["what was done before stays done"] if done else []
            return _Failure("failed", "; ".join(told), unfinished=unknown is not None)
        unfinished = unknown is not None and not self._taken_back(unknown)
        if unknown is not None:
            told.append("look at it by hand" if unfinished else "it had arrived, and was taken back")
        stuck = [change for change in reversed(done) if not self._taken_back(change)]
        if done:
            told.append(
                "and not all that was done before could be taken back" if stuck else "what was done before was taken back"
            )
        return _Failure("failed", "; ".join(told), unfinished=unfinished)

    def _taken_back(self, change: Change) -> bool:
        try:
            self.steps.append(change.revert())
        except Exception as error:  # whatever it is, it is told
            self.steps.append(str(error))
            return False
        return True

    def _watch(self, before: float | None) -> tuple[Settling, Assessment]:
        """Wait for the effect. Whoever stops the waiting does not undo the change, and the outcome is told all the same."""
        context = self.case.context
        try:
            settled = settle(context, self.changes)
            return settled, assess(context, before, patient=settled.done and not self.action.evidence)
        except KeyboardInterrupt:
            unknown = Assessment(effect="unknown", text="the effect is not known: the waiting was interrupted")
            return Settling(done=True, text="the waiting was interrupted"), unknown
        except Exception as error:  # the change is made: its outcome must be told whatever the watching runs into
            unknown = Assessment(effect="unknown", text=f"the effect is not known: {type(error).__name__}: {error}")
            return Settling(done=False, text="watching it failed", stuck=str(error)), unknown

    def _ended(
        self,
        status: ActionStatus,
        text: str,
        started: datetime,
        assessment: Assessment | None = None,
        *,
        unfinished: bool = False,
    ) -> Outcome:
        context, plan = self.case.context, self.case.plan
        not_known = "the effect is not known: the change may have been made, and may still be" if unfinished else ""
        seen = assessment or Assessment(effect="unknown", text=not_known)
        seconds = (context.now() - started).total_seconds()
        self._note(
            "effect" if assessment is not None else "outcome",
            {"status": status, "text": text, "effect": seen.effect, "effect_text": seen.text}
            | ({} if assessment is not None else {"steps": self.steps})
            | ({"unfinished": True} if unfinished else {}),
        )
        approval = self.case.approval
        return Outcome(
            action=self.action.name,
            target=plan.target,
            status=status,
            text=text,
            at=started,
            plan=plan,
            steps=tuple(self.steps),
            seconds=seconds,
            effect=seen.effect,
            effect_text=seen.text,
            approved_by=f"{approval.by} ({approval.source})" if approval is not None else "",
        )

    def _note(self, event: Event, details: dict[str, Any]) -> None:
        try:
            self.case.context.audit.append(event, facts(self.case) | details)
        except ArchiveError as error:
            # The change is made, and its intent is on the disk; the person must hear that the rest is not.
            self.steps.append(str(error))


@dataclass(frozen=True, slots=True)
class _Failure:
    status: ActionStatus
    text: str
    refusal: Refusal | None = None
    unfinished: bool = False


def facts(case: Case) -> dict[str, Any]:
    """Who and what, on every line of the audit."""
    context, plan, approval = case.context, case.plan, case.approval
    return {
        "incident": context.incident,
        "service": context.service.name,
        "environment": context.service.environment,
        "action": plan.action,
        "target": str(plan.target),
        "namespace": plan.target.namespace,
        "plan": plan.id,
        "undoes": plan.undoes,
        "mode": context.mode,
        "operator": context.operator,
        "approval": approval.source if approval is not None else None,
        "approved_by": approval.by if approval is not None else None,
    }


def _content(plan: Plan) -> dict[str, Any]:
    """What the intent says beyond that; the values of secrets are in none of it."""
    return {
        "title": plan.title,
        "risk": plan.risk,
        "command": plan.command,
        "undo": plan.undo,
        "before": plan.before,
        "after": plan.after,
        "bound_to": dict(plan.bound_to),
    }


def _told(plan: Plan, assessment: Assessment) -> str:
    done = f"{plan.title}: done."
    if assessment.effect == "worse":
        return f"{done} It got worse. Take it back at once: {plan.undo}"
    return done


def refusal_text(refusal: Refusal) -> str:
    """A refusal as one paragraph: the rule, the reason, the mend."""
    mend = f" {_begun(refusal.mend)}." if refusal.mend else ""
    return f"Refused ({refusal.by}): {refusal.reason}.{mend}"


def _begun(text: str) -> str:
    """The beginning of a sentence; a field, an object or a command keeps its spelling."""
    first = text.partition(" ")[0]
    return text if set("._/=") & set(first) else f"{text[:1].upper()}{text[1:]}"
