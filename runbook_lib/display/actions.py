"""Proposed and executed actions as cards."""

from __future__ import annotations

from runbook_lib.display import html, text
from runbook_lib.models.plan import Outcome, Plan, Proposal
from runbook_lib.models.window import format_instant

__all__ = ["outcome_html", "outcome_text", "proposal_html", "proposal_text"]


def proposal_html(proposal: Proposal) -> str:
    """What would change, for whom, at which risk, how one sees that it worked, and how to take it back; then what came of it."""
    plan, outcome = proposal.plan, proposal.outcome
    fits = f"Recommended for {', '.join(proposal.recommended_for)}." if proposal.recommended_for else ""
    parts = [html.paragraph(_headline(proposal), before=html.tag(outcome.status), name="say")]
    parts.append(html.paragraph(fits) if fits else "")
    if plan is not None:
        parts += [html.bullets(f"Mind: {warning}" for warning in plan.warnings), html.pairs(_facts(plan))]
        folded = outcome.status == "refused"
        change = html.difference(plan.before, plan.after) + html.command(plan.command)
        parts.append(html.details("What would change", change) if folded else change)
    parts.append(_result_html(outcome))
    return html.card(outcome.status, *parts)


def proposal_text(proposal: Proposal) -> str:
    """The card as plain text."""
    plan, outcome = proposal.plan, proposal.outcome
    parts = [f"[{outcome.status}] {_headline(proposal)}"]
    if proposal.recommended_for:
        parts.append(f"Recommended for {', '.join(proposal.recommended_for)}.")
    if plan is not None:
        parts += [f"Mind: {warning}" for warning in plan.warnings]
        parts += [f"{name}: {value}" for name, value in _facts(plan) if value]
        parts += [text.difference(plan.before, plan.after), f"$ {plan.command}" if plan.command else ""]
    return text.block(*parts, _result_text(outcome))


def outcome_html(outcome: Outcome) -> str:
    """What came of an action, by itself."""
    said = html.paragraph(f"{outcome.action.replace('_', ' ')} on {outcome.target}", before=html.tag(outcome.status), name="say")
    return html.card(outcome.status, said, _result_html(outcome))


def outcome_text(outcome: Outcome) -> str:
    """The same as plain text."""
    return text.block(f"[{outcome.status}] {outcome.action.replace('_', ' ')} on {outcome.target}", _result_text(outcome))


def _headline(proposal: Proposal) -> str:
    return (
        proposal.plan.title
        if proposal.plan is not None
        else f"{proposal.action.replace('_', ' ').capitalize()} on {proposal.outcome.target}"
    )


def _facts(plan: Plan) -> list[tuple[str, str]]:
    kind = "repair of the root cause" if plan.repair else "mitigation"
    wait = f"about {plan.seconds_until_effect:.0f} s until it shows" if plan.seconds_until_effect else ""
    return [
        ("Target", f"{plan.target}{f' in namespace {plan.target.namespace}' if plan.target.namespace else ''}"),
        ("Risk", f"{plan.risk}; {kind}"),
        ("Affects", plan.affects),
        ("Worked when", f"{plan.seen_by}; {wait}" if wait else plan.seen_by),
        ("Undo", plan.undo if plan.reversible else f"cannot be undone. {plan.undo}".strip()),
    ]


def _result_html(outcome: Outcome) -> str:
    return "".join(
        (
            html.paragraph(outcome.text),
            html.bullets(outcome.steps),
            html.paragraph(outcome.effect_text) if outcome.effect_text else "",
            html.paragraph(_when(outcome)) if outcome.status in ("executed", "failed", "undone") else "",
        )
    )


def _result_text(outcome: Outcome) -> str:
    done = outcome.status in ("executed", "failed", "undone")
    return text.block(outcome.text, outcome.steps, outcome.effect_text, _when(outcome) if done else "")


def _when(outcome: Outcome) -> str:
    by = f", approved by {outcome.approved_by}" if outcome.approved_by else ""
    took = f", in {outcome.seconds:.0f} s" if outcome.seconds is not None else ""
    return f"At {format_instant(outcome.at)}{by}{took}."
