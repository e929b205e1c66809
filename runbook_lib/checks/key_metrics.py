"""The service's key metrics against their thresholds, at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import now
from runbook_lib.models.finding import Finding, FindingStatus
from runbook_lib.models.frame import Frame, frame
from runbook_lib.service.models import MetricThreshold


@dataclass(frozen=True, slots=True)
class _Row:
    """One key metric: its value now (None when not known), in `unit`."""

    name: str
    value: float | None
    unit: str
    threshold: MetricThreshold


def key_metrics(context: CheckContext) -> Finding:
    """Error rate, latency, availability, CPU, memory and database connections against normal, warning and critical."""
    database = context.sources.database
    answers = ask(
        {
            "errors": now(context, "error_ratio"),
            "latency": now(context, "latency_quantile", quantile="0.95"),
            "ready": now(context, "replicas_available"),
            "desired": now(context, "replicas_desired"),
            "cpu": now(context, "cpu_usage"),
            "cpu_limit": now(context, "cpu_limit"),
            "memory": now(context, "memory_ratio"),
            "connections": Question(database, database.limits),
        },
        deadline_seconds=context.deadline_seconds,
    )
    rows = _rows(context, answers)
    worst = [row for row in rows if _level(row) in ("warning", "critical")]
    unknown = [row.name for row in rows if row.value is None]
    summary = _summary(worst, unknown, len(rows))
    return Finding(
        name="key_metrics",
        title="Key metrics",
        summary=summary,
        status=_status(rows, unknown),
        command=answers.get("errors").command if answers.get("errors") is not None else "",
        tables=(("Key metrics now", _table(rows)),),
        notes=answers.warnings,
        sources=answers.sources,
    )


def _rows(context: CheckContext, answers: Answers) -> list[_Row]:
    limits = context.service.thresholds
    errors = _highest(answers.get("errors"))
    cpu = _share(answers.get("cpu"), answers.get("cpu_limit"))
    server: dict[str, Any] | None = answers.get("connections")
    used = server["used_connections"] / server["max_connections"] if server else None
    return [
        _Row("error rate", errors, "ratio", limits.error_ratio),
        _Row("p95 latency", _highest(answers.get("latency")), "seconds", limits.latency_p95_seconds),
        _Row("availability", 1 - errors if errors is not None else None, "ratio", limits.availability_ratio),
        _Row("CPU usage of limit", cpu, "ratio", limits.cpu_ratio),
        _Row("memory usage of limit", _highest(answers.get("memory")), "ratio", limits.memory_ratio),
        _Row("database connections of maximum", used, "ratio", limits.database_connections_ratio),
    ]


def _highest(answer: Frame | None) -> float | None:
    values = answer["value"].dropna() if answer is not None and len(answer) else None
    return float(values.max()) if values is not None and len(values) else None


def _share(used: Frame | None, limit: Frame | None) -> float | None:
    """What is used of the limits, of the pods that have both: one that was evicted keeps a limit, and uses nothing."""
    parts, whole = _by_pod(used), _by_pod(limit)
    both = parts.keys() & whole.keys()
    limits = sum(whole[pod] for pod in both)
    return sum(parts[pod] for pod in both) / limits if limits else None


def _by_pod(answer: Frame | None) -> dict[str, float]:
    """Each pod's value; under no name where an expression of the team tells no pods apart."""
    values = answer.dropna(subset=["value"]) if answer is not None and len(answer) else None
    if values is None:
        return {}
    pods = values["pod"] if "pod" in values.columns else [""] * len(values)
    return {str(pod): float(value) for pod, value in zip(pods, values["value"], strict=True)}


def _level(row: _Row) -> str:
    if row.value is None:
        return "unknown"
    sign = -1 if row.threshold.below else 1
    if sign * row.value > sign * row.threshold.critical:
        return "critical"
    return "warning" if sign * row.value > sign * row.threshold.warning else "normal"


def _summary(worst: list[_Row], unknown: list[str], count: int) -> str:
    if worst:
        told = ", ".join(f"{row.name} {_written(row.value, row.unit)} ({_level(row)})" for row in worst)
        return f"{len(worst)} of {count} key metrics are out of bounds: {told}."
    if len(unknown) == count:
        return "No key metric could be measured."
    rest = f"; not known: {', '.join(unknown)}" if unknown else ""
    return f"{count - len(unknown)} of {count} key metrics are normal{rest}."


def _status(rows: list[_Row], unknown: list[str]) -> FindingStatus:
    levels = {_level(row) for row in rows}
    if "critical" in levels:
        return FindingStatus.CRITICAL
    if "warning" in levels:
        return FindingStatus.WARNING
    return FindingStatus.UNKNOWN if len(unknown) == len(rows) else FindingStatus.NORMAL


def _table(rows: list[_Row]) -> Frame:
    def bound(row: _Row, value: float) -> str:
        return f"{'<' if row.threshold.below else '>'} {_written(value, row.unit)}"

    return frame(
        [
            {
                "metric": row.name,
                "now": _written(row.value, row.unit),
                "level": _level(row),
                "normal": f"{'>' if row.threshold.below else '<'} {_written(row.threshold.normal, row.unit)}",
                "warning": bound(row, row.threshold.warning),
                "critical": bound(row, row.threshold.critical),
            }
            for row in rows
        ]
    )


def _written(value: float | None, unit: str) -> str:
    if value is None:
        return "not known"
    if unit == "ratio":
        return f"{value:.2%}"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
