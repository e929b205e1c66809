"""How long requests take, since when, and which."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import pandas as pd

from runbook_lib.analysis.series import as_series, largest, long, split
from runbook_lib.checks.asking import Answers, as_far_as_answered, ask
from runbook_lib.checks.breakdown import averages, outlier, ranking
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.level import Level, level_of, symptom_of
from runbook_lib.checks.measures import now, over_time
from runbook_lib.models.cause import Symptom
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant

_QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}
_NOTHING_FOUND = (
    "no histogram or summary of this service's response times was found in Prometheus; set instrumentation.preset, .selector "
    "or .metrics.latency_quantile"
)
_APART_OF_LIMIT = 0.5  # of the critical latency: by so much must one version or pod be slower than the next


def latency(context: CheckContext) -> Finding:
    """The 50th, 95th and 99th percentile of the response time over the window: is p95 above its threshold, and since when?"""
    # p95 is dated, and the others are only drawn: each asks Prometheus for every bucket of every pod once more.
    quantiles = {
        name: over_time(context, "latency_quantile", steps="fine" if name == "p95" else "coarse", quantile=value)
        for name, value in _QUANTILES.items()
    }
    others = {"rate": now(context, "request_rate"), "mean": now(context, "latency_mean")}
    answers = ask({**quantiles, **others}, deadline_seconds=context.deadline_seconds)
    answer = answers.get("p95")
    if answer is None:
        return _unmeasured(context, answers)
    limits = context.service.thresholds.latency_p95_seconds
    # Without requests there is no percentile: Prometheus says NaN.
    level = level_of(context, _unbounded(context, as_series(answer)), limits)
    cut_off = _cut_off(context, level)
    level = replace(level, current=None) if cut_off else level
    parts = {name: as_series(answers.get(name)) for name in _QUANTILES if answers.get(name) is not None}
    summary = cut_off or _summary(context, level)
    return Finding(
        name="latency",
        title="Latency",
        summary=summary,
        status=level.status,
        command=answer.command,
        tables=(("Response time", _table(parts, level, answers.get("rate"))),),
        figure=_figure(summary, parts, level),
        notes=(*_notes(context), *_end_note(context, [level.series]), *answers.warnings),
        signals=(
            level.signal(
                "latency_high",
                f"the 95th percentile is {written(level.value, 'seconds')}, limit {written(limits.critical, 'seconds')}",
                unknown=cut_off.rstrip(".") or "no requests were answered, so that there is nothing to measure",
                unit="seconds",
            ),
        ),
        sources=answers.sources,
    )


def latency_symptom(context: CheckContext, finding: Finding) -> Symptom:
    """The issue's measured symptom, from the finding of `latency`."""
    limit = context.service.thresholds.latency_p95_seconds.critical
    return symptom_of(finding, "latency_high", name="latency_p95", title="p95 latency", unit="seconds", threshold=limit)


def latency_breakdown(context: CheckContext) -> Finding:
    """Which requests are slow: by route, pod and version. One route, one pod or one version points at the cause."""
    answers = ask(
        {part: over_time(context, f"latency_by_{part}", steps="coarse", quantile="0.95") for part in ("route", "pod", "version")},
        deadline_seconds=context.deadline_seconds,
    )
    focus = context.focus()
    by = {part: averages(answers.get(part), part, focus) for part in ("route", "pod", "version")}
    if not any(by.values()):
        return _not_broken_down(answers)
    limits = context.service.thresholds.latency_p95_seconds
    part = next(part for part, amounts in by.items() if amounts)
    worst, slowest = max(by[part].items(), key=lambda item: item[1])
    # An average over the episode's rise is less than what the step before tells of now.
    since = f"on average since {format_instant(focus.start)}"
    summary = f"The slowest {part} is {worst}, with a 95th percentile of {written(slowest, 'seconds')} {since}."
    parts = split(answers.get(part), part)
    notes = [_uneven(context, by[name], name) for name in ("pod", "version")]
    return Finding(
        name="latency_breakdown",
        title="Which requests are slow",
        summary=summary,
        status=FindingStatus.WARNING if slowest > limits.warning else FindingStatus.NORMAL,
        command=answers.get(part).command,
        tables=tuple((f"p95 by {name}", ranking(amounts, name, "p95 seconds")) for name, amounts in by.items() if amounts),
        figure=LineFigure(title=summary, unit="seconds", frame=long(largest(parts, 8), unit="seconds")),
        notes=(*(note for note in notes if note), *_end_note(context, parts.values()), *answers.warnings),
        signals=(as_far_as_answered(_version_signal(context, by["version"], answers), answers, "version"),),
        sources=answers.sources,
    )


