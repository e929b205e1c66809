"""Off the path: any question of an engineer to any source, answered as a frame and kept in the archive like a step."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from runbook_lib.errors import UsageError
from runbook_lib.models.finding import Finding, FindingStatus
from runbook_lib.models.frame import Frame
from runbook_lib.models.window import Window
from runbook_lib.sources.interface import Database, Logs, Metrics

Keep = Callable[[Finding], None]


@dataclass(frozen=True, kw_only=True)
class _Explorer:
    """The window in force, and where answers are kept."""

    window: Callable[[], Window]
    keep: Keep

    def _kept(self, name: str, title: str, answer: Frame) -> Frame:
        summary = f"{title}: {len(answer)} rows."
        self.keep(
            Finding(
                name=name,
                title=title,
                summary=summary,
                status=FindingStatus.INFO,
                command=answer.command,
                tables=((title, answer),),
            )
        )
        return answer

    def _window(self, duration: str | None) -> Window:
        window = self.window()
        return Window.ending_at(window.end, duration) if duration else window


@dataclass(frozen=True, kw_only=True)
class MetricsExplorer(_Explorer):
    """Prometheus."""

    source: Metrics

    def range(self, promql: str, *, window: str | None = None, step_seconds: float | None = None) -> Frame:
        """A PromQL expression over the incident's window, or the last `window` (`30m`) of it. Columns: time, labels, value."""
        answer = self.source.range(promql, window=self._window(window), step_seconds=step_seconds)
        return self._kept("query_metrics", promql, answer)

    def instant(self, promql: str) -> Frame:
        """A PromQL expression at the end of the window. Columns: time, labels, value."""
        return self._kept("query_metrics", promql, self.source.instant(promql, at=self.window().end))

    def names(self, pattern: str = "") -> list[str]:
        """The metrics that exist and whose name contains `pattern`."""
        return [name for name in self.source.label_values("__name__") if pattern in name]


@dataclass(frozen=True, kw_only=True)
class LogsExplorer(_Explorer):
    """The logs of all pods of the service."""

    source: Logs
    selector: str

    def search(self, text: str = "", *, window: str | None = None, regex: bool = False) -> Frame:
        """Records that contain `text` (a regular expression when `regex`), in time order. Columns: see docs/nomenclature.md.

        Raises UsageError when the expression is not a valid one.
        """
        pattern = text if regex else re.escape(text)
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"a regular expression was expected; found {text!r} ({error})") from error
        records = self.source.read(self.selector, window=self._window(window))
        matching = Frame(records[records["message"].str.contains(pattern, case=False, regex=True, na=False)])
        return self._kept("search_logs", f"logs with {text!r}" if text else "logs", matching)


@dataclass(frozen=True, kw_only=True)
class DatabaseExplorer(_Explorer):
    """PostgreSQL, read-only and with a statement timeout."""

    source: Database

    def query(self, sql: str, **parameters: object) -> Frame:
        """A read-only statement; parameters by name (`%(pid)s`)."""
        return self._kept("query_database", " ".join(sql.split())[:80], self.source.query(sql, parameters or None))
