"""What is known of each issue type, as declarations. The stem of a module is the issue's name everywhere."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from runbook_lib.errors import UsageError
from runbook_lib.playbooks.declaration import Playbook

__all__ = ["Playbook", "names", "playbook"]

_NOT_AN_ISSUE = {"conjunctions", "declaration", "shared"}


def names() -> list[str]:
    """The issues that have a playbook, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if module.name not in _NOT_AN_ISSUE)


def playbook(issue: str) -> Playbook:
    """The playbook of an issue. Raises UsageError, naming those there are."""
    if issue not in names():
        raise UsageError(f"an issue with a playbook was expected ({', '.join(names())}); found {issue!r}")
    declared: Playbook = import_module(f"{__name__}.{issue}").PLAYBOOK
    return declared