def _notes(context: CheckContext) -> Iterator[str]:
    """What to know of percentiles that come from a summary; `latency` has had them, so that the expressions are there."""
    expression = context.expressions().get("latency_quantile")
    if expression is None or not expression.quantiles:
        return
    yield (
        "The response time is exported as a summary: its percentiles cannot be added up over pods and routes, so that the worst "
        "series counts, over the time that the service itself chose."
    )
    others = [(name, got) for name, asked in _QUANTILES.items() if float(got := expression.quantile_for(asked)) != float(asked)]
    if others:
        told = ", ".join(f"in place of {name} stands quantile {got}" for name, got in others)
        yield f"The summary has the quantiles {', '.join(expression.quantiles)}: {told}."


def _end(context: CheckContext) -> float:
    """Where the histogram's buckets end, in seconds: a percentile above it is told as this."""
    expression = context.expressions().get("latency_quantile")
    return expression.ends if expression is not None and expression.ends is not None else math.inf


def _unbounded(context: CheckContext, series: pd.Series) -> pd.Series:
    """The series; where the buckets end at the very limit, with what is longer than that just above the limit, where it is."""
    end, limit = _end(context), context.service.thresholds.latency_p95_seconds.critical
    return series.mask(series >= end, math.nextafter(limit, math.inf)) if math.isclose(end, limit) else series


def _cut_off(context: CheckContext, level: Level) -> str:
    """A sentence when p95 lies above all buckets, and they end below the limit: it may be on either side of it."""
    end, limit = _end(context), level.limits.critical
    if level.episode is not None or level.current is None or level.current < end or end >= limit:
        return ""
    return (
        f"5% of the requests to {context.service.name} take at least {written(end, 'seconds')}, and the histogram ends there: "
        f"whether p95 is above the limit of {written(limit, 'seconds')} is not known. Export a bucket above the limit."
    )


def _end_note(context: CheckContext, percentiles: Iterable[pd.Series]) -> Iterator[str]:
    """What to know where a percentile reached the end of the buckets."""
    end = _end(context)
    if any(float(series.max()) >= end for series in percentiles if len(series)):
        yield f"The histogram's buckets end at {written(end, 'seconds')}: whatever takes longer is told as this."


def _mean_only(answers: Answers) -> str:
    """What is known where no percentile is: an average hides the slow ones, so that it says nothing of the symptom."""
    mean = answers.get("mean")
    if mean is None or mean.empty:
        return ""
    average = written(float(mean["value"].iloc[-1]), "seconds")
    return (
        f"only sum and count are exported, which give an average ({average}) and no percentile; export buckets, as Spring Boot "
        "does by management.metrics.distribution.percentiles-histogram.http.server.requests=true"
    )


def _unmeasured(context: CheckContext, answers: Answers) -> Finding:
    reason = answers.why_missing("p95") or _mean_only(answers) or _NOTHING_FOUND
    text = f"The response time could not be measured: {reason}."
    url = context.service.components.application.url
    address = url.resolve().rstrip("/") if url is not None else f"http://{context.service.name}"
    path = context.service.components.application.health_path
    return Finding(
        name="latency",
        title="Latency",
        summary=text,
        status=FindingStatus.UNKNOWN,
        command=f"curl -sS -o /dev/null -w '%{{time_total}} s\\n' {address}{path}",
        signals=(Signal(name="latency_high", presence=Presence.UNKNOWN, text=text),),
        sources=answers.sources,
    )


