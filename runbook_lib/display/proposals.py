"""Proposed and executed actions as cards."""

from __future__ import annotations

from runbook_lib.display import html, text
from runbook_lib.models.plan import ActionStatus, Outcome, Plan, Proposal
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant

__all__ = ["outcome_html", "outcome_text", "proposal_html", "proposal_text"]

_DONE: tuple[ActionStatus, ...] = ("executed", "failed", "undone")


def proposal_html(proposal: Proposal) -> str:
    """What would change, for whom, at which risk, how one sees that it worked, and how to take it back.

    What came of it stands first, and the plan folded below.
    """
    plan, outcome = proposal.plan, proposal.outcome
    head = [
        html.heading(_named(outcome), status=outcome.status),
        html.paragraph(_headline(proposal), name="say"),
        html.paragraph(_fits(proposal)),
    ]
    if plan is None:
        return html.card(outcome.status, *head, _result_html(outcome))
    if outcome.status == "proposed":
        return html.card(outcome.status, *head, _plan_html(plan), _result_html(outcome))
    return html.card(outcome.status, *head, _result_html(outcome), html.details("The plan", _plan_html(plan)))


def proposal_text(proposal: Proposal) -> str:
    """The card as plain text."""
    plan, outcome = proposal.plan, proposal.outcome
    head = [f"[{outcome.status.upper()}] {_headline(proposal)}", _fits(proposal)]
    planned = _plan_text(plan) if plan is not None else ""
    result = _result_text(outcome)
    return text.block(*head, *((planned, result) if outcome.status == "proposed" else (result, planned)))


def outcome_html(outcome: Outcome) -> str:
    """What came of an action, by itself."""
    head = html.heading(_named(outcome), status=outcome.status)
    return html.card(outcome.status, head, _result_html(outcome))


def outcome_text(outcome: Outcome) -> str:
    """The same as plain text."""
    return text.block(f"[{outcome.status.upper()}] {_named(outcome)}", _result_text(outcome))


def _named(outcome: Outcome) -> str:
    return f"{outcome.action.replace('_', ' ').capitalize()} on {outcome.target}"


def _headline(proposal: Proposal) -> str:
    return proposal.plan.title if proposal.plan is not None else _named(proposal.outcome)


def _fits(proposal: Proposal) -> str:
    """By the titles of the causes, as the table of causes has them."""
    causes = proposal.recommended_titles or [name.replace("_", " ") for name in proposal.recommended_for]
    return f"Recommended for this cause: {'; '.join(causes)}." if causes else ""


def _plan_html(plan: Plan) -> str:
    return "".join(
        (
            html.bullets(plan.warnings, before="Warning:", name="care"),
            html.pairs(_facts(plan)),
            html.difference(plan.before, plan.after),
            html.command(plan.command),
        )
    )


def _plan_text(plan: Plan) -> str:
    return text.block(
        *(f"Warning: {warning}" for warning in plan.warnings),
        *(f"{name}: {value}" for name, value in _facts(plan) if value),
        text.difference(plan.before, plan.after),
        f"$ {plan.command}" if plan.command else "",
    )


def _facts(plan: Plan) -> list[tuple[str, str]]:
    kind = "gathers evidence" if plan.evidence else "repair of the root cause" if plan.repair else "mitigation"
    wait = f"; about {written(plan.seconds_until_effect, 'seconds')} until it shows" if plan.seconds_until_effect else ""
    where = f" in namespace {plan.target.namespace}" if plan.target.namespace else ""
    no_way_back = f"not possible ({plan.undo})" if plan.undo else "not possible"
    return [
        ("Target", f"{plan.target}{where}"),
        ("Risk", f"{plan.risk}; {kind}"),
        ("Affects", plan.affects),
        ("Worked when", f"{plan.seen_by}{wait}"),
        ("Undo", plan.undo if plan.reversible else no_way_back),
        ("Planned", format_instant(plan.made_at) if plan.made_at is not None else ""),
    ]


def _result_html(outcome: Outcome) -> str:
    done = outcome.status in _DONE
    judged = html.tag(outcome.effect) if done and outcome.effect != "unknown" else ""
    return "".join(
        (
            html.paragraph(outcome.text),
            html.paragraph(_mend(outcome), before="<strong>What would change that:</strong> "),
            html.paragraph(outcome.effect_text, before=judged),
            html.bullets(outcome.steps),
            html.paragraph(_when(outcome) if done else "", name="soft"),
        )
    )


def _result_text(outcome: Outcome) -> str:
    done = outcome.status in _DONE
    judged = f"[{outcome.effect.upper()}] " if done and outcome.effect != "unknown" else ""
    mend = _mend(outcome)
    return text.block(
        outcome.text,
        f"What would change that: {mend}" if mend else "",
        f"{judged}{outcome.effect_text}" if outcome.effect_text else "",
        outcome.steps,
        _when(outcome) if done else "",
    )


def _mend(outcome: Outcome) -> str:
    """How to get past a refusal, unless its text says so already."""
    mend = outcome.refusal.mend if outcome.refusal is not None else ""
    return "" if mend in outcome.text else mend


def _when(outcome: Outcome) -> str:
    by = f", approved by {outcome.approved_by}" if outcome.approved_by else ""
    took = f", in {written(outcome.seconds, 'seconds')}" if outcome.seconds is not None else ""
    return f"At {format_instant(outcome.at)}{by}{took}."
