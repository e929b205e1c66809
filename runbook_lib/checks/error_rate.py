"""How many requests fail, since when, and which."""

from __future__ import annotations

from collections.abc import Mapping

from runbook_lib.analysis.counting import Counted, counted
from runbook_lib.analysis.series import as_series, largest, long, split
from runbook_lib.checks.asking import Answers, as_far_as_answered, ask
from runbook_lib.checks.breakdown import averages, outlier, ranking
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.level import Level, level_of, symptom_of
from runbook_lib.checks.measures import over_time
from runbook_lib.models.cause import Symptom
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import Window, format_instant

_FEWEST_FAILED = 5  # requests: where fewer fail, a share of them says nothing, however high it is
_MINIMUM_RATIO_APART = 0.2  # two revisions differ when their error ratios lie this far apart
_MEASURES = {"ratio": "error_ratio", "rate": "request_rate"}


def error_ratio(context: CheckContext) -> Finding:
    """The share of requests that fail with a 5xx, over the window: is it above its threshold, and since when?"""
    answers = ask(
        {name: over_time(context, measure, steps="fine") for name, measure in _MEASURES.items()},
        deadline_seconds=context.deadline_seconds,
    )
    answer = answers.get("ratio")
    threshold = context.service.thresholds.error_ratio
    if answer is None:
        return _unmeasured(context, answers)
    level = level_of(context, as_series(answer), threshold)
    few = _few(context, level, answers.get("rate"))
    series, summary = level.series, _few_summary(context, level, few) if few else _ratio_summary(context, level)
    return Finding(
        name="error_ratio",
        title="Error rate",
        summary=summary,
        status=FindingStatus.WARNING if few else level.status,
        command=answer.command,
        tables=(("Error ratio over time", _ratio_table(level, answers.get("rate"))),),
        figure=LineFigure(
            title=summary,
            unit="ratio",
            frame=long({"error ratio": series}, unit="ratio"),
            thresholds=(
                Threshold(threshold.critical, f"critical {threshold.critical:.0%}", "critical"),
                Threshold(threshold.warning, f"warning {threshold.warning:.0%}", "warning"),
            ),
        )
        if len(series)
        else None,
        notes=answers.warnings,
        signals=(
            Signal(name="errors_high", presence=Presence.ABSENT, text=summary, value=level.value, unit="ratio")
            if few
            else level.signal(
                "errors_high",
                f"{level.value or 0.0:.1%} of requests fail, limit {threshold.critical:.0%}",
                unknown="no requests were answered, so that there is nothing to measure",
                unit="ratio",
            ),
        ),
        sources=answers.sources,
    )


def error_symptom(context: CheckContext, finding: Finding) -> Symptom:
    """The issue's measured symptom, from the finding of `error_ratio`."""
    limit = context.service.thresholds.error_ratio.critical
    return symptom_of(finding, "errors_high", name="error_rate", title="error rate", unit="ratio", threshold=limit)


def error_breakdown(context: CheckContext) -> Finding:
    """Which errors: by status, route, pod and version. One route, one pod or one version failing points at the cause."""
    answers = ask(
        {
            "status": over_time(context, "errors_by_status"),
            "route": over_time(context, "errors_by_route"),
            "pod": over_time(context, "error_ratio_by_pod"),
            "version": over_time(context, "error_ratio_by_version"),
        },
        deadline_seconds=context.deadline_seconds,
    )
    by_status = answers.get("status")
    if by_status is None:
        return _not_broken_down(answers)
    parts, focus = split(by_status, "status"), context.focus()
    rates = averages(by_status, "status", focus)
    routes = {route: rate for route, rate in averages(answers.get("route"), "route", focus).items() if rate > 0}
    versions = averages(answers.get("version"), "version", focus)
    pods = averages(answers.get("pod"), "pod", focus)
    tables = [("Errors by status", ranking(rates, "status", "errors per second"))] if rates else []
    tables += [("Errors by route", ranking(routes, "route", "errors per second"))] if routes else []
    tables += [("Error ratio by version", ranking(versions, "version", "error ratio"))] if versions else []
    tables += [("Error ratio by pod", ranking(pods, "pod", "error ratio"))] if pods else []
    summary = _breakdown_summary(rates, routes, focus)
    failing = sum(rates.values()) > 0
    return Finding(
        name="error_breakdown",
        title="Which requests fail",
        summary=summary,
        status=FindingStatus.WARNING if failing else FindingStatus.NORMAL,
        command=by_status.command,
        tables=tuple(tables),
        figure=LineFigure(title=summary, unit="requests/s", frame=long(largest(parts, 8), unit="requests/s")) if parts else None,
        notes=(*(note for note in (_uneven(pods, "pod"), _uneven(versions, "version")) if note), *answers.warnings),
        signals=(as_far_as_answered(_version_signal(versions, answers), answers, "version"),),
        sources=answers.sources,
    )


