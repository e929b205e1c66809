"""The services that this one calls: do the calls fail, and are those services themselves well?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.analysis.series import largest, long, split
from runbook_lib.checks.asking import Answers, Question, as_far_as_answered, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import format_instant
from runbook_lib.service.called import measured_names, unmeasured
from runbook_lib.service.models import Downstream
from runbook_lib.sources.interface import HttpAnswer

_FAILING_RATIO = 0.05  # of the calls; the seed's critical error rate, applied to what we call
_FALLBACK_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Dependency:
    """One downstream service as seen from here.

    missing: of "errors" and "latency", which were measured and have no calls to it, and what they have. blind: no health endpoint
    of any service answered, so that it may be our side.
    """

    name: str
    failing: Episode | None
    slow: Episode | None
    measured: bool
    missing: Mapping[str, str]
    health: HttpAnswer | None
    probed: bool
    blind: bool
    timeout_seconds: float


def downstream_health(context: CheckContext) -> Finding:
    """Each downstream service: its own health endpoint, and how our calls to it fare against the timeout."""
    downstream = context.service.dependencies.downstream
    health = {f"health {one.name}": _health_question(context, one) for one in downstream if one.health_url is not None}
    answers = ask(
        {
            "errors": over_time(context, "downstream_error_ratio"),
            "latency": over_time(context, "downstream_latency", quantile="0.95"),
            **health,
        },
        deadline_seconds=context.deadline_seconds,
    )
    blind = len(health) > 1 and not any(_spoke(answers.get(name)) for name in health)
    calls = _calls(answers, downstream)
    seen = [_judge(one, context, answers, calls, blind=blind) for one in downstream]
    summary = _summary(seen, context)
    return Finding(
        name="downstream_health",
        title="Downstream services",
        summary=summary,
        status=_status(seen),
        command=_command(downstream),
        tables=(("Downstream services", _table(seen)),) if seen else (),
        figure=_figure(calls.get("errors", {}), summary),
        signals=tuple(signal for one in seen for signal in _signals(one, answers)) or _no_dependencies(),
        notes=answers.warnings,
        sources=answers.sources,
    )


def _health_question(context: CheckContext, downstream: Downstream) -> Question:
    url = downstream.health_url
    timeout = min(downstream.timeout_seconds or _FALLBACK_TIMEOUT_SECONDS, context.deadline_seconds / 2)
    return Question(context.sources.http, lambda: context.sources.http.get(url.resolve() if url else "", timeout_seconds=timeout))


def _spoke(answer: HttpAnswer | None) -> bool:
    return answer is not None and answer.status is not None


def _calls(answers: Answers, downstream: tuple[Downstream, ...]) -> dict[str, dict[str, pd.Series]]:
    """The series of "errors" and "latency", as far as they are exported, by the service file's names where it means them."""
    parts = {name: split(answer, "downstream") for name in ("errors", "latency") if (answer := answers.get(name)) is not None}
    names = measured_names(downstream, {label for series in parts.values() for label in series})
    return {name: {names.get(label, label): one for label, one in series.items()} for name, series in parts.items()}


def _judge(
    downstream: Downstream,
    context: CheckContext,
    answers: Answers,
    calls: Mapping[str, Mapping[str, pd.Series]],
    *,
    blind: bool,
) -> _Dependency:
    name = downstream.name
    timeout = downstream.timeout_seconds or _FALLBACK_TIMEOUT_SECONDS
    ours = {measure: series[name] for measure, series in calls.items() if len(series.get(name, ()))}
    return _Dependency(
        name=name,
        failing=_episode(ours.get("errors"), _FAILING_RATIO, context),
        slow=_episode(ours.get("latency"), 0.8 * timeout, context),
        measured=bool(ours),
        missing={measure: unmeasured(downstream, series) for measure, series in calls.items() if measure not in ours},
        health=answers.get(f"health {name}"),
        probed=downstream.health_url is not None,
        blind=blind,
        timeout_seconds=timeout,
    )


def _episode(series: pd.Series | None, threshold: float, context: CheckContext) -> Episode | None:
    if series is None:
        return None
    episode = latest_episode(series, threshold=threshold, gap=context.gap)
    return episode if episode is not None and context.concerns(episode) else None


def _unwell(one: _Dependency) -> bool:
    return one.health is not None and not one.health.ok and not one.blind


def _looked_at(one: _Dependency) -> bool:
    """Its calls were; or, where no service measures its calls, its health."""
    return one.measured or (not one.missing and one.health is not None and not one.blind)


def _summary(seen: list[_Dependency], context: CheckContext) -> str:
    if not seen:
        return f"The service file of {context.service.name} names no downstream services."
    sick = [one for one in seen if one.failing or one.slow or _unwell(one)]
    if not sick:
        unseen = [one.name for one in seen if not _looked_at(one)]
        rest = f" ({', '.join(unseen)} could not be looked at)" if unseen else ""
        told = "".join(
            f" {text[0].upper()}{text[1:]}." for one in seen if not one.measured for text in dict.fromkeys(one.missing.values())
        )
        return f"Calls to {len(seen) - len(unseen)} of {len(seen)} downstream services are answered normally{rest}.{told}"
    return " ".join(_sentence(one) for one in sick)


