"""The services that this one calls: do the calls fail, and are those services themselves well?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.analysis.series import largest, long, split
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import format_instant
from runbook_lib.service.models import Downstream
from runbook_lib.sources.interface import HttpAnswer

_FAILING_RATIO = 0.05  # of the calls; the seed's critical error rate, applied to what we call
_FALLBACK_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Dependency:
    """One downstream service as seen from here. blind: no health endpoint of any service answered, so that it may be our side."""

    name: str
    failing: Episode | None
    slow: Episode | None
    measured: bool
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
    seen = [_judge(one, context, answers, blind=blind) for one in downstream]
    errors = _by_name(answers.get("errors"), downstream)
    summary = _summary(seen, context)
    return Finding(
        name="downstream_health",
        title="Downstream services",
        summary=summary,
        status=_status(seen),
        command=_command(downstream),
        tables=(("Downstream services", _table(seen)),) if seen else (),
        figure=_figure(errors, summary),
        signals=tuple(signal for one in seen for signal in _signals(one, answers)) or _no_dependencies(),
        sources=answers.sources,
    )


def circuit_breakers(context: CheckContext) -> Finding:
    """The state of the circuit breakers, from the service's admin endpoint and its metrics."""
    application = context.service.components.application
    paths = {
        one.circuit_breaker.status_path
        for one in context.service.dependencies.downstream
        if one.circuit_breaker is not None and one.circuit_breaker.status_path
    }
    questions = {"metric": over_time(context, "breaker_state")}
    base = application.url.resolve().rstrip("/") if application.url is not None else ""
    if base:
        http = context.sources.http
        questions |= {path: Question(http, partial(http.get, base + path)) for path in paths}
    answers = ask(questions, deadline_seconds=context.deadline_seconds)
    open_now = _open_breakers(answers.get("metric"))
    states = _reported_states([answers.get(path) for path in paths])
    opened = sorted({*open_now, *(name for name, state in states.items() if state.lower() in {"open", "forced_open"})})
    known = answers.get("metric") is not None or bool(states)
    if not known:
        summary, status = "The state of the circuit breakers is not known.", FindingStatus.UNKNOWN
    elif opened:
        summary, status = (
            f"The circuit breaker of {', '.join(opened)} is open: calls are answered by the fallback.",
            FindingStatus.WARNING,
        )
    else:
        summary, status = "All circuit breakers are closed: every call goes through.", FindingStatus.INFO
    presence = Presence.UNKNOWN if not known else Presence.PRESENT if opened else Presence.ABSENT
    rows = [(name, state) for name, state in sorted(states.items())] or [(name, "open") for name in opened]
    return Finding(
        name="circuit_breakers",
        title="Circuit breakers",
        summary=summary,
        status=status,
        command="; ".join(f"curl -s {base}{path}" for path in sorted(paths)) if base else "",
        tables=(("Circuit breakers", frame(rows, columns=["breaker", "state"])),) if rows else (),
        signals=(Signal(name="breaker_open", presence=presence, text=summary.rstrip("."), subject=", ".join(opened) or None),),
        sources=answers.sources,
    )


def _health_question(context: CheckContext, downstream: Downstream) -> Question:
    url = downstream.health_url
    timeout = min(downstream.timeout_seconds or _FALLBACK_TIMEOUT_SECONDS, context.deadline_seconds / 2)
    return Question(context.sources.http, lambda: context.sources.http.get(url.resolve() if url else "", timeout_seconds=timeout))


def _spoke(answer: HttpAnswer | None) -> bool:
    return answer is not None and answer.status is not None


def _judge(downstream: Downstream, context: CheckContext, answers: Answers, *, blind: bool) -> _Dependency:
    label = downstream.label or downstream.name
    timeout = downstream.timeout_seconds or _FALLBACK_TIMEOUT_SECONDS
    errors, latency = answers.get("errors"), answers.get("latency")
    failing = _episode(errors, label, _FAILING_RATIO, context)
    slow = _episode(latency, label, 0.8 * timeout, context)
    question = f"health {downstream.name}"
    return _Dependency(
        name=downstream.name,
        failing=failing,
        slow=slow,
        measured=errors is not None or latency is not None,
        health=answers.get(question),
        probed=downstream.health_url is not None,
        blind=blind,
        timeout_seconds=timeout,
    )


def _episode(answer: Frame | None, label: str, threshold: float, context: CheckContext) -> Episode | None:
    if answer is None:
        return None
    series = split(answer, "downstream").get(label)
    if series is None or series.empty:
        return None
    episode = latest_episode(series, threshold=threshold, gap=context.gap)
    return episode if episode is not None and context.concerns(episode) else None


def _by_name(answer: Frame | None, downstream: tuple[Downstream, ...]) -> dict[str, pd.Series]:
    if answer is None:
        return {}
    names = {one.label or one.name: one.name for one in downstream}
    return {names.get(label, label): series for label, series in split(answer, "downstream").items()}


def _unwell(one: _Dependency) -> bool:
    return one.health is not None and not one.health.ok and not one.blind


def _looked_at(one: _Dependency) -> bool:
    return one.measured or (one.health is not None and not one.blind)


def _summary(seen: list[_Dependency], context: CheckContext) -> str:
    if not seen:
        return f"The service file of {context.service.name} names no downstream services."
    sick = [one for one in seen if one.failing or one.slow or _unwell(one)]
    if not sick:
        unseen = [one.name for one in seen if not _looked_at(one)]
        rest = f" ({', '.join(unseen)} could not be looked at)" if unseen else ""
        return f"Calls to {len(seen) - len(unseen)} of {len(seen)} downstream services are answered normally{rest}."
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
    return [_calls_signal(one, answers), _slow_signal(one, answers), _unhealthy_signal(one, answers)]


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
    if answers.get("errors") is None:
        reason = answers.why_missing("errors") or "the service exports no metric of its outgoing calls"
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
    if answers.get("latency") is None:
        reason = answers.why_missing("latency") or "the service exports no duration of its outgoing calls"
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


def _open_breakers(answer: Frame | None) -> list[str]:
    if answer is None:
        return []
    return [name for name, series in split(answer, "downstream").items() if len(series) and series.iloc[-1] == 1]


def _reported_states(answers: list[HttpAnswer | None]) -> dict[str, str]:
    """States from an admin endpoint: `{"payments": {"state": "open"}}`, `{"payments": "open"}`, or Spring's
    `{"circuitBreakers": {"payments": {"state": "OPEN"}}}`."""
    states: dict[str, str] = {}
    for answer in answers:
        if answer is None or not answer.ok or not isinstance(answer.body, Mapping):
            continue
        body = answer.body.get("circuitBreakers", answer.body)
        for name, value in body.items() if isinstance(body, Mapping) else ():
            state = value.get("state") if isinstance(value, Mapping) else value
            if isinstance(state, str):
                states[str(name)] = state
    return states
