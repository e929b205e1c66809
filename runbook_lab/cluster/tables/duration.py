"""Ages and ports, written short."""

from datetime import datetime


def short_duration(seconds: float) -> str:
    """Write a duration [s] as kubectl does: two units where it is young, one where it is old (`95s`, `4m10s`, `3h5m`, `2d`)."""
    total = int(seconds)
    if total < 0:
        return "<invalid>" if total < -1 else "0s"
    minutes, hours, days = total // 60, total // 3600, total // 86_400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 365 * 8 else f"{days // 365}y"


def age(timestamp: str | None, now: datetime) -> str:
    """Write how long ago a time of the API was; `<unknown>` for none."""
    if not timestamp:
        return "<unknown>"
    return short_duration((now - datetime.fromisoformat(timestamp)).total_seconds())


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"
