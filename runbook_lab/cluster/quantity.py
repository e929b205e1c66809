"""Kubernetes quantities: `250m`, `1.5Gi`, `1e3`."""

import re
from decimal import Decimal

_FORM = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))([numk]|[KMGTPE]i|[MGTPE]|[eE][+-]?\d+)?$")
_SUFFIXES = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal(10**3)}
_SUFFIXES |= {letter: Decimal(10 ** (3 * power)) for power, letter in enumerate("MGTPE", start=2)}
_SUFFIXES |= {f"{letter}i": Decimal(2 ** (10 * power)) for power, letter in enumerate("KMGTPE", start=1)}


def parse_quantity(text: str | float) -> Decimal:
    """Give a quantity as a number of cores, bytes or units; ValueError where it is none."""
    match = _FORM.match(str(text))
    if not match:
        raise ValueError(f"quantities must match the regular expression '{_FORM.pattern}'; found {text!r}")
    number, suffix = match.groups()
    if suffix is None:
        return Decimal(number)
    if suffix in _SUFFIXES:
        return Decimal(number) * _SUFFIXES[suffix]
    return Decimal(number + suffix)
