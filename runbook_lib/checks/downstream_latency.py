"""How long calls to other services take, since when, and whether that is what makes this one slow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.analysis.series import largest, long, split
from runbook_lib.checks.asking import Answers, as_far_as_answered, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant
from runbook_lib.service.called import measured_names

# By so much must calls take longer than before, to every service alike: more than a busy second, less than what a limit allows.
_TIMES_AS_LONG, _LONGER_SECONDS = 3.0, 0.05
_USUAL = 0.1
_SHARE_OF_LIMIT = 0.5  # of the critical latency: a call that takes so long leaves its request no time


@dataclass(frozen=True, slots=True)
class _Calls:
    """The calls to one downstream service: their 95th percentile now, in seconds, and the episode in which it is too long."""

    name: str
    series: pd.Series
    slow: Episode | None

    @property
    def now(self) -> float | None:
        return float(self.series.iloc[-1]) if len(self.series) else None


def downstream_latency(context: CheckContext) -> Finding:
    """The 95th percentile of the calls to each downstream service, against the time that this service has itself."""
    answers = ask(
        {"latency": over_time(context, "downstream_latency", quantile="0.95")}, deadline_seconds=context.deadline_seconds
    )
    answer = answers.get("latency")
    limit = _SHARE_OF_LIMIT * context.service.thresholds.latency_p95_seconds.critical
    parts = split(answer, "downstream") if answer is not None else {}
    names = measured_names(context.service.dependencies.downstream, parts)
    calls = [_Calls(names.get(label, label), series, _episode(context, series, limit)) for label, series in parts.items()]
    slow = sorted((one for one in calls if one.slow), key=lambda one: -(one.slow.peak if one.slow else 0.0))
    summary = _summary(context, calls, slow, answers)
    return Finding(
        name="downstream_latency",
        title="Calls to other services",
        summary=summary,
        status=FindingStatus.UNKNOWN if not calls else FindingStatus.WARNING if slow else FindingStatus.NORMAL,
        command=answer.command if answer is not None else "",
        tables=(("Calls to other services", _table(calls)),) if calls else (),
        figure=_figure(calls, limit, summary),
        notes=answers.warnings,
        signals=tuple(
            as_far_as_answered(signal, answers, "latency")
            for signal in (_signal(calls, slow, limit, answers), *_together(context, calls, slow, answers))
        ),
        sources=answers.sources,
    )


def _episode(context: CheckContext, series: pd.Series, limit: float) -> Episode | None:
    if series.empty:
        return None
    episode = latest_episode(series, threshold=limit, gap=context.gap)
    return episode if episode is not None and context.concerns(episode) else None


def _why(answers: Answers) -> str:
    return answers.why_missing("latency") or "the service exports no duration of its outgoing calls"


def _summary(context: CheckContext, calls: list[_Calls], slow: list[_Calls], answers: Answers) -> str:
    if slow:
        return " ".join(f"{_sentence(one)}." for one in slow)
    if calls:
        worst = max(calls, key=lambda one: one.now or 0.0)
        return f"No downstream service is slow: the slowest, {worst.name}, takes {written(worst.now, 'seconds')} (p95)."
    if not context.service.dependencies.downstream:
        return f"The service file of {context.service.name} names no downstream services, and no calls are measured."
    return f"How long calls to other services take could not be measured: {_why(answers)}."


def _sentence(one: _Calls) -> str:
    assert one.slow is not None
    since = f"since {format_instant(one.slow.onset)}" if not one.slow.seen_from_start else "for at least the whole window"
    peak, before = written(one.slow.peak, "seconds"), written(one.slow.baseline, "seconds")
    return f"Calls to {one.name} take up to {peak} {since} (p95, before {before})"


def _table(calls: list[_Calls]) -> Frame:
    return frame(
        [
            {
                "service": one.name,
                "p95 now seconds": one.now,
                "p95 before seconds": one.slow.baseline if one.slow else None,
                "slow since": one.slow.onset if one.slow else None,
            }
            for one in calls
        ]
    )


def _figure(calls: list[_Calls], limit: float, summary: str) -> LineFigure | None:
    shown = {one.name: one.series for one in calls if len(one.series)}
    if not shown:
        return None
    threshold = Threshold(limit, f"half of the critical latency, {written(limit, 'seconds')}", "warning")
    lines = long(largest(shown, 8), unit="seconds")
    return LineFigure(title=summary.split(". ")[0], unit="seconds", frame=lines, thresholds=(threshold,))


def _signal(calls: list[_Calls], slow: list[_Calls], limit: float, answers: Answers) -> Signal:
    name = "downstream_takes_time"
    if slow:
        first = slow[0]
        assert first.slow is not None
        text = f"{_sentence(first)}"
        return Signal(
            name=name, presence=Presence.PRESENT, text=f"{text[0].lower()}{text[1:]}", since=first.slow.onset, subject=first.name,
            value=first.slow.peak, unit="seconds",
        )  # fmt: skip
    if not any(len(one.series) for one in calls):
        return Signal(
            name=name, presence=Presence.UNKNOWN, text=f"how long calls to other services take is not known: {_why(answers)}"
        )
    return Signal(name=name, presence=Presence.ABSENT, text=f"no call takes longer than {written(limit, 'seconds')} (p95)")


def _together(context: CheckContext, calls: list[_Calls], slow: list[_Calls], answers: Answers) -> tuple[Signal, Signal]:
    """Whether calls to every service take longer, since about the same moment - what they have in common is the way to them - or
    those to one do."""
    measured = [one for one in calls if len(one.series)]
    if not measured:
        text = f"whether all calls take longer is not known: {_why(answers)}"
        return _alike(Presence.UNKNOWN, text), _differ(Presence.UNKNOWN, text)
    longer = {one.name: _longer(context, one.series) for one in measured}
    onsets = [episode.onset for episode in longer.values() if episode is not None]
    if not onsets and not slow:
        text = "no call takes longer than usual"
        return _alike(Presence.ABSENT, text), _differ(Presence.ABSENT, text)
    if len(measured) < 2:
        text = "calls to one service only are measured"
        return _alike(Presence.UNKNOWN, f"whether all calls take longer is not known: {text}"), _differ(Presence.PRESENT, text)
    if len(onsets) < len(measured) or max(onsets) - min(onsets) > 2 * context.tolerance:
        text = "calls do not take longer to every service alike"
        return _alike(Presence.ABSENT, text), _differ(Presence.PRESENT, text)
    rises = ", ".join(
        f"{service} {written(episode.baseline, 'seconds')} to {written(episode.peak, 'seconds')}"
        for service, episode in longer.items()
        if episode is not None
    )
    text = f"calls to every service take longer since {format_instant(min(onsets))} (p95: {rises})"
    return _alike(Presence.PRESENT, text, min(onsets)), _differ(Presence.ABSENT, text)


def _alike(presence: Presence, text: str, since: datetime | None = None) -> Signal:
    return Signal(name="all_calls_take_longer", presence=presence, text=text, since=since)


def _differ(presence: Presence, text: str) -> Signal:
    return Signal(name="calls_differ", presence=presence, text=text)


def _longer(context: CheckContext, series: pd.Series) -> Episode | None:
    """The stretch in which calls take several times as long as they usually do; the low end of the window is what is usual."""
    usual = float(series.quantile(_USUAL))
    return _episode(context, series, max(_TIMES_AS_LONG * usual, usual + _LONGER_SECONDS))
