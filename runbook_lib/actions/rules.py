"""The rules of the guard that need no system to be asked. Each is a function: the case in, a refusal out, or None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from runbook_lib.actions.audit import AuditEntry
from runbook_lib.actions.history import entries_of_service
from runbook_lib.actions.interface import ActionContext, Approval
from runbook_lib.models.cause import Cause
from runbook_lib.models.plan import Plan, Refusal
from runbook_lib.models.window import format_duration, format_instant

__all__ = [
    "APPROVAL_RULES",
    "STANDING_RULES",
    "Case",
    "Rule",
    "approval_without_asking",
    "first_refusal",
    "how_to_approve",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What is judged: a plan, who would carry it out, and, once somebody said yes, who.

    now: the plan made once more since, to see what it takes of what serves by now; None where that is not known.
    """

    plan: Plan
    context: ActionContext
    approval: Approval | None = None
    now: Plan | None = None

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The confirmed root causes that this action helps against."""
        return self.context.diagnosis.calling_for(self.plan.action) if self.context.diagnosis else ()


Rule = Callable[[Case], Refusal | None]

_RISKS = ("low", "medium", "high")
_NO_SECOND_TRY_WITHIN = timedelta(days=1)


def first_refusal(rules: Sequence[Rule], case: Case) -> Refusal | None:
    """What the first rule that says no says."""
    return next((refusal for rule in rules if (refusal := rule(case)) is not None), None)


def approval_without_asking(plan: Plan, context: ActionContext) -> Approval | None:
    """The approval that is there without a person at the notebook: from the parameter, or, for an alert, from the policy."""
    if context.mode == "papermill" and plan.action in context.approvals:
        return Approval(source="parameter", by=f"approve={plan.action}", typed_target=context.approvals.targets[plan.action])
    if context.mode == "alert" and plan.action in context.service.policy.auto_approve:
        return Approval(source="policy", by="policy.auto_approve", typed_target=str(plan.target))
    return None


def _allowed(case: Case) -> Refusal | None:
    policy, action = case.context.service.policy, case.plan.action
    if action in policy.forbidden_actions:
        return Refusal(
            by="policy", reason=f"{action} is forbidden", mend="it stands in policy.forbidden_actions of the service file"
        )
    if policy.enabled_actions and action not in policy.enabled_actions:
        return Refusal(
            by="policy", reason=f"{action} is not enabled", mend="add it to policy.enabled_actions of the service file"
        )
    return None


def _within_limits(case: Case) -> Refusal | None:
    policy = case.context.service.policy
    limits = {
        "pods_at_once": (policy.pods_at_once, "pods would be down together"),
        "pool_size": (policy.pool_size_maximum, "connections a pod"),
        "replicas": (policy.replicas_maximum, "replicas"),
    }
    fields = {"pods_at_once": "pods_at_once", "pool_size": "pool_size_maximum", "replicas": "replicas_maximum"}
    for name, used in case.plan.uses.items():
        limit, words = limits[name]
        if limit is not None and used > limit:
            mend = f"policy.{fields[name]} of the service file allows {limit}"
            if name == "pods_at_once":
                mend += "; a smaller maxUnavailable of the deployment's rollout takes fewer"
            return Refusal(by="policy", reason=f"{used} {words}", mend=mend)
    return None


def _symptom_is_there(case: Case) -> Refusal | None:
    """With nobody watching, nothing is changed in a service that is well - except to take back what was done."""
    diagnosis = case.context.diagnosis
    if case.context.mode == "interactive" or case.plan.undoes or diagnosis is None:
        return None
    if not any(symptom.breached is False for symptom in diagnosis.symptoms[:1]):
        return None
    return Refusal(by="is it this issue", reason="the symptom is within its threshold, so that there is nothing to mend")


STANDING_RULES: tuple[Rule, ...] = (_allowed, _within_limits, _symptom_is_there)
"""What holds before anybody approves."""


def _source_may_approve(case: Case) -> Refusal | None:
    approval, mode = case.approval, case.context.mode
    if approval is None:
        return Refusal(by="approval", reason="nobody has approved it", mend=how_to_approve(case.plan, case.context))
    needed = {"interactive": "person", "papermill": "parameter", "alert": "policy"}[mode]
    if approval.source == needed:
        return None
    reason = f"in a run that {_STARTED[mode]} only {_WHO[needed]} can approve"
    return Refusal(by="approval", reason=reason, mend=how_to_approve(case.plan, case.context))


_STARTED = {"interactive": "a person steps through", "papermill": "is not watched", "alert": "an alert started"}
_WHO = {"person": "that person", "parameter": "the parameter approve", "policy": "the service's policy"}


def how_to_approve(plan: Plan, context: ActionContext) -> str:
    """What gives this plan its approval in this mode."""
    if context.mode == "interactive":
        typed = f", and type {plan.target}" if plan.risk == "high" else ""
        return f"press Approve on its card{typed}"
    if context.mode == "papermill":
        return f"run again with approve={plan.action}" + (f"={plan.target}" if plan.risk == "high" else "")
    return f"open the incident's notebook, or add {plan.action} to policy.auto_approve of the service file"


def _target_is_typed(case: Case) -> Refusal | None:
    """A high risk needs the target's name from whoever approves; a name that was given must be the right one at any risk."""
    typed = case.approval.typed_target if case.approval else None
    target = case.plan.target
    if typed is not None and typed.strip() in (str(target), target.name):
        return None
    if typed is None and case.plan.risk != "high":
        return None
    found = f"found {typed!r}" if typed is not None else "none was typed"
    reason = f"{case.plan.action} would change {target}, and the approval must name that ({found})"
    return Refusal(by="approval", reason=reason, mend=how_to_approve(case.plan, case.context))


