"""Runbooks that run: what a notebook imports.

Imported late, so that a command line that only lists runbooks does not wait for pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbook_lib.incident import Incident
    from runbook_lib.opening import open_incident

__all__ = ["Incident", "open_incident"]

_HOMES = {"Incident": "runbook_lib.incident", "open_incident": "runbook_lib.opening"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'runbook_lib' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
