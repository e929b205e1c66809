"""Which earlier revision of a deployment to go back to: one that served, as far as its replica sets tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runbook_lib.actions.pod_template import same_program
from runbook_lib.actions.workload import Workload, revision_of
from runbook_lib.models.plan import Refusal
from runbook_lib.models.window import format_duration, format_instant, parse_instant

__all__ = ["Choice", "choose_revision"]

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """The replica set to go back to. doubts: why it may not have served. told: which newer ones were passed over, and why."""

    replica_set: Object
    doubts: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def choose_revision(
    workload: Workload, history: Sequence[Object], *, wanted: int | None, blamed: int | None, onset: datetime | None
) -> Choice | Refusal:
    """Where to go back to: `wanted`, else the newest that served before the blamed revision (the present one) and the onset.

    That it served is known of one that still has ready pods, and doubtful of one that was replaced at once.
    A revision whose pods would run like the present ones - a restart makes such - is never an answer. Nor is one that was taken
    back to what runs now, unless that is blamed: it is the last thing that somebody found broken.
    """
    by_revision = {number: one for one in history if (number := revision_of(one)) is not None}
    kept = ", ".join(map(str, sorted(by_revision))) or "none"
    if wanted is not None:
        return _wanted(workload, by_revision, wanted, kept)
    current = workload.revision or 0
    culprit = by_revision.get(blamed) if blamed is not None else None
    if culprit is not None and blamed != current and not same_program(culprit["spec"]["template"], workload.template):
        reason = f"revision {blamed}, which the diagnosis blames, is no longer the present one: that is {current}"
        return Refusal(by="target", reason=reason, mend="look again with incident.refresh(), or name a revision")
    newest = min(current, blamed or current)
    earlier = [
        number
        for number, one in by_revision.items()
        if number < newest
        and not same_program(one["spec"]["template"], workload.template)
        and (onset is None or str(one["metadata"].get("creationTimestamp")) < format_instant(onset))
    ]
    given_up = _given_up(workload, by_revision, earlier)
    if good := earlier if blamed is not None else sorted(set(earlier).difference(given_up)):
        return _most_proved(workload, by_revision, sorted(good), given_up)
    if given_up:
        tried = ", ".join(map(str, sorted(given_up)))
        return Refusal(
            by="target",
            reason=f"nothing to go back to: each earlier revision that differs was rolled back to what runs now ({tried})",
            mend="look elsewhere for the cause; a revision that was good after all can be named: rollback_deployment(revision=N)",
        )
    return Refusal(
        by="target",
        reason=f"deployment/{workload.name} has no earlier revision that differs from the present one (kept: {kept})",
        mend="deploy the last good version anew; more revisions are kept with revisionHistoryLimit",
    )


def _given_up(workload: Workload, by_revision: Mapping[int, Object], earlier: Sequence[int]) -> list[int]:
    """The revisions that came after what runs now had run before: a rollback gives it a new number, and its replica set keeps its
    age."""
    like = [one for one in by_revision.values() if same_program(one["spec"]["template"], workload.template)]
    first = min((str(one["metadata"].get("creationTimestamp")) for one in like), default="")
    return [number for number in earlier if first and str(by_revision[number]["metadata"].get("creationTimestamp")) > first]


def _wanted(workload: Workload, by_revision: Mapping[int, Object], wanted: int, kept: str) -> Choice | Refusal:
    chosen = by_revision.get(wanted)
    if chosen is None:
        reason = f"deployment/{workload.name} keeps no revision {wanted} (kept: {kept})"
        return Refusal(by="target", reason=reason, mend="choose one of those")
    if wanted == workload.revision or same_program(chosen["spec"]["template"], workload.template):
        return Refusal(by="target", reason=f"revision {wanted} runs already: pods of it would be like the present ones")
    return Choice(chosen, tuple(_doubts(workload, by_revision, wanted)))


def _most_proved(workload: Workload, by_revision: Mapping[int, Object], good: Sequence[int], given_up: Sequence[int]) -> Choice:
    """The newest with ready pods, else the newest; where that was replaced at once, the last one before it that lasted."""
    serving = [number for number in good if _ready(by_revision[number])]
    number = max(serving or good)
    if serving:
        why = f"none of its pods is ready and {_ready(by_revision[number])} of revision {number} are"
        return Choice(by_revision[number], told=_passed_over(dict.fromkeys(good, why), number))
    stood = {one: time for one in good if (time := _stood(by_revision, one)) is not None}
    brief = {one: _replaced(time) for one, time in stood.items() if time <= workload.progress_deadline}
    if number in brief:
        number = max(stood.keys() - brief.keys(), default=number)
    doubts = list(_doubts(workload, by_revision, number))
    if number in given_up:
        doubts.append(f"revision {number} was rolled back to what runs now: somebody may have found it broken")
    return Choice(by_revision[number], tuple(doubts), _passed_over(brief, number))


def _passed_over(reasons: Mapping[int, str], chosen: int) -> tuple[str, ...]:
    return tuple(f"revision {later} is passed over, since {why}" for later, why in reasons.items() if later > chosen)


def _doubts(workload: Workload, by_revision: Mapping[int, Object], number: int) -> Iterable[str]:
    stood = _stood(by_revision, number)
    if stood is not None and stood <= workload.progress_deadline and not _ready(by_revision[number]):
        yield f"revision {number} may never have served: {_replaced(stood)}"


def _replaced(stood: timedelta) -> str:
    return f"it was replaced {format_duration(stood)} after it began"


def _ready(replica_set: Object) -> int:
    return int((replica_set.get("status") or {}).get("readyReplicas") or 0)


def _stood(by_revision: Mapping[int, Object], number: int) -> timedelta | None:
    """How long until another revision came; restarts of this one are part of it.

    None when that is not known: nothing followed, or a rollback, which gives an old replica set a new number.
    """
    template = by_revision[number]["spec"]["template"]
    like = {one for one, found in by_revision.items() if same_program(found["spec"]["template"], template)}
    following = min((one for one in by_revision if one > number and one not in like), default=None)
    if following is None:
        return None
    stood = _created(by_revision[following]) - min(_created(by_revision[one]) for one in like)
    return stood if stood > timedelta(0) else None


def _created(replica_set: Object) -> datetime:
    return parse_instant(str(replica_set["metadata"]["creationTimestamp"]))
