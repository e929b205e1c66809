"""What a check is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from runbook_lib.analysis.episodes import Episode
from runbook_lib.errors import SourceError
from runbook_lib.models.cause import Symptom
from runbook_lib.models.window import Window, format_duration
from runbook_lib.service import Service
from runbook_lib.service.instrumentation import Expressions
from runbook_lib.sources.interface import Sources

Steps = Literal["fine", "usual", "coarse"]
"""How far apart the samples of a range lie: see `CheckContext.step_seconds`."""

_CALM = timedelta(minutes=2)
_STEPS_OF_A_FIGURE = 240
_FINEST_STEPS = 1000
_STEPS_IN_A_RATE = 4


@dataclass(frozen=True, kw_only=True)
class CheckContext:
    """The service, the window, the sources, and what other steps of the same incident already know.

    live: the window ends now, so that the present state of a system belongs to it. now: the end of the window.
    expressions: the service's PromQL; waits for their discovery and raises SourceError when Prometheus cannot be asked.
    symptom: what the symptom's own check measured; waits for it. The symptom's check itself must not ask for it.
    sparing: Prometheus was too busy once, so that no more samples are asked for than a figure shows.
    """

    service: Service
    window: Window
    now: datetime
    live: bool
    sources: Sources
    expressions: Callable[[], Expressions]
    symptom: Callable[[], Symptom]
    deadline_seconds: float
    sparing: bool = False

    @property
    def selector(self) -> str:
        """The label selector of the application's pods."""
        return self.service.components.application.selector

    @property
    def deployment(self) -> str:
        """The application's Deployment."""
        return self.service.components.application.deployment

    @property
    def namespace(self) -> str:
        """The namespace of the cluster connection; empty when there is none."""
        kubernetes = self.service.connections.kubernetes
        return kubernetes.namespace if kubernetes else ""

    @property
    def onset(self) -> datetime | None:
        """When the symptom began; None when it is not breached, or that could not be measured."""
        symptom = self.symptom()
        return symptom.onset_at if symptom.breached else None

    def focus(self) -> Window:
        """The stretch that signals are about: the symptom's episode with a margin before it, else the last minutes."""
        symptom = self.symptom()
        if not symptom.breached or symptom.onset_at is None:
            return Window(max(self.window.start, self.now - _CALM), self.now)
        margin = timedelta(seconds=self.rate_window_seconds)
        start = max(self.window.start, symptom.onset_at - margin)
        return Window(start, max(symptom.last_seen_at or self.now, start + timedelta(seconds=1)))

    def concerns(self, episode: Episode) -> bool:
        """Whether an episode belongs to what is looked at: it reaches into the focus; while the service is well, it lasts."""
        if self.live and not episode.ongoing and self.symptom().breached is False:
            return False
        return episode.last >= self.focus().start

    @property
    def rate_window_seconds(self) -> float:
        """The range over which rates are taken, in seconds; five minutes while Prometheus cannot be asked."""
        try:
            return self.expressions().rate_window_seconds
        except SourceError:
            return 300.0

    @property
    def gap(self) -> timedelta:
        """The longest quiet stretch within one episode: a rate window, and no less than 15 seconds and two samples' distance.

        Over a long window the samples lie further apart than a rate window; each would be an episode of its own, and noise.
        """
        return self.gap_of("coarse")

    def gap_of(self, steps: Steps) -> timedelta:
        """The same for samples that lie so far apart: what is looked at finely shows a shorter recovery."""
        return timedelta(seconds=max(self.rate_window_seconds, 15.0, 2 * self.step_seconds(self.window, steps=steps)))

    @property
    def tolerance(self) -> timedelta:
        """How much later than the symptom a cause may seem to begin: half a rate window, and two steps.

        A rate reaches half of its new level within half of its window; what begins later than that has followed.
        """
        return timedelta(seconds=self.rate_window_seconds / 2 + 2 * self.step_seconds(self.window))

    def step_seconds(self, window: Window, *, steps: Steps = "usual") -> float:
        """The distance of samples over a window: that of a figure, and no more than what shows a rate window's length twice.

        steps: fine for a single series, so that its onset is dated well; coarse for a percentile of each of many pods, which
        costs Prometheus as much as all else together.
        """
        finest = max(window.seconds / _FINEST_STEPS, 1.0)
        if steps == "fine" and not self.sparing:
            return finest
        figure = window.seconds / _STEPS_OF_A_FIGURE
        usual = figure if steps == "coarse" or self.sparing else min(figure, self.rate_window_seconds / _STEPS_IN_A_RATE)
        return max(usual, finest)

    def since_option(self) -> str:
        """The window as kubectl's --since wants it."""
        return format_duration(self.window.duration).replace(" ", "")