def _unmeasured(context: CheckContext, answers: Answers) -> Finding:
    reason = answers.why_missing("ratio") or (
        "no request metric of this service was found in Prometheus; set instrumentation.preset, .selector or .metrics.error_ratio"
    )
    text = f"The error ratio could not be measured: {reason}."
    lines = f"-l {context.selector} --tail=-1 --since={context.since_option()}"
    return Finding(
        name="error_ratio",
        title="Error rate",
        summary=text,
        status=FindingStatus.UNKNOWN,
        command=f"kubectl -n {context.namespace} logs {lines} | grep -c ERROR",
        signals=(Signal(name="errors_high", presence=Presence.UNKNOWN, text=text),),
        sources=answers.sources,
    )


def _few(context: CheckContext, level: Level, rate: Frame | None) -> Counted | None:
    """How many requests failed in an episode of so few that it is none; None where there were enough, or that is not known."""
    episode = level.episode
    if episode is None or rate is None:
        return None
    failed = counted(
        level.series,
        as_series(rate),
        since=episode.onset,
        until=episode.last,
        window_seconds=context.rate_window_seconds,
    )
    return failed if failed is not None and round(failed.part) < _FEWEST_FAILED else None


def _few_summary(context: CheckContext, level: Level, few: Counted) -> str:
    # What Prometheus extrapolates from two samples is no whole number.
    failed, requests = max(1, round(few.part)), max(1, round(few.part), round(few.whole))
    told = f"{failed} of {requests} requests to {context.service.name} failed {level.since}".rstrip()
    return f"{told}: too few to judge by, though {level.value or 0.0:.1%} is above the limit of {level.limits.critical:.0%}."


def _ratio_summary(context: CheckContext, level: Level) -> str:
    service, limit, episode, current = context.service.name, level.limits.critical, level.episode, level.current
    if current is None:
        since = f"since {format_instant(level.series.index[-1])}" if len(level.series) else "in the window"
        return f"{service} answered no requests {since}, so there is no error ratio: look at its pods, and at what calls it."
    if episode is None:
        highest = float(level.series.max())
        earlier = f"; the highest in the window was {highest:.1%}" if highest > limit else ""
        return f"{current:.1%} of the requests to {service} fail, within the limit of {limit:.0%}{earlier}."
    state = (
        f"{current:.1%} of the requests to {service} fail"
        if episode.ongoing
        else f"Up to {episode.peak:.1%} of the requests failed"
    )
    return f"{state} {level.since} (limit {limit:.0%}, before {episode.baseline:.1%}, peak {episode.peak:.1%})."


def _ratio_table(level: Level, rate: Frame | None) -> Frame:
    requests = as_series(rate) if rate is not None else None
    per_second = float(requests.iloc[-1]) if requests is not None and len(requests) else None
    series, current = level.series, level.current
    rows = [
        ("now", current, "ratio"),
        ("highest in the window", float(series.max()) if len(series) else None, "ratio"),
        ("before the onset", level.episode.baseline if level.episode else None, "ratio"),
        ("requests", per_second, "requests/s"),
        ("failing requests", per_second * current if per_second is not None and current is not None else None, "requests/s"),
    ]
    return frame(rows, columns=["measure", "value", "unit"])


def _not_broken_down(answers: Answers) -> Finding:
    reason = answers.why_missing("status") or "the service exports no count of requests by status"
    text = f"The errors could not be broken down: {reason}."
    return Finding(
        name="error_breakdown",
        title="Which requests fail",
        summary=text,
        status=FindingStatus.UNKNOWN,
        signals=(Signal(name="errors_differ_by_version", presence=Presence.UNKNOWN, text=text),),
        sources=answers.sources,
    )


def _breakdown_summary(rates: Mapping[str, float], routes: Mapping[str, float], focus: Window) -> str:
    """The stretch is named: an average over the episode's rise is not what fails now, which the step before has told."""
    total = sum(rates.values())
    if total <= 0:
        return "No request fails."
    status, rate = max(rates.items(), key=lambda item: item[1])
    text = f"{total:.2g} requests per second fail on average since {format_instant(focus.start)}"
    text += f", {rate / total:.0%} of them with status {status}"
    if routes and sum(routes.values()) > 0:
        route, share = max(routes.items(), key=lambda item: item[1])
        text += f"; {share / sum(routes.values()):.0%} of them on {route}"
    return text + "."


def _version_signal(versions: Mapping[str, float], answers: Answers) -> Signal:
    name = "errors_differ_by_version"
    if answers.get("version") is None:
        reason = answers.why_missing("version") or "the metrics carry no version"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"errors by version are not known: {reason}")
    if apart := _uneven(versions, "version"):
        return Signal(name=name, presence=Presence.PRESENT, text=apart)
    return Signal(name=name, presence=Presence.ABSENT, text="no version fails more than another")


def _uneven(ratios: Mapping[str, float], part: str) -> str:
    """A sentence when one pod or version fails clearly more than the others."""
    apart = outlier(ratios, apart=_MINIMUM_RATIO_APART)
    return f"{part.capitalize()} {apart[0]} fails {apart[1]:.0%} of its requests, the next one {apart[2]:.0%}." if apart else ""
