"""Kubernetes quantities such as `250m`, `512Mi` and `1e3` as plain numbers."""

from __future__ import annotations

import re

__all__ = ["quantity"]

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([KMGTPE]i|[numkMGTPE]))?")
_FACTORS = {
    None: 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip


def quantity(text: object) -> float | None:
    """Read a quantity: cores for CPU, bytes for memory. None when there is none or it cannot be read.

    The grammar is that of apimachinery's resource.Quantity: a decimal number, then a suffix or an exponent.
    """
    match = _QUANTITY.fullmatch(str(text).strip()) if text is not None else None
    if match is None:
        return None
    number, exponent, suffix = match.groups()
    return float(number + (exponent or "")) * _FACTORS[suffix]
