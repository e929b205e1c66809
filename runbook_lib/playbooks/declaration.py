"""The words in which a playbook is declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from runbook_lib.checks.context import CheckContext
from runbook_lib.models.cause import CauseRule, Conjunction, Symptom
from runbook_lib.models.finding import Finding

Check = Callable[[CheckContext], Finding]


@dataclass(frozen=True, kw_only=True)
class CheckStep:
    """One investigation step: the check, and the sources without which it can say nothing."""

    name: str
    title: str
    run: Check
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Playbook:
    """What is known of one issue type.

    symptom_checks names the checks whose findings measure the symptom, the deciding one first. not_this_issue: what else may
    be seen, in words, and the stem of the playbook for it.
    """

    name: str
    title: str
    when_to_use: str
    alert: str
    symptom: Callable[[CheckContext, Finding], Symptom]
    symptom_checks: tuple[str, ...]
    checks: tuple[CheckStep, ...]
    conjunctions: tuple[Conjunction, ...]
    causes: tuple[CauseRule, ...]
    actions: tuple[str, ...]
    prevention: tuple[str, ...]
    not_this_issue: tuple[tuple[str, str], ...] = field(default=())
