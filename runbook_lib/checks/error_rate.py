"""How many requests fail, since when, and which."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.analysis.series import as_series, largest, long, split
from runbook_lib.checks.asking import Answers, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import now, over_time
from runbook_lib.models.cause import Symptom
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import Window, format_instant

_CLEAR = 0.5  # of the threshold: an error rate that only dips below its limit has not recovered
_MINIMUM_SHARE_APART = 0.2  # two revisions differ when their error ratios lie this far apart


def error_ratio(context: CheckContext) -> Finding:
    """The share of requests that fail with a 5xx, over the window: is it above its threshold, and since when?"""
    answers = ask(
        {"ratio": over_time(context, "error_ratio", fine=True), "rate": now(context, "request_rate")},
        deadline_seconds=context.deadline_seconds,
    )
    answer = answers.get("ratio")
    threshold = context.service.thresholds.error_ratio
    if answer is None:
        return _unmeasured(context, answers)
    series = as_series(answer)
    episode = error_episode(context, series)
    current = _current(context, series, episode)
    status = _status(current, episode, threshold.warning, threshold.critical)
    summary = _ratio_summary(context, series, current, episode)
    return Finding(
        name="error_ratio",
        title="Error rate",
        summary=summary,
        status=status,
        command=answer.command,
        tables=(("Error ratio over time", _ratio_table(series, current, episode, answers.get("rate"))),),
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
        signals=(_ratio_signal(context, current, episode, len(series)),),
        sources=answers.sources,
    )


def error_episode(context: CheckContext, series: pd.Series) -> Episode | None:
    """The latest episode of a high error ratio; in a live window only one that is still on."""
    gap = timedelta(seconds=max(2 * _step_seconds(series), 15.0, context.rate_window_seconds / 2))
    limit = context.service.thresholds.error_ratio.critical
    episode = latest_episode(series, threshold=limit, gap=gap, clear=_CLEAR * limit)
    return None if episode is not None and context.live and not episode.ongoing else episode


def error_symptom(context: CheckContext, finding: Finding) -> Symptom:
    """The issue's measured symptom, from the finding of `error_ratio`."""
    threshold = context.service.thresholds.error_ratio.critical
    signal = finding.signal("errors_high")
    if signal is None or signal.presence is Presence.UNKNOWN:
        text = signal.text if signal is not None else finding.summary
        return Symptom(
            name="error_rate", title="error rate", value=None, unit="ratio", threshold=threshold, breached=None, text=text
        )
    return Symptom(
        name="error_rate",
        title="error rate",
        value=signal.value,
        unit="ratio",
        threshold=threshold,
        breached=signal.presence is Presence.PRESENT,
        onset_at=signal.since,
        last_seen_at=signal.until,
        text=finding.summary,
    )


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
    rates = _averages(by_status, "status", focus)
    routes = {route: rate for route, rate in _averages(answers.get("route"), "route", focus).items() if rate > 0}
    versions = _averages(answers.get("version"), "version", focus)
    pods = _averages(answers.get("pod"), "pod", focus)
    tables = [("Errors by status", _table(rates, "status", "errors per second"))] if rates else []
    tables += [("Errors by route", _table(routes, "route", "errors per second"))] if routes else []
    tables += [("Error ratio by version", _table(versions, "version", "error ratio"))] if versions else []
    tables += [("Error ratio by pod", _table(pods, "pod", "error ratio"))] if pods else []
    summary = _breakdown_summary(rates, routes)
    failing = sum(rates.values()) > 0
    return Finding(
        name="error_breakdown",
        title="Which requests fail",
        summary=summary,
        status=FindingStatus.WARNING if failing else FindingStatus.NORMAL,
        command=by_status.command,
        tables=tuple(tables),
        figure=LineFigure(title=summary, unit="requests/s", frame=long(largest(parts, 8), unit="requests/s")) if parts else None,
        notes=tuple(_uneven(pods, "pod") + _uneven(versions, "version")),
        signals=(_version_signal(versions, answers),),
        sources=answers.sources,
    )


def _unmeasured(context: CheckContext, answers: Answers) -> Finding:
    reason = answers.why_missing("ratio") or (
        "no request metric of this service was found in Prometheus; set instrumentation.preset, .selector or .metrics.error_ratio"
    )
    text = f"The error ratio could not be measured: {reason}."
    return Finding(
        name="error_ratio",
        title="Error rate",
        summary=text,
        status=FindingStatus.UNKNOWN,
        command=f"kubectl -n {context.namespace} logs -l {context.selector} --since={context.since_option()} | grep -c ERROR",
        signals=(Signal(name="errors_high", presence=Presence.UNKNOWN, text=text),),
        sources=answers.sources,
    )


def _step_seconds(series: pd.Series) -> float:
    return float(series.index.to_series().diff().dt.total_seconds().median()) if len(series) > 2 else 15.0


def _current(context: CheckContext, series: pd.Series, episode: Episode | None) -> float | None:
    """The last value; None when no request came for so long that it says nothing of the present."""
    if series.empty or (episode is None and context.live and _silent_since(context, series) is not None):
        return None
    return float(series.iloc[-1])


