"""The ways to look at whether a service is there: its pods, its endpoints, its requests, its health endpoint, its policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.checks.asking import Answers
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.pods import ready_of, staying, wanted_pods
from runbook_lib.models.frame import Frame
from runbook_lib.models.units import of_wanted
from runbook_lib.sources.interface import HttpAnswer

__all__ = ["DOWN_RATIO", "View", "confirmed_silent", "is_quiet", "views_of"]

# With less than half of it there, a service is down and not merely degraded: what is left is overrun by the load of all. A
# smaller share belongs to the runbook for failing requests.
DOWN_RATIO = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at the service. `away`: the share that is not there now, None: not known. `since`: when that began, where
    the view itself says so."""

    name: str
    away: float | None
    text: str
    since: datetime | None = None


def views_of(
    context: CheckContext, answers: Answers, lines: Mapping[str, pd.Series], silence: pd.Series | None
) -> tuple[View, ...]:
    """Look in all ways. lines: what is away over time (see `availability`); silence: 1 where no requests arrived."""
    wanted = wanted_pods(context, staying(answers.get("pods")), answers.get("deployment"))
    return (
        _pods_view(context, answers, lines, wanted),
        _endpoints_view(context, answers, wanted),
        _requests_view(context, lines, silence),
        _health_view(context, answers.get("health"), silence),
        _policies_view(context, answers.get("policies"), silence),
    )


def _pods_view(context: CheckContext, answers: Answers, lines: Mapping[str, pd.Series], wanted: int) -> View:
    pods = staying(answers.get("pods"))
    if pods is not None and context.live:
        ready = int(pods["ready"].sum()) if len(pods) else 0
        since = _unready_since(pods, answers.get("deployment"))
        return View("pods", _share(wanted - ready, wanted), ready_of(ready, wanted), since)
    line = lines.get("pods not ready")
    if line is None:
        return View("pods", None, f"not known: {answers.why_missing('pods') or answers.why_missing('ready')}")
    return View("pods", float(line.iloc[-1]), f"{1 - line.iloc[-1]:.0%} of the pods are ready, says Prometheus")


def _unready_since(pods: Frame, deployment: Mapping[str, Any] | None) -> datetime | None:
    """When the deployment fell below what it must have; else when the first pod that is away ceased to be ready."""
    for condition in deployment["conditions"] if deployment is not None else ():
        if condition["type"] == "Available" and condition["status"] == "False" and condition.get("since"):
            since: datetime = condition["since"]
            return since
    first = pd.to_datetime(pods["ready_changed_at"][~pods["ready"].astype(bool)], utc=True).min() if len(pods) else None
    return None if first is None or pd.isna(first) else first.to_pydatetime()


def _endpoints_view(context: CheckContext, answers: Answers, wanted: int) -> View:
    endpoints = answers.get("endpoints")
    name = context.service.components.application.kubernetes_service
    if endpoints is None or not context.live:
        why = answers.why_missing("endpoints") or ("a past window is looked at" if name else "the service file names no Service")
        return View("endpoints", None, f"not known: {why}")
    leaving = _leaving(answers.get("pods"))
    ready = len({pod or at for pod, at, well in zip(*_behind(endpoints), strict=True) if well and pod not in leaving})
    text = f"service {name} leads to {of_wanted(ready, wanted, 'pods', one='pod')}"
    return View("endpoints", _share(wanted - ready, wanted), text, endpoints.attrs.get("changed_at"))


def _behind(endpoints: Frame) -> tuple[pd.Series, pd.Series, pd.Series]:
    return endpoints["pod"], endpoints["address"], endpoints["ready"]


def _leaving(pods: Frame | None) -> set[str]:
    """The pods that end: the endpoints tell of that a little later, or never (publishNotReadyAddresses)."""
    there = staying(pods)
    return set() if pods is None or there is None else set(pods["pod"]) - set(there["pod"])


def _requests_view(context: CheckContext, lines: Mapping[str, pd.Series], silence: pd.Series | None) -> View:
    line = lines.get("requests failing")
    if is_quiet(context, silence):
        return View("requests", None, "no requests are answered")
    if line is None or context.now - line.index[-1] > 2 * context.gap:
        return View("requests", None, "not known: no requests are measured")
    return View("requests", float(line.iloc[-1]), f"{line.iloc[-1]:.1%} of the requests fail")


def is_quiet(context: CheckContext, silence: pd.Series | None) -> bool:
    """Requests came, and none has for a while."""
    if silence is None:
        return False
    return bool(silence.iloc[-1]) or context.now - silence.index[-1] > 2 * context.gap


def _health_view(context: CheckContext, answer: HttpAnswer | None, silence: pd.Series | None) -> View:
    """The health endpoint as seen from here. That it does not answer may be our own network's fault: it counts where requests
    have ceased as well."""
    if answer is None or not context.live:
        return View("health", None, "not known: it was not asked")
    if answer.ok:
        return View("health", 0.0, f"answers {answer.status} in {answer.seconds:.2g} s")
    told = f"answers {answer.status}" if answer.status is not None else f"does not answer: {answer.error}"
    return View("health", 1.0 if is_quiet(context, silence) else None, told)


def _policies_view(context: CheckContext, denied: str | None, silence: pd.Series | None) -> View:
    """A policy that denies the way in counts where requests have ceased as well: it may be enforced by nobody."""
    if denied is None or not context.live:
        return View("network policies", None, "not known: they were not evaluated")
    if not denied:
        return View("network policies", 0.0, "let clients in")
    return View("network policies", 1.0 if is_quiet(context, silence) else None, denied)


def confirmed_silent(views: Sequence[View]) -> bool:
    """Silence alone may be the night: something must stand in the way of requests."""
    obstacles = ("endpoints", "health", "network policies")
    return any(view.away is not None and view.away > DOWN_RATIO for view in views if view.name in obstacles)


def _share(part: int, whole: int) -> float:
    return min(1.0, max(0.0, part / whole)) if whole else 0.0
