"""How much of the service is away: pods that are not ready, endpoints that are missing, requests that fail or do not arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.analysis.series import as_series, long
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.availability_views import DOWN_RATIO, View, confirmed_silent, is_quiet, views_of
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.checks.network_policies import ways_in
from runbook_lib.models.cause import Symptom
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant

_SILENT = 0.05  # of the usual number of requests


def availability(context: CheckContext) -> Finding:
    """Is the service there at all: pods ready, endpoints behind its name, requests answered, health checks passed?"""
    answers = ask(_questions(context), deadline_seconds=context.deadline_seconds)
    lines = _lines(context, answers)
    silence = _silence(context, answers)
    views = views_of(context, answers, lines, silence)
    if silence is not None and confirmed_silent(views):
        lines["no requests"] = silence
    episode = _episode(context, lines)
    away = _away(context, views, episode)
    summary = _summary(context, views, away, episode)
    return Finding(
        name="availability",
        title="Availability",
        summary=summary,
        status=_status(context, away),
        command=_command(context),
        tables=(("Availability", _table(views)),),
        figure=_figure(lines, summary),
        notes=(*_notes(answers), *answers.warnings),
        signals=(_signal(context, views, away, episode, answers), _silent(context, silence, answers)),
        sources=answers.sources,
    )


def availability_symptom(context: CheckContext, finding: Finding) -> Symptom:
    """The issue's measured symptom, from the finding of `availability`: the share of the service that is away."""
    del context
    signal = finding.signal("unavailable")
    known = signal is not None and signal.presence is not Presence.UNKNOWN
    return Symptom(
        name="unavailability",
        title="unavailability",
        value=signal.value if signal is not None and known else None,
        unit="ratio",
        threshold=DOWN_RATIO,
        breached=signal.presence is Presence.PRESENT if signal is not None and known else None,
        onset_at=signal.since if signal is not None and known else None,
        last_seen_at=signal.until if signal is not None and known else None,
        text=finding.summary,
    )


def _questions(context: CheckContext) -> dict[str, Question]:
    application, cluster = context.service.components.application, context.sources.cluster
    questions = {
        "ready": over_time(context, "pods_ready", steps="fine"),
        "desired": over_time(context, "replicas_desired"),
        "errors": over_time(context, "error_ratio", steps="fine"),
        "rate": over_time(context, "request_rate", steps="fine"),
        "pods": Question(cluster, lambda: cluster.pods(context.selector)),
        "deployment": Question(cluster, lambda: cluster.deployment(context.deployment)),
        "policies": Question(cluster, lambda: ways_in(context)),
    }
    if name := application.kubernetes_service:
        questions["endpoints"] = Question(cluster, lambda: cluster.endpoints(name))
    if application.url is not None:
        address = application.url.resolve().rstrip("/") + application.health_path
        seconds = context.deadline_seconds / 2
        questions["health"] = Question(context.sources.http, lambda: context.sources.http.get(address, timeout_seconds=seconds))
    return questions


def _lines(context: CheckContext, answers: Answers) -> dict[str, pd.Series]:
    """What is away over time, by view: ratios."""
    lines = {}
    ready, desired, errors = (answers.get(name) for name in ("ready", "desired", "errors"))
    if ready is not None and len(ready):
        minimum = float(context.service.components.application.replicas_minimum)
        series = as_series(ready)
        wanted = as_series(desired).reindex(series.index, method="ffill") if desired is not None and len(desired) else series
        needed = wanted.fillna(minimum).clip(lower=max(minimum, 1.0))
        lines["pods not ready"] = (1 - series / needed).clip(0.0, 1.0)
    if errors is not None and len(errors):
        lines["requests failing"] = as_series(errors)
    return {name: line for name, line in lines.items() if len(line)}


def _silence(context: CheckContext, answers: Answers) -> pd.Series | None:
    """1 where hardly a request arrived, against what is usual in the window; None when there are no requests to compare with."""
    rate = answers.get("rate")
    series = as_series(rate) if rate is not None else pd.Series(dtype="float64")
    usual = float(series.quantile(0.9)) if len(series) else 0.0
    return (series <= _SILENT * usual).astype("float64") if usual > 0 and context.live else None


def _episode(context: CheckContext, lines: Mapping[str, pd.Series]) -> Episode | None:
    """The latest stretch in which most of the service was away; in a live window only one that is still on."""
    if not lines:
        return None
    together = pd.concat(list(lines.values()), axis=1).sort_index().ffill(limit=3).max(axis=1).dropna()
    episode = latest_episode(together, threshold=DOWN_RATIO, gap=context.gap_of("fine"))
    return None if episode is not None and context.live and not episode.ongoing else episode