def _policy_has_grounds(case: Case) -> Refusal | None:
    """With nobody awake: a cause must be confirmed, surely enough, and call for this very action."""
    if case.approval is None or case.approval.source != "policy":
        return None
    needed = case.context.service.policy.auto_approve_confidence
    if case.plan.risk == "high":
        return Refusal(by="policy", reason=f"the risk is high: {case.plan.affects}", mend="only a person can approve that")
    if case.plan.unattended:
        mend = "a person can still approve it, in the incident's notebook"
        return Refusal(by="policy", reason="; ".join(case.plan.unattended), mend=mend)
    if not case.causes:
        return Refusal(by="policy", reason=f"no confirmed cause calls for {case.plan.action}", mend="a person has to look")
    best = max(cause.confidence for cause in case.causes)
    if best >= needed:
        return None
    reason = f"the cause is confirmed with confidence {best:.2f}; without a person {needed:.2f} is needed"
    return Refusal(by="policy", reason=reason, mend="a person has to look; policy.auto_approve_confidence says so")


def _policy_has_rate_left(case: Case) -> Refusal | None:
    """No more automatic changes within an hour than allowed: counted from all incidents' audits, so that no restart forgets."""
    if case.approval is None or case.approval.source != "policy":
        return None
    entries = entries_of_service(case.context, within=timedelta(hours=1))
    recent = [entry for entry in entries if entry.event == "intent" and entry["approval"] == "policy"]
    allowed = case.context.service.policy.auto_approve_per_hour
    if len(recent) < allowed:
        return None
    reason = f"{len(recent)} of {allowed} automatic changes an hour were made, the last at {format_instant(recent[-1].at)}"
    return Refusal(by="policy", reason=reason, mend="what an automatic change did not mend needs a person")


