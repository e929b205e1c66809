"""Circuit breakers around the calls to other services: which are open."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from runbook_lib.analysis.series import split
from runbook_lib.checks.asking import Question, as_far_as_answered, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.sources.interface import HttpAnswer


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
    signal = Signal(name="breaker_open", presence=presence, text=summary.rstrip("."), subject=", ".join(opened) or None)
    rows = [(name, state) for name, state in sorted(states.items())] or [(name, "open") for name in opened]
    return Finding(
        name="circuit_breakers",
        title="Circuit breakers",
        summary=summary,
        status=status,
        command="; ".join(f"curl -s {base}{path}" for path in sorted(paths)) if base else "",
        tables=(("Circuit breakers", frame(rows, columns=["breaker", "state"])),) if rows else (),
        notes=answers.warnings,
        signals=(as_far_as_answered(signal, answers, "metric"),),
        sources=answers.sources,
    )


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