def _silent_since(context: CheckContext, series: pd.Series) -> datetime | None:
    """When the last requests were seen, if that is long ago."""
    last: datetime = series.index[-1].to_pydatetime()
    return last if context.now - last > context.gap + timedelta(seconds=2 * _step_seconds(series)) else None


def _status(current: float | None, episode: Episode | None, warning: float, critical: float) -> FindingStatus:
    if current is None:
        return FindingStatus.UNKNOWN
    if episode is not None or current > critical:
        return FindingStatus.CRITICAL
    return FindingStatus.WARNING if current > warning else FindingStatus.NORMAL


def _ratio_summary(context: CheckContext, series: pd.Series, current: float | None, episode: Episode | None) -> str:
    service, limit = context.service.name, context.service.thresholds.error_ratio.critical
    if current is None:
        since = f"since {format_instant(series.index[-1])}" if len(series) else "in the window"
        return f"{service} answered no requests {since}, so there is no error ratio: look at its pods, and at what calls it."
    if episode is None:
        highest = float(series.max())
        earlier = f"; the highest in the window was {highest:.1%}" if highest > limit else ""
        return f"{current:.1%} of the requests to {service} fail, within the limit of {limit:.0%}{earlier}."
    began = f"since {format_instant(episode.onset)}" if not episode.seen_from_start else "for at least the whole window"
    state = (
        f"{current:.1%} of the requests to {service} fail"
        if episode.ongoing
        else f"Up to {episode.peak:.1%} of the requests failed"
    )
    return f"{state} {began} (limit {limit:.0%}, before {episode.baseline:.1%}, peak {episode.peak:.1%})."


def _ratio_table(series: pd.Series, current: float | None, episode: Episode | None, rate: Frame | None) -> Frame:
    per_second = float(rate["value"].sum()) if rate is not None and len(rate) else None
    rows = [
        ("now", current, "ratio"),
        ("highest in the window", float(series.max()) if len(series) else None, "ratio"),
        ("before the onset", episode.baseline if episode else None, "ratio"),
        ("requests", per_second, "requests/s"),
        ("failing requests", per_second * current if per_second is not None and current is not None else None, "requests/s"),
    ]
    return frame(rows, columns=["measure", "value", "unit"])


def _ratio_signal(context: CheckContext, current: float | None, episode: Episode | None, samples: int) -> Signal:
    limit = context.service.thresholds.error_ratio.critical
    if not samples or current is None:
        return Signal(
            name="errors_high", presence=Presence.UNKNOWN, text="no requests were answered, so that there is nothing to measure"
        )
    if episode is None:
        text = f"{current:.1%} of requests fail, limit {limit:.0%}"
        return Signal(name="errors_high", presence=Presence.ABSENT, text=text, value=current, unit="ratio")
    value = current if episode.ongoing else episode.peak
    text = f"{value:.1%} of requests fail, limit {limit:.0%}"
    return Signal(
        name="errors_high",
        presence=Presence.PRESENT,
        text=text,
        since=episode.onset,
        until=episode.last,
        value=value,
        unit="ratio",
    )


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


def _averages(answer: Frame | None, by: str, focus: Window) -> dict[str, float]:
    """The mean of each series over the episode (or the last minutes of a calm service)."""
    if answer is None or answer.empty or by not in answer.columns:
        return {}
    inside = {name: series[focus.start : focus.end] for name, series in split(answer, by).items()}
    return {name: float(series.mean()) for name, series in inside.items() if len(series)}


def _table(amounts: Mapping[str, float], name: str, unit: str) -> Frame:
    rows = sorted(amounts.items(), key=lambda item: -item[1])
    return frame(rows, columns=[name, unit])


def _breakdown_summary(rates: Mapping[str, float], routes: Mapping[str, float]) -> str:
    total = sum(rates.values())
    if total <= 0:
        return "No request fails."
    status, rate = max(rates.items(), key=lambda item: item[1])
    text = f"{total:.2g} requests per second fail, {rate / total:.0%} of them with status {status}"
    if routes and sum(routes.values()) > 0:
        route, share = max(routes.items(), key=lambda item: item[1])
        text += f"; {share / sum(routes.values()):.0%} of them on {route}"
    return text + "."


def _uneven(amounts: Mapping[str, float], what: str) -> list[str]:
    """A sentence when one pod or version fails clearly more than the others."""
    if len(amounts) < 2:
        return []
    ranked = sorted(amounts.items(), key=lambda item: -item[1])
    (worst, high), (_, next_high) = ranked[0], ranked[1]
    if high - next_high < _MINIMUM_SHARE_APART:
        return []
    return [f"{what.capitalize()} {worst} fails {high:.0%} of its requests, the next one {next_high:.0%}."]


def _version_signal(versions: Mapping[str, float], answers: Answers) -> Signal:
    name = "errors_differ_by_version"
    if answers.get("version") is None:
        reason = answers.why_missing("version") or "the metrics carry no version"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"errors by version are not known: {reason}")
    uneven = _uneven(versions, "version")
    if uneven:
        return Signal(name=name, presence=Presence.PRESENT, text=uneven[0])
    return Signal(name=name, presence=Presence.ABSENT, text="no version fails more than another")