def _policy_has_helped(case: Case) -> Refusal | None:
    """What was done unasked and did not help is not done unasked again: an alert is repeated every hour for as long as it lasts.

    The last time within a day counts, in whatever incident, until a person has acted on the same target since. Gathering evidence
    is meant to mend nothing.
    """
    if case.approval is None or case.approval.source != "policy" or case.plan.evidence:
        return None
    begun, ends = _tried(case)
    unasked = [one for one in begun if one["approval"] == "policy" and one["action"] == case.plan.action]
    if not unasked or any(one["approval"] != "policy" and one.at > unasked[-1].at for one in begun):
        return None
    last = unasked[-1]
    end = ends.get(last["plan"])
    if end is not None and end["effect"] == "better":
        return None
    effect, seen = (end["effect"], end["effect_text"] or end["text"]) if end is not None else (None, None)
    came = f"{effect or 'unknown'} ({seen or 'nobody saw what came of it'})"
    reason = f"{last['action']} of {last['target']} was done unasked at {format_instant(last.at)}, and its effect was {came}"
    mend = "a person has to look; once one has acted on the target, or a day after it, the policy counts again"
    return Refusal(by="policy", reason=reason, mend=mend)


def _tried(case: Case) -> tuple[list[AuditEntry], dict[str, AuditEntry]]:
    """The changes of this plan's target that were begun within a day, oldest first, and what came of each, by its plan.

    Without those that took another one back, which is no step ahead, and those that the cluster refused: nothing was changed.
    """
    target = str(case.plan.target)
    entries = [one for one in entries_of_service(case.context, within=_NO_SECOND_TRY_WITHIN) if one["target"] == target]
    ends = {entry["plan"]: entry for entry in entries if entry.event in ("outcome", "effect")}
    begun = [entry for entry in entries if entry.event == "intent" and not entry["undoes"]]
    return [one for one in begun if one["plan"] not in ends or ends[one["plan"]]["status"] != "refused"], ends


def _not_expired(case: Case) -> Refusal | None:
    made, context = case.plan.made_at, case.context
    age = context.now() - made if made is not None else timedelta.max
    if age <= timedelta(seconds=context.plan_expires_seconds):
        return None
    old = f"is {format_duration(age)} old" if made is not None else "does not say when it was made"
    return Refusal(by="unchanged since the plan", reason=f"the plan {old}", mend="run the cell again and read the new plan")


def _takes_no_more_by_now(case: Case) -> Refusal | None:
    """How many pods would be down, and at which risk, hangs on what serves, which moves without the target being changed.

    Of pools and replicas the plan's own numbers are what would be written.
    """
    plan, now = case.plan, case.now
    if now is None:
        return None
    told = []
    said, down = (one.uses.get("pods_at_once", 0) for one in (plan, now))
    if down > said:
        told.append(f"{down} pods would be down together by now, and the plan said {said}")
    if _RISKS.index(now.risk) > _RISKS.index(plan.risk):
        told.append(f"its risk is {now.risk} by now, and was {plan.risk}: {now.affects}")
    if not told:
        return None
    return Refusal(by="unchanged since the plan", reason="; ".join(told), mend="run the cell again and read the new plan")


def _not_repeated(case: Case) -> Refusal | None:
    """A plan is carried out once, and what a parameter or policy approved once in an incident: re-running a cell is no yes."""
    plan, approval = case.plan, case.approval
    for entry in case.context.audit.entries():
        if entry.event != "intent":
            continue
        same_plan = entry["plan"] == plan.id
        same_grant = approval is not None and approval.source != "person" and entry["approval"] == approval.source
        if same_plan or (same_grant and entry["action"] == plan.action):
            reason = f"{plan.action} was begun already at {format_instant(entry.at)} with this approval"
            return Refusal(by="approval", reason=reason, mend="doing it again needs a person's new approval in the notebook")
    return None


APPROVAL_RULES: tuple[Rule, ...] = (
    _source_may_approve,
    _target_is_typed,
    _not_expired,
    _takes_no_more_by_now,
    _not_repeated,
    _policy_has_grounds,
    _policy_has_rate_left,
    _policy_has_helped,
)
"""What must hold of the approval, besides the standing rules."""
