"""A symptom's own series against its limits: where it stands now, since when, and whether it says anything of the present."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.checks.context import CheckContext
from runbook_lib.models.cause import Symptom
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.window import format_instant
from runbook_lib.service.models import MetricThreshold

__all__ = ["Level", "level_of", "symptom_of"]

_CLEAR = 0.5  # of the limit: what only dips below the limit has not recovered


@dataclass(frozen=True, slots=True)
class Level:
    """A series (in the unit of its limits) over the window.

    current: the last value; None when no sample came for so long that it says nothing of the present. episode: the latest stretch
    above the critical limit; in a live window only one that is still on.
    """

    series: pd.Series
    current: float | None
    episode: Episode | None
    limits: MetricThreshold

    @property
    def status(self) -> FindingStatus:
        """How it reads at a glance."""
        if self.current is None:
            return FindingStatus.UNKNOWN
        if self.episode is not None or self.current > self.limits.critical:
            return FindingStatus.CRITICAL
        return FindingStatus.WARNING if self.current > self.limits.warning else FindingStatus.NORMAL

    @property
    def known(self) -> bool:
        """Whether there is something to judge."""
        return len(self.series) > 0 and self.current is not None

    @property
    def value(self) -> float | None:
        """What the symptom is told as: the present value, or the peak of an episode that is over."""
        return self.episode.peak if self.episode is not None and not self.episode.ongoing else self.current

    @property
    def since(self) -> str:
        """When the episode began, in words; empty without one."""
        if self.episode is None:
            return ""
        return "for at least the whole window" if self.episode.seen_from_start else f"since {format_instant(self.episode.onset)}"

    def signal(self, name: str, text: str, *, unknown: str, unit: str) -> Signal:
        """The fact that it is too high, with the episode's times; `unknown` says why where that is not known."""
        if not self.known:
            return Signal(name=name, presence=Presence.UNKNOWN, text=unknown)
        if self.episode is None:
            return Signal(name=name, presence=Presence.ABSENT, text=text, value=self.current, unit=unit)
        return Signal(
            name=name,
            presence=Presence.PRESENT,
            text=text,
            since=self.episode.onset,
            until=self.episode.last,
            value=self.value,
            peak=self.episode.peak,
            unit=unit,
        )


def level_of(context: CheckContext, series: pd.Series, limits: MetricThreshold) -> Level:
    """Where a series stands."""
    gap = timedelta(seconds=max(2 * _step_seconds(series), 15.0, context.rate_window_seconds / 2))
    episode = latest_episode(series, threshold=limits.critical, gap=gap, clear=_clear(series, limits.critical))
    if episode is not None and context.live and not episode.ongoing:
        episode = None
    return Level(series=series, current=_current(context, series, episode), episode=episode, limits=limits)


def symptom_of(finding: Finding, signal_name: str, *, name: str, title: str, unit: str, threshold: float) -> Symptom:
    """The issue's measured symptom, from the signal of the finding that measured it."""
    signal = finding.signal(signal_name)
    if signal is None or signal.presence is Presence.UNKNOWN:
        text = signal.text if signal is not None else finding.summary
        return Symptom(name=name, title=title, value=None, unit=unit, threshold=threshold, breached=None, text=text)
    return Symptom(
        name=name,
        title=title,
        value=signal.value,
        unit=unit,
        threshold=threshold,
        breached=signal.presence is Presence.PRESENT,
        peak=signal.peak,
        onset_at=signal.since,
        last_seen_at=signal.until,
        text=finding.summary,
    )


def _clear(series: pd.Series, critical: float) -> float:
    """What a recovered service is back below: halfway from its usual level to the limit, as some always run close to it."""
    crossed = (series > critical).to_numpy()
    before = series.iloc[: int(crossed.argmax())] if crossed.any() else series
    usual = float(before.median()) if len(before) else 0.0
    return max(_CLEAR * critical, (usual + critical) / 2) if usual < critical else _CLEAR * critical


def _step_seconds(series: pd.Series) -> float:
    return float(series.index.to_series().diff().dt.total_seconds().median()) if len(series) > 2 else 15.0


def _current(context: CheckContext, series: pd.Series, episode: Episode | None) -> float | None:
    if series.empty or (episode is None and context.live and _silent(context, series)):
        return None
    return float(series.iloc[-1])


def _silent(context: CheckContext, series: pd.Series) -> bool:
    last: datetime = series.index[-1].to_pydatetime()
    return context.now - last > context.gap + timedelta(seconds=2 * _step_seconds(series))
