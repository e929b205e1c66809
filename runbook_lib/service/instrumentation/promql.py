"""Writing PromQL so that no name and no label value can break out of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ANY", "Matchers", "mean", "quantile", "quote", "quotient", "rate", "vector"]

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})


def quote(text: str) -> str:
    """A PromQL string."""
    return f'"{text.translate(_ESCAPES)}"'


@dataclass(frozen=True, slots=True)
class Matchers:
    """Label matchers, all of which must hold. `str()` is what stands between the braces."""

    items: tuple[tuple[str, str, str], ...] = ()

    @classmethod
    def equal(cls, labels: Mapping[str, str]) -> Matchers:
        """Each label has exactly this value."""
        return cls(tuple((label, "=", value) for label, value in labels.items()))

    def where(self, label: str, operator: str, value: str) -> Matchers:
        """These, and one more; `operator` is one of `=`, `!=`, `=~`, `!~`."""
        return Matchers((*self.items, (label, operator, value)))

    def also(self, other: Matchers) -> Matchers:
        """These and the others."""
        return Matchers(self.items + other.items)

    def __str__(self) -> str:
        return ",".join(f"{_label(label)}{operator}{quote(value)}" for label, operator, value in self.items)

    def __bool__(self) -> bool:
        return bool(self.items)


ANY = Matchers()


def vector(metric: str, matchers: Matchers = ANY) -> str:
    """An instant vector. A name with dots or other letters (Prometheus 3) goes quoted between the braces."""
    if _METRIC.fullmatch(metric):
        return f"{metric}{{{matchers}}}" if matchers else metric
    return f"{{{quote(metric)}{',' if matchers else ''}{matchers}}}"


def rate(metric: str, matchers: Matchers, window: str) -> str:
    """The increase per second of a counter."""
    return f"rate({vector(metric, matchers)}[{window}])"


def quotient(part: str, whole: str, *, by: str = "") -> str:
    """Sums of rates divided: 0 where there is a whole and no part (rather than nothing), nothing where there is no whole."""
    grouping = f" by ({_label(by)})" if by else ""
    everything = f"sum{grouping} ({whole})"
    return f"(sum{grouping} ({part}) or 0 * {everything}) / ({everything} > 0)"


def quantile(name: str, matchers: Matchers, window: str, *, kind: str, by: str = "") -> str:
    """The `$quantile` of a duration. `kind`: classic or native histogram, or summary, of which the worst counts."""
    grouping = _label(by) if by else ""
    if kind == "summary":
        return f"max{f' by ({grouping})' if grouping else ''} ({vector(name, matchers.where('quantile', '=', '$quantile'))})"
    if kind == "native":
        return f"histogram_quantile($quantile, sum{f' by ({grouping})' if grouping else ''} ({rate(name, matchers, window)}))"
    buckets = f"sum by (le{f', {grouping}' if grouping else ''}) ({rate(f'{name}_bucket', matchers, window)})"
    return f"histogram_quantile($quantile, {buckets})"


def mean(name: str, matchers: Matchers, window: str, *, kind: str) -> str:
    """The average of a duration: its sum by its count."""
    if kind == "native":
        total, count = (f"sum (histogram_{part}({rate(name, matchers, window)}))" for part in ("sum", "count"))
    else:
        total, count = (f"sum ({rate(f'{name}_{part}', matchers, window)})" for part in ("sum", "count"))
    return f"{total} / ({count} > 0)"


def _label(name: str) -> str:
    return name if _LABEL.fullmatch(name) else quote(name)
