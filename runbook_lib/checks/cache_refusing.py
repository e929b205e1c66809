"""A Redis that answers with a refusal: what that says of the service, and what it does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runbook_lib.models.cache import cannot_save, number_of
from runbook_lib.models.cache_refusal import CacheRefusal, refusal_in
from runbook_lib.models.finding import Presence, Signal

__all__ = ["refused", "refuses_signal"]


def refused(info: Mapping[str, Any] | None, said: Iterable[str]) -> CacheRefusal | None:
    """How it refuses, by what its answers `said` and what INFO tells; one that concerns everybody goes first."""
    told = [*said]
    if info is not None:
        told += _told_by(info)
    found = [refusal for text in told if (refusal := refusal_in(text)) is not None]
    return min(found, key=lambda refusal: not refusal.of_everybody, default=None)


def _told_by(info: Mapping[str, Any]) -> Iterator[str]:
    yield str(info.get("ping_refused") or "")
    if number_of(info, "loading"):
        yield "LOADING Redis is loading the dataset in memory"
    if why := cannot_save(info):
        yield f"MISCONF Redis cannot save ({why}), and refuses every write"


def refuses_signal(refusal: CacheRefusal | None, *, answers: bool, why_unknown: str) -> Signal:
    """Whether it refuses whoever asks. That it refuses our own user says nothing of the service's, whose logs tell that.

    answers: it has told of itself.
    """
    name = "cache_refuses"
    if refusal is not None and refusal.of_everybody:
        return Signal(
            name=name, presence=Presence.PRESENT, text=f"Redis refuses what it is asked: {refusal.text}", subject="redis"
        )
    if answers:
        return Signal(name=name, presence=Presence.ABSENT, text="Redis answers what it is asked")
    if refusal is not None:
        text = f"Redis refuses our own user ({refusal.text}), which says nothing of the service's"
    else:
        text = f"whether the cache refuses what it is asked is not known: {why_unknown}"
    return Signal(name=name, presence=Presence.UNKNOWN, text=text)
