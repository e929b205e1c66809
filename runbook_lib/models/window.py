"""The stretch of time that an incident looks at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runbook_lib.errors import UsageError

_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def parse_duration(text: str) -> timedelta:
    """Read a duration as Prometheus writes it: `90s`, `30m`, `1h30m`, `2d`.

    Raises UsageError when the text is not one, is zero, or is negative.
    """
    stripped = text.strip()
    parts = _PART.findall(stripped)
    if not parts or "".join(number + unit for number, unit in parts) != stripped:
        raise UsageError(f"a duration such as 90s, 30m or 1h30m was expected; found {text!r}")
    duration = timedelta(seconds=sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts))
    if duration <= timedelta(0):
        raise UsageError(f"a duration longer than zero was expected; found {text!r}")
    return duration


def format_duration(duration: timedelta) -> str:
    """Write a duration in at most two units, largest first: `1h 30m`, `98s`, `250ms`."""
    seconds = duration.total_seconds()
    if seconds < 0:
        return "-" + format_duration(-duration)
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 120:
        return f"{round(seconds)}s"
    whole = round(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return " ".join(parts[:2])


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