def _sentence(one: _Dependency) -> str:
    parts = []
    if one.failing:
        parts.append(f"{one.failing.peak:.0%} of the calls to {one.name} fail since {format_instant(one.failing.onset)}")
    if one.slow:
        parts.append(f"its 95th percentile is {one.slow.peak:.2g} s (timeout {one.timeout_seconds:g} s)")
    if one.health is not None:
        health = one.health
        told = f"answers {health.status}" if health.status is not None else f"does not answer ({health.error})"
        parts.append(f"its health endpoint {told} in {health.seconds:.2g} s")
    return f"{one.name}: " + "; ".join(parts) + "."


def _status(seen: list[_Dependency]) -> FindingStatus:
    if any(one.failing for one in seen):
        return FindingStatus.CRITICAL
    if any(one.slow or _unwell(one) for one in seen):
        return FindingStatus.WARNING
    if seen and not any(_looked_at(one) for one in seen):
        return FindingStatus.UNKNOWN
    return FindingStatus.NORMAL


def _table(seen: list[_Dependency]) -> Frame:
    rows: list[Mapping[str, Any]] = [
        {
            "service": one.name,
            "timeout (s)": one.timeout_seconds,
            "calls": "failing" if one.failing else "slow" if one.slow else "normal" if one.measured else "not measured",
            "failing since": one.failing.onset if one.failing else None,
            "health": _health_word(one),
            "health answered in (s)": round(one.health.seconds, 3) if one.health else None,
        }
        for one in seen
    ]
    return frame(rows)


def _health_word(one: _Dependency) -> str:
    if one.health is None:
        return "could not be asked" if one.probed else "no health URL in the service file"
    return str(one.health.status) if one.health.status is not None else str(one.health.error)


def _command(downstream: tuple[Downstream, ...]) -> str:
    return "; ".join(f"curl -sS -m 5 {one.health_url.resolve()}" for one in downstream if one.health_url is not None)


def _figure(errors: dict[str, pd.Series], summary: str) -> LineFigure | None:
    if not any(len(series) for series in errors.values()):
        return None
    shown = largest(errors, 8)
    return LineFigure(
        title=summary.split(". ")[0],
        unit="ratio",
        frame=long(shown, unit="ratio"),
        thresholds=(Threshold(_FAILING_RATIO, f"{_FAILING_RATIO:.0%} of the calls", "warning"),),
    )


def _signals(one: _Dependency, answers: Answers) -> list[Signal]:
    return [
        as_far_as_answered(_calls_signal(one, answers), answers, "errors"),
        as_far_as_answered(_slow_signal(one, answers), answers, "latency"),
        _unhealthy_signal(one, answers),
    ]


def _calls_signal(one: _Dependency, answers: Answers) -> Signal:
    name = "downstream_calls_failing"
    if one.failing:
        text = f"up to {one.failing.peak:.0%} of the calls to {one.name} fail"
        return Signal(
            name=name,
            presence=Presence.PRESENT,
            text=text,
            since=one.failing.onset,
            subject=one.name,
            value=one.failing.peak,
            unit="ratio",
        )
    if answers.get("errors") is None or "errors" in one.missing:
        reason = (
            one.missing.get("errors") or answers.why_missing("errors") or "the service exports no metric of its outgoing calls"
        )
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"calls to {one.name} are not known: {reason}", subject=one.name)
    return Signal(name=name, presence=Presence.ABSENT, text=f"the calls to {one.name} do not fail", subject=one.name)


def _slow_signal(one: _Dependency, answers: Answers) -> Signal:
    name = "downstream_slow"
    if one.slow:
        text = f"calls to {one.name} take {one.slow.peak:.2g} s (95th percentile; timeout {one.timeout_seconds:g} s)"
        since = one.slow.onset
        return Signal(
            name=name, presence=Presence.PRESENT, text=text, since=since, subject=one.name, value=one.slow.peak, unit="seconds"
        )
    if answers.get("latency") is None or "latency" in one.missing:
        reason = (
            one.missing.get("latency")
            or answers.why_missing("latency")
            or "the service exports no duration of its outgoing calls"
        )
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"how long calls to {one.name} take is not known: {reason}")
    return Signal(name=name, presence=Presence.ABSENT, text=f"the calls to {one.name} are not slow", subject=one.name)


def _unhealthy_signal(one: _Dependency, answers: Answers) -> Signal:
    name = "downstream_unhealthy"
    if one.health is None:
        reason = answers.why_missing(f"health {one.name}") or "it has no health URL in the service file"
        return Signal(
            name=name, presence=Presence.UNKNOWN, text=f"the health of {one.name} is not known: {reason}", subject=one.name
        )
    if one.blind:
        text = f"no health endpoint of any service answers from here, so that the health of {one.name} is not known"
        return Signal(name=name, presence=Presence.UNKNOWN, text=text, subject=one.name)
    if not one.health.ok:
        text = f"the health endpoint of {one.name}: {_health_word(one)}"
        since = one.failing.onset if one.failing else None
        return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, subject=one.name)
    text = f"{one.name} itself answers {one.health.status} in {one.health.seconds:.2g} s"
    return Signal(name=name, presence=Presence.ABSENT, text=text, subject=one.name)


def _no_dependencies() -> tuple[Signal, ...]:
    text = "the service file names no downstream services"
    names = ("downstream_calls_failing", "downstream_slow", "downstream_unhealthy")
    return tuple(Signal(name=name, presence=Presence.ABSENT, text=text) for name in names)
