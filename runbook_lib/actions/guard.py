"""The only door to a change: plan, check, approve, write the intent, change, watch, write what came of it.

Every rule that says no gives a Refusal, shown and archived like any result. Nothing is changed before the intent is on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from secrets import token_hex
from typing import Any

from runbook_lib.actions.cluster import Operator, operator
from runbook_lib.actions.execution import Execution, facts, refusal_text
from runbook_lib.actions.interface import Action, ActionContext, Approval, Change, ChangeRefused, Permission
from runbook_lib.actions.locks import holding
from runbook_lib.actions.rules import (
    APPROVAL_RULES,
    STANDING_RULES,
    Case,
    Rule,
    approval_without_asking,
    first_refusal,
    how_to_approve,
)
from runbook_lib.actions.unfinished import no_loose_end, unfinished_warnings
from runbook_lib.errors import ArchiveError, SourceError
from runbook_lib.models.plan import Outcome, Plan, Proposal, Refusal
from runbook_lib.models.window import format_instant

__all__ = ["carry_out", "propose"]


def propose(action: Action, context: ActionContext, **arguments: Any) -> Proposal:
    """Plan an action and check it, with the cluster's own dry run; where its approval is there already, carry it out.

    In a notebook with a person the proposal waits for `approve`; otherwise the parameter or the policy has approved it or it
    stays a plan. Raises only what nobody planned.
    """
    make = partial(action.plan, context, **arguments)
    plan = _planned(action, context, make)
    causes = context.diagnosis.calling_for(action.name) if context.diagnosis else ()
    proposed = partial(
        Proposal,
        action=action.name,
        recommended_for=tuple(cause.name for cause in causes),
        recommended_titles=tuple(cause.title for cause in causes),
    )
    if isinstance(plan, Refusal):
        return proposed(plan=None, outcome=_refused(action, None, context, plan))
    plan = replace(plan, warnings=(*plan.warnings, *_circumstances(plan, context)))
    case, proposal = Case(plan=plan, context=context), proposed(plan=plan, outcome=_proposed(plan, context))
    approval = approval_without_asking(plan, context)
    if approval is not None:
        return _concluded(proposal, action, context, carry_out(action, plan, context, approval))
    try:
        _checked(action, case, STANDING_RULES)
    except ChangeRefused as refused:
        return _concluded(proposal, action, context, _refused(action, plan, context, refused.refusal))
    if context.mode == "interactive":
        proposal.approve = lambda typed=None: _approved(proposal, action, context, typed, make)
    return proposal


def carry_out(
    action: Action, plan: Plan, context: ActionContext, approval: Approval, *, again: Callable[[], Plan | Refusal] | None = None
) -> Outcome:
    """Check an approved plan once more, change, and wait for the effect.

    again: makes the plan anew, where time has passed since. In a dry run it stops before the change, and says what it would have
    done.
    """
    case = Case(plan=plan, context=context, approval=approval)
    try:
        with ExitStack() as locks:
            if not context.dry_run:
                _lock(locks, case)
            if again is not None:
                case = replace(case, now=_made_again(plan, again))
            changes = _checked(action, case, (*STANDING_RULES, *APPROVAL_RULES, no_loose_end))
            if context.dry_run:
                return _would_have(plan, context, changes)
            return Execution(action, case, changes).run()
    except ArchiveError as error:
        return _refused(action, plan, context, Refusal(by="audit", reason=str(error), mend="no change is made without its audit"))
    except ChangeRefused as refused:
        # The refusal is shown whether or not the audit can take it.
        with suppress(ArchiveError):
            context.audit.append("refused", facts(case) | {"by": refused.refusal.by, "reason": refused.refusal.reason})
        return _refused(action, plan, context, refused.refusal)


def _planned(action: Action, context: ActionContext, make: Callable[[], Plan | Refusal]) -> Plan | Refusal:
    try:
        plan = make()
    except ChangeRefused as refused:
        return refused.refusal
    except SourceError as error:
        return _unreadable(error)
    return replace(plan, id=f"{action.name}-{token_hex(4)}", made_at=context.now()) if isinstance(plan, Plan) else plan


def _made_again(plan: Plan, make: Callable[[], Plan | Refusal]) -> Plan | None:
    """The plan as things stand now, where it counts pods; None where there is none for the same: the changes see to that."""
    if "pods_at_once" not in plan.uses:
        return None
    try:
        now = make()
    except (ChangeRefused, SourceError):
        return None
    return now if isinstance(now, Plan) and now.target == plan.target else None


def _checked(action: Action, case: Case, rules: Sequence[Rule]) -> Sequence[Change]:
    """The plan's changes, once every rule, the cluster's permissions, and its dry run have let them pass; or ChangeRefused."""
    refusal = first_refusal(rules, case)
    if refusal is not None:
        raise ChangeRefused(refusal)
    try:
        changes = action.changes(case.context, case.plan)
        needed = list(dict.fromkeys(permission for change in changes for permission in change.permissions))
        if needed:
            _permitted(operator(case.context), needed)
    except SourceError as error:
        raise ChangeRefused(_unreadable(error)) from error
    for change in changes:
        change.preview()
    return changes


def _permitted(cluster: Operator, needed: Sequence[Permission]) -> None:
    missing = [str(permission) for permission in needed if not cluster.allowed(permission)]
    if missing:
        reason = f"the cluster does not let the operator {', '.join(missing)} in namespace {cluster.namespace}"
        mend = "let somebody with the rights do it, or have the role extended"
        raise ChangeRefused(Refusal(by="permissions", reason=reason, mend=mend))


def _lock(locks: ExitStack, case: Case) -> None:
    """One change at a time of what is written; of those that nobody watches, one for the service, so that their rate holds."""
    context, plan = case.context, case.plan
    holder = f"{plan.action} of incident {context.incident} by {context.operator} since {format_instant(context.now())}"
    names = {str(target) for target in (plan.target, *plan.writes)}
    if case.approval is not None and case.approval.source == "policy":
        names.add("automatic changes")
    for name in sorted(names):  # the same order everywhere, so that of two at least one goes on
        locks.enter_context(holding(context.audit.history, name, holder=holder))


def _circumstances(plan: Plan, context: ActionContext) -> list[str]:
    """What whoever approves should know beyond the plan itself."""
    warnings = []
    diagnosis = context.diagnosis
    if diagnosis is not None and any(symptom.breached is False for symptom in diagnosis.symptoms[:1]):
        warnings.append("the symptom is within its threshold: is there anything to mend?")
    elif not plan.evidence and not Case(plan=plan, context=context).causes:
        warnings.append("no confirmed cause calls for this action")
    return warnings + unfinished_warnings(context)


def _proposed(plan: Plan, context: ActionContext) -> Outcome:
    text = f"Proposed, nothing was changed. To do it, {how_to_approve(plan, context)}."
    if context.dry_run:
        text = f"Dry run, nothing was changed. Approved, it would have done: {plan.title}."
    return _outcome(plan, context, text)


def _would_have(plan: Plan, context: ActionContext, changes: Sequence[Change]) -> Outcome:
    would = tuple(f"would have done: {change.text}" for change in changes)
    return replace(_outcome(plan, context, f"Dry run, nothing was changed. It would have done: {plan.title}."), steps=would)


def _outcome(plan: Plan, context: ActionContext, text: str) -> Outcome:
    return Outcome(action=plan.action, target=plan.target, status="proposed", text=text, at=context.now(), plan=plan)


def _refused(action: Action, plan: Plan | None, context: ActionContext, refusal: Refusal) -> Outcome:
    text = refusal_text(refusal)
    target = plan.target if plan is not None else action.target(context)
    return Outcome(action=action.name, target=target, status="refused", text=text, at=context.now(), plan=plan, refusal=refusal)


def _unreadable(error: SourceError) -> Refusal:
    """The refusal that a failed read stands for."""
    mends = {
        "refused": "let somebody with the rights do it, or give the operator's role what the message names",
        "timeout": "try again in a moment",
        "unreachable": "check that the system runs, and its address",
        "not_configured": "add it under connections in the service file",
        "not_found": "correct the name in the service file",
    }
    return Refusal(by="target", reason=error.reason, mend=mends.get(error.status, "look at it by hand"))


def _approved(
    proposal: Proposal, action: Action, context: ActionContext, typed: str | None, make: Callable[[], Plan | Refusal]
) -> Outcome:
    """A person said yes to the plan of this proposal."""
    assert proposal.plan is not None
    approval = Approval(source="person", by=context.operator, typed_target=typed)
    outcome = carry_out(action, proposal.plan, context, approval, again=make)
    _concluded(proposal, action, context, outcome)
    return outcome


def _concluded(proposal: Proposal, action: Action, context: ActionContext, outcome: Outcome) -> Proposal:
    """Keep the outcome on the proposal, and the way back when something was changed that a person can take back."""
    proposal.outcome, plan = outcome, proposal.plan
    changed = outcome.status == "executed" or (outcome.status == "failed" and outcome.effect_text != "")
    proposal.undo = None
    if plan is not None and plan.reversible and changed and context.mode == "interactive":
        proposal.undo = lambda: _taken_back(proposal, action, context)
    return proposal


def _taken_back(proposal: Proposal, action: Action, context: ActionContext) -> Outcome:
    """A person wants the change of this proposal taken back: through the same door, planned on what is there now.

    A high risk is proposed first. Whoever approved the change has not seen what its way back does.
    """
    plan, proposal.back = proposal.plan, None
    assert plan is not None
    back = _planned(action, context, lambda: action.undo(context, plan))
    if isinstance(back, Refusal):
        return _refused(action, plan, context, back)
    back = replace(back, undoes=plan.id)
    if back.risk != "high":
        return _carried_back(proposal, back, action, context, None)
    try:
        _checked(action, Case(plan=back, context=context), STANDING_RULES)
    except ChangeRefused as refused:
        return _refused(action, back, context, refused.refusal)
    proposal.back = Proposal(action=action.name, plan=back, outcome=_proposed(back, context))
    proposal.back.approve = lambda typed=None: _carried_back(proposal, back, action, context, typed)
    return proposal.back.outcome


def _carried_back(proposal: Proposal, back: Plan, action: Action, context: ActionContext, typed: str | None) -> Outcome:
    outcome = carry_out(action, back, context, Approval(source="person", by=context.operator, typed_target=typed))
    if outcome.status == "undone":
        proposal.outcome, proposal.undo, proposal.back = outcome, None, None
    return outcome
