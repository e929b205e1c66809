"""Which name in the metrics of calls is which downstream service of the service file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

from runbook_lib.service.dependencies import Downstream

__all__ = ["measured_names", "unmeasured"]

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://+")
_REST = re.compile(r"(:\d+)?(/.*)?$")


def measured_names(downstream: Sequence[Downstream], measured: Collection[str]) -> dict[str, str]:
    """What the service file calls the names that were measured, as far as it means them.

    A label is often the host that is called, with its port or domain (`payments:8080`, `payments.shop.svc.cluster.local`). Such a
    name counts where it is the only one that a service can mean, and no other service means it.
    """
    names = {one.label or one.name: one.name for one in downstream}
    exact = {label: name for label, name in names.items() if label in measured}
    rest = [label for label in measured if label not in exact]
    alike = {label: [other for other in rest if _alike(label, other)] for label in names if label not in exact}
    claims = Counter(other for others in alike.values() for other in others)
    return exact | {others[0]: names[label] for label, others in alike.items() if len(others) == 1 and claims[others[0]] == 1}


def unmeasured(downstream: Downstream, measured: Collection[str]) -> str:
    """That no calls to the service are among the measured ones, and which are: for the person who can correct its label."""
    there = ", ".join(sorted(measured)) or "none"
    return f"no calls named {downstream.label or downstream.name} are measured; there are: {there}"


def _alike(one: str, other: str) -> bool:
    """The same host, or the same one with and without (part of) its domain."""
    short, long = sorted((_host(one), _host(other)), key=len)
    return short == long or long.startswith(f"{short}.")


def _host(name: str) -> str:
    return _REST.sub("", _SCHEME.sub("", name.lower()))
