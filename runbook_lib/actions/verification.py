"""What came of a change: has it taken effect everywhere, and did the symptom's own metric get better?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from runbook_lib.actions.interface import ActionContext, Change, Gauge, Settling
from runbook_lib.models import units
from runbook_lib.models.plan import Effect
from runbook_lib.models.window import format_duration

__all__ = ["Assessment", "assess", "compare", "measure", "recovered_since", "settle"]

# Beyond the threshold, the distance to it must shrink or grow by this share, and by no less than a tenth of the threshold (of a
# ratio: of what it leaves to 0 or 1), to be more than the noise of a rate.
_BETTER, _WORSE, _NOISE = 0.8, 1.25, 0.1
_STEADY_READINGS = 2  # a single good reading may be a gap between the old pods and the new


@dataclass(frozen=True, kw_only=True, slots=True)
class Assessment:
    """The effect, and the sentence with its numbers."""

    effect: Effect
    text: str


def settle(context: ActionContext, changes: Sequence[Change]) -> Settling:
    """Wait until all changes have taken effect, for as long as they get further.

    Gives up when nothing moved for policy.verify_within_seconds, and the grace of what is given time to end; the reason why it
    is stuck is in the answer.
    """
    usual = timedelta(seconds=context.service.policy.verify_within_seconds)
    moved_at, last = context.now(), None
    while True:
        states = [change.settling() for change in changes]
        if all(state.done for state in states):
            return Settling(done=True, text="; ".join(dict.fromkeys(state.text for state in states)))
        waiting = [state for state in states if not state.done]
        now = Settling(done=False, text="; ".join(dict.fromkeys(state.text for state in waiting)), stuck=_reasons(waiting))
        context.progress(now.text + (f" - {now.stuck}" if now.stuck else ""))
        if last is None or now.text != last.text:
            moved_at, last = context.now(), now
        patience = usual + timedelta(seconds=max(state.grace_seconds for state in waiting))
        if context.now() - moved_at >= patience:
            still = f"nothing moved for {format_duration(patience)}"
            return Settling(done=False, text=now.text, stuck=f"{now.stuck} ({still})" if now.stuck else still)
        context.sleep(context.poll_seconds)


def _reasons(states: Sequence[Settling]) -> str:
    return "; ".join(dict.fromkeys(state.stuck for state in states if state.stuck))


def measure(context: ActionContext) -> float | None:
    """The symptom now, in its gauge's unit; None when nothing measures it, or it cannot be measured."""
    return context.symptom.read() if context.symptom is not None else None


def recovered_since(context: ActionContext, before: float | None) -> str:
    """That the symptom has come back within its threshold since the diagnosis, with its numbers; empty: not as far as is seen.

    before: its first reading now. Only where that is good, a second one follows, as when an effect is assessed.
    """
    gauge, diagnosis = context.symptom, context.diagnosis
    if gauge is None or diagnosis is None or before is None or not gauge.recovered(before):
        return ""
    was = next((one for one in diagnosis.symptoms[:1] if one.breached and one.value is not None), None)
    if was is None or (gauge.recovered(was.value or 0.0) and not was.beyond):
        return ""  # what breached it was something else than this value, which so tells nothing
    context.sleep(context.poll_seconds)
    again = gauge.read()
    if again is None or not gauge.recovered(again) or gauge.beyond():
        return ""
    now = f"{written(gauge, again)} now, within {written(gauge, gauge.threshold)}"
    return f"{gauge.title} was {written(gauge, was.value)}, and is {now}"


def assess(context: ActionContext, before: float | None, *, patient: bool) -> Assessment:
    """Compare the symptom with what it was before the change.

    patient: wait until it has recovered, or policy.verify_within_seconds have passed; else look once. While other causes stand
    that nothing was done about, it is not waited for longer than the metric takes to show a change: their fixes must not wait.
    """
    gauge = context.symptom
    if gauge is None:
        return Assessment(effect="unknown", text="the effect is not known: nothing measures the symptom")
    started, good, after = context.now(), 0, None
    deadline = started + (_patience(context, gauge) if patient else timedelta(0))
    while True:
        value = gauge.read()
        after = value if value is not None else after
        good = good + 1 if _enough(context, gauge, before, value) else 0
        if good >= _STEADY_READINGS or context.now() >= deadline:
            break
        context.progress(f"{gauge.title} is {written(gauge, value)}; waiting for {written(gauge, gauge.threshold)}")
        context.sleep(context.poll_seconds)
    return _assessed(context, gauge, before, after, context.now() - started)


def _patience(context: ActionContext, gauge: Gauge) -> timedelta:
    longest = timedelta(seconds=context.service.policy.verify_within_seconds)
    return min(longest, gauge.lag) if context.other_causes else longest


def _enough(context: ActionContext, gauge: Gauge, before: float | None, value: float | None) -> bool:
    if value is None:
        return False
    return gauge.recovered(value) or (bool(context.other_causes) and compare(gauge, before, value) == "better")


def _assessed(context: ActionContext, gauge: Gauge, before: float | None, after: float | None, waited: timedelta) -> Assessment:
    effect = compare(gauge, before, after)
    if after is None:
        return Assessment(effect=effect, text=f"the effect is not known: {gauge.title} cannot be measured")
    limit = f"{'within' if gauge.recovered(after) else 'beyond'} {written(gauge, gauge.threshold)}"
    text = f"{gauge.title}: {written(gauge, before)} before, {written(gauge, after)} {_after(waited)}, {limit}"
    if context.other_causes and not gauge.recovered(after):
        text += f"; not waited for longer, since nothing was done yet about: {', '.join(context.other_causes)}"
    return Assessment(effect=effect, text=text)


def _after(waited: timedelta) -> str:
    return f"{format_duration(waited)} after it took effect" if waited >= timedelta(seconds=1) else "after"


def compare(gauge: Gauge, before: float | None, after: float | None) -> Effect:
    """Better, same or worse: by the threshold when it was crossed, else by the distance from it."""
    if before is None or after is None:
        return "unknown"
    was_well, is_well = gauge.recovered(before), gauge.recovered(after)
    if is_well or was_well:
        return "same" if is_well == was_well else "better" if is_well else "worse"
    room = min(abs(gauge.threshold), abs(1 - gauge.threshold)) if gauge.unit == "ratio" else abs(gauge.threshold)
    if abs(after - before) < _NOISE * room:
        return "same"
    ratio = abs(after - gauge.threshold) / abs(before - gauge.threshold)
    return "better" if ratio <= _BETTER else "worse" if ratio >= _WORSE else "same"


def written(gauge: Gauge, value: float | None) -> str:
    """A value with its unit, as a person writes it."""
    return units.written(value, gauge.unit)
