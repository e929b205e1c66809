"""What a check is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from runbook_lib.analysis.episodes import Episode
from runbook_lib.models.window import Window, format_duration
from runbook_lib.service import Service
from runbook_lib.service.instrumentation import Expressions
from runbook_lib.sources.interface import Sources

_CALM = timedelta(minutes=2)


@dataclass(frozen=True, kw_only=True)
class CheckContext:
    """The service, the window, the sources, and what other steps of the same incident already know.

    live: the window ends now, so that the present state of a system belongs to it. now: the end of the window.
    expressions: the service's PromQL; waits for their discovery and raises SourceError when Prometheus cannot be asked.
    episode: the symptom's episode; waits for the symptom's own check; None when there is none or it is not known.
    """

    service: Service
    window: Window
    now: datetime
    live: bool
    sources: Sources
    expressions: Callable[[], Expressions]
    episode: Callable[[], Episode | None]
    deadline_seconds: float

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

    def focus(self) -> Window:
        """The stretch that signals are about: the symptom's episode with a margin before it, else the last minutes."""
        episode = self.episode()
        if episode is None:
            return Window(max(self.window.start, self.now - _CALM), self.now)
        margin = timedelta(seconds=self.rate_window_seconds)
        start = max(self.window.start, episode.onset - margin)
        return Window(start, max(episode.last, start + timedelta(seconds=1)))

    @property
    def rate_window_seconds(self) -> float:
        """The range over which rates are taken, in seconds; five minutes while Prometheus cannot be asked."""
        from runbook_lib.errors import SourceError

        try:
            return self.expressions().rate_window_seconds
        except SourceError:
            return 300.0

    @property
    def gap(self) -> timedelta:
        """The longest quiet stretch within one episode: a rate window, and no less than 15 seconds."""
        return timedelta(seconds=max(self.rate_window_seconds, 15.0))

    def since_option(self) -> str:
        """The window as kubectl's --since wants it."""
        return format_duration(self.window.duration).replace(" ", "")
