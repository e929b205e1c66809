"""The stretch of time that an incident looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runbook_lib.durations import format_duration, parse_duration
from runbook_lib.errors import UsageError

__all__ = ["Window", "format_duration", "format_instant", "parse_duration", "parse_instant"]


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant; one without an offset is taken as UTC. Raises UsageError when it is not one."""
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(f"a time such as 2026-05-04T03:12:40Z was expected; found {text!r}") from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def format_instant(instant: datetime) -> str:
    """Write an aware instant in UTC, ISO 8601 to the second: `2026-05-04T03:12:40Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` to `end`, both aware and in UTC, `start` before `end`."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise UsageError("a window needs times with a time zone; found one without")
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        object.__setattr__(self, "end", self.end.astimezone(UTC))
        if self.start >= self.end:
            raise UsageError(
                f"a window's start must lie before its end; found {format_instant(self.start)} to {format_instant(self.end)}"
            )

    @classmethod
    def ending_at(cls, end: datetime, duration: str | timedelta) -> Window:
        """The window of this duration (`60m`) that ends at `end`."""
        length = parse_duration(duration) if isinstance(duration, str) else duration
        return cls(end - length, end)

    @property
    def duration(self) -> timedelta:
        """From start to end."""
        return self.end - self.start

    @property
    def seconds(self) -> float:
        """From start to end, in seconds."""
        return self.duration.total_seconds()

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant <= self.end

    def __str__(self) -> str:
        return f"{format_instant(self.start)} to {format_instant(self.end)} ({format_duration(self.duration)})"