def _away(context: CheckContext, views: Sequence[View], episode: Episode | None) -> float | None:
    known = [view.away for view in views if view.away is not None]
    if not context.live and episode is not None:
        return episode.peak
    decisive = [view for view in views if view.away is not None and view.name not in ("health", "network policies")]
    return max(known) if decisive else None


def _status(context: CheckContext, away: float | None) -> FindingStatus:
    if away is None:
        return FindingStatus.UNKNOWN
    limit = context.service.thresholds.availability_ratio
    if away > DOWN_RATIO:
        return FindingStatus.CRITICAL
    return FindingStatus.WARNING if 1 - away < limit.warning else FindingStatus.NORMAL


def _summary(context: CheckContext, views: Sequence[View], away: float | None, episode: Episode | None) -> str:
    told = "; ".join(f"{view.name}: {view.text}" for view in views if not view.text.startswith("not known"))
    name = context.service.name
    if away is None:
        why = "; ".join(f"{view.name} {view.text}" for view in views)
        return f"Whether {name} is there could not be measured ({why})."
    if not context.live and episode is not None:
        until = "" if episode.ongoing else f" to {format_instant(episode.last)}"
        return f"Up to {episode.peak:.0%} of {name} was away from {format_instant(episode.onset)}{until}."
    return f"{written(1 - away, 'ratio')} of {name} is available ({told})."


def _table(views: Sequence[View]) -> Frame:
    rows = [(view.name, written(None if view.away is None else 1 - view.away, "ratio"), view.text) for view in views]
    return frame(rows, columns=["seen by", "available", "what it says"])


def _figure(lines: Mapping[str, pd.Series], summary: str) -> LineFigure | None:
    if not lines:
        return None
    limit = Threshold(DOWN_RATIO, f"down: {DOWN_RATIO:.0%} away", "critical")
    return LineFigure(title=summary.partition(" (")[0], unit="ratio", frame=long(dict(lines), unit="ratio"), thresholds=(limit,))


def _notes(answers: Answers) -> tuple[str, ...]:
    missing = {answers.why_missing(name) for name in ("ready", "pods") if answers.why_missing(name)}
    return tuple(f"Seen without {why}." for why in sorted(missing))


def _command(context: CheckContext) -> str:
    name = context.service.components.application.kubernetes_service or context.deployment
    return (
        f"kubectl -n {context.namespace} get deployment/{context.deployment}; "
        f"kubectl -n {context.namespace} get endpointslices -l kubernetes.io/service-name={name}"
    )


def _signal(
    context: CheckContext, views: Sequence[View], away: float | None, episode: Episode | None, answers: Answers
) -> Signal:
    name = "unavailable"
    if away is None:
        why = answers.why_missing("pods") or answers.why_missing("ready") or "nothing measures it"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether it is there is not known: {why}")
    worst = max((view for view in views if view.away is not None), key=lambda view: view.away or 0.0, default=None)
    text = f"{written(away, 'ratio')} of {context.service.name} is away"
    text += f": {worst.text}" if worst is not None and worst.away else ""
    if away <= DOWN_RATIO and episode is None:
        return Signal(name=name, presence=Presence.ABSENT, text=text, value=away, unit="ratio")
    since = _since(context, views, episode)
    until = episode.last if episode is not None and not context.live else context.now
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, until=until, value=away, unit="ratio")


def _silent(context: CheckContext, silence: pd.Series | None, answers: Answers) -> Signal:
    """Whether requests have ceased: what denies the way in shows in nothing else."""
    name = "requests_silent"
    if silence is None or not context.live:
        why = answers.why_missing("rate") or "none were measured in the window, or a past one is looked at"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether requests arrive is not known: {why}")
    if not is_quiet(context, silence):
        return Signal(name=name, presence=Presence.ABSENT, text="requests arrive")
    episode = latest_episode(silence, threshold=0.5, gap=context.gap_of("fine"))
    since = episode.onset if episode is not None and episode.ongoing else silence.index[-1].to_pydatetime()
    return Signal(name=name, presence=Presence.PRESENT, text=f"requests have ceased since {format_instant(since)}", since=since)


def _since(context: CheckContext, views: Sequence[View], episode: Episode | None) -> datetime | None:
    """When it began: as the metrics have it, or, without them, as the views that show it down say. A rate tells of its fall only
    when its window has passed; the cluster's own record is then the truer one."""
    moments = [view.since for view in views if view.since is not None and (view.away or 0.0) > DOWN_RATIO]
    if episode is None:
        return min(moments, default=None)
    late = timedelta(seconds=context.rate_window_seconds) + context.gap
    return min([episode.onset, *(at for at in moments if episode.onset - late <= at)])
