"""Values with their units, as a person writes them. The words for units stand in docs/nomenclature.md."""

from __future__ import annotations

import math

__all__ = ["of_wanted", "written"]

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")


def written(value: float | None, unit: str) -> str:
    """`0.312, ratio` is `31.2%`, `0.25, seconds` is `250 ms`, `134217728, bytes` is `128 MiB`; `not known` without a value."""
    if value is None or math.isnan(value):
        return "not known"
    if math.isinf(value):
        return "unlimited" if value > 0 else "-unlimited"
    if unit == "ratio":
        return f"{value * 100:.3g}%" if 0 < abs(value) < 0.001 else f"{value:.1%}"
    if unit == "seconds":
        return _seconds(value)
    if unit in ("bytes", "bytes/min", "bytes/s"):
        return _bytes(value) + unit.removeprefix("bytes")
    plain = f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:.3g}"
    return f"{plain} {unit}".rstrip()


def of_wanted(there: int, wanted: int, what: str, *, one: str) -> str:
    """`2 of 3 pods are ready`, and where there are more: `3 pods are ready, and 1 is wanted`. one: `what` of a single one."""
    if there <= wanted and wanted:
        return f"{there} of {wanted} {what}"
    told = "none is" if not wanted else "1 is" if wanted == 1 else f"{wanted} are"
    return f"{there or 'no'} {what if there > 1 else one}, and {told} wanted"


def _seconds(value: float) -> str:
    if abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    if abs(value) < 120:
        return f"{value:.3g} s"
    minutes = value / 60
    return f"{minutes:.3g} min" if abs(minutes) < 120 else f"{minutes / 60:.3g} h"


def _bytes(value: float) -> str:
    power = 0
    while abs(value) >= 1024 and power < len(_BYTES) - 1:
        value, power = value / 1024, power + 1
    return f"{value:.0f} {_BYTES[power]}" if power == 0 or abs(value) >= 100 else f"{value:.3g} {_BYTES[power]}"
