"""A network policy that closes a way, and the errors of whoever needs that way: together they are one cause."""

from __future__ import annotations

from runbook_lib.models.cause import CauseRule, Conjunction, ExplainedBy, Remedy

__all__ = ["because_cut_off", "cut_off", "network_partition"]

_TEXTS = {
    "database": "a network policy keeps the pods from their database",
    "cache": "a network policy keeps the pods from their cache",
    "calls": "a network policy keeps the pods from what they call",
}


def cut_off(to: str, *signs: str) -> tuple[Conjunction, ...]:
    """The way to the `database`, the `cache` or the `calls` is denied, and one of the signs that this would leave is there.

    Close in time: a policy that denied the way for long, while requests succeeded, is one that the network does not enforce.
    """
    return tuple(
        Conjunction(name=f"{to}_cut_off_with_{sign}", all_of=(f"policy_denies_{to}", sign), text=_TEXTS[to], close_in_time=True)
        for sign in signs
    )


def because_cut_off(ways: tuple[Conjunction, ...]) -> tuple[ExplainedBy, ...]:
    """What fails since its way is denied is not a second cause."""
    return tuple(ExplainedBy(cause="network_partition", when=(way.name,)) for way in ways)


def network_partition(*ways: Conjunction) -> CauseRule:
    """The cause that any of the ways being cut off makes."""
    return CauseRule(
        name="network_partition",
        title="The way to what the service needs is closed",
        mechanism=(tuple(way.name for way in ways),),
        remedies=(
            Remedy(action="open_circuit_breaker", when=("policy_denies_calls",)),
            Remedy(action="delete_network_policy", when=("policy_removable",)),
        ),
        lookback_seconds=3600,
        by_hand="add a rule to the network policy that lets this way pass: no single policy could be deleted to open it.",
    )