def _summary(context: CheckContext, level: Level) -> str:
    service, limit, episode = context.service.name, written(level.limits.critical, "seconds"), level.episode
    if level.current is None:
        since = f"since {format_instant(level.series.index[-1])}" if len(level.series) else "in the window"
        return f"{service} answered no requests {since}, so there is no response time: look at its pods, and at what calls it."
    current = written(level.current, "seconds")
    if episode is None:
        highest = float(level.series.max())
        earlier = f"; the highest in the window was {written(highest, 'seconds')}" if highest > level.limits.critical else ""
        return f"95% of the requests to {service} take no more than {current}, within the limit of {limit}{earlier}."
    peak, before = written(episode.peak, "seconds"), written(episode.baseline, "seconds")
    state = f"take more than {current}" if episode.ongoing else f"took up to {peak}"
    return f"5% of the requests to {service} {state} {level.since} (limit {limit}, before {before}, peak {peak})."


def _table(parts: Mapping[str, pd.Series], level: Level, rate: Frame | None) -> Frame:
    rows: list[tuple[str, float | None, str]] = [
        (f"{name} now", float(series.iloc[-1]) if len(series) else None, "seconds") for name, series in parts.items()
    ]
    rows += [
        ("highest p95 in the window", float(level.series.max()) if len(level.series) else None, "seconds"),
        ("p95 before the onset", level.episode.baseline if level.episode else None, "seconds"),
        ("requests", float(rate["value"].sum()) if rate is not None and len(rate) else None, "requests/s"),
    ]
    return frame(rows, columns=["measure", "value", "unit"])


def _figure(summary: str, parts: Mapping[str, pd.Series], level: Level) -> LineFigure | None:
    if not len(level.series):
        return None
    limits = level.limits
    return LineFigure(
        title=summary,
        unit="seconds",
        frame=long(dict(parts), unit="seconds"),
        thresholds=(
            Threshold(limits.critical, f"critical {written(limits.critical, 'seconds')}", "critical"),
            Threshold(limits.warning, f"warning {written(limits.warning, 'seconds')}", "warning"),
        ),
    )


def _not_broken_down(answers: Answers) -> Finding:
    reason = next((why for part in ("route", "pod", "version") if (why := answers.why_missing(part))), "")
    text = f"The response time could not be broken down: {reason or 'it is exported without route, pod and version'}."
    return Finding(
        name="latency_breakdown",
        title="Which requests are slow",
        summary=text,
        status=FindingStatus.UNKNOWN,
        signals=(Signal(name="latency_differs_by_version", presence=Presence.UNKNOWN, text=text),),
        sources=answers.sources,
    )


def _uneven(context: CheckContext, amounts: Mapping[str, float], part: str) -> str:
    """A sentence when one pod or version is clearly slower than the others."""
    limit = context.service.thresholds.latency_p95_seconds.critical
    apart = outlier(amounts, apart=_APART_OF_LIMIT * limit)
    if apart is None:
        return ""
    name, slow, rest = apart
    return f"{part.capitalize()} {name} takes {written(slow, 'seconds')} (p95), the next one {written(rest, 'seconds')}."


def _version_signal(context: CheckContext, versions: Mapping[str, float], answers: Answers) -> Signal:
    name = "latency_differs_by_version"
    if not versions:
        reason = answers.why_missing("version") or "the metrics carry no version"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"response times by version are not known: {reason}")
    if apart := _uneven(context, versions, "version"):
        return Signal(name=name, presence=Presence.PRESENT, text=apart)
    return Signal(name=name, presence=Presence.ABSENT, text="no version is slower than another")
