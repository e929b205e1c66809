"""The state of the application's pods, in words, and what the cluster says of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from runbook_lib.analysis.pod_troubles import serving
from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame
from runbook_lib.models.units import of_wanted

_STUCK = ("waiting: CrashLoop", "waiting: ImagePull", "waiting: ErrImage", "waiting: CreateContainer", "waiting: init container")
_COLUMNS = ["pod", "state", "ready", "restarts", "last_end", "ended_at", "version", "revision", "node", "started_at"]
# As `state` and `last_state` write it (runbook_lib.sources.pods), with the container where the pod has several.
_OOM = re.compile(r"(?:init container (?P<init>\S+): )?OOMKilled(?: \(exit [^()]*\))?(?:(?: in | \()(?P<name>[a-z0-9-]+))?")
_MOST_WARNINGS = 200  # of which a table shows the latest, and the timeline the first


def pod_status(context: CheckContext) -> Finding:
    """Are all pods ready, do they restart, and what do their events say?"""
    cluster = context.sources.cluster
    answers = ask(
        {
            "pods": Question(cluster, lambda: cluster.pods(context.selector)),
            "deployment": Question(cluster, lambda: cluster.deployment(context.deployment)),
            "events": Question(cluster, lambda: cluster.events(window=context.window, names=[context.deployment])),
            "autoscaler": Question(cluster, lambda: cluster.autoscaler(context.deployment)),
        },
        deadline_seconds=context.deadline_seconds,
    )
    pods, deployment = staying(answers.get("pods")), answers.get("deployment")
    wanted = wanted_pods(context, pods, deployment)
    summary = _summary(pods, wanted, answers)
    return Finding(
        name="pod_status",
        title="Pods",
        summary=summary,
        status=_status(pods, wanted),
        command=f"kubectl -n {context.namespace} get pods -l {context.selector} -o wide",
        tables=tuple(_tables(pods, answers.get("events"))),
        notes=tuple(_notes(answers.get("autoscaler"))),
        signals=(_not_ready(pods, answers),),
        sources=answers.sources,
    )


def staying(pods: Frame | None) -> Frame | None:
    """The pods that are not about to end, nor have: one that is terminating is of no use to anybody, and meant to be so."""
    return pods if pods is None else serving(pods)


def killed_for_memory(context: CheckContext, pods: Frame) -> Frame:
    """Those with a container that was OOMKilled; one that is known not to be the application's says nothing of its memory."""
    own = context.service.components.application.container

    def killed(text: str | None) -> bool:
        found = _OOM.search(text or "")
        return found is not None and (own is None or (found["init"] or found["name"] or own) == own)

    return Frame(pods[pods["last_state"].map(killed).astype(bool) | pods["state"].map(killed).astype(bool)])


def wanted_pods(context: CheckContext, pods: Frame | None, deployment: Mapping[str, Any] | None) -> int:
    """How many pods there should be: what the deployment asks for, and no fewer than the team says that it takes."""
    asked = int(deployment["replicas"]) if deployment is not None else len(pods) if pods is not None else 0
    return max(asked, context.service.components.application.replicas_minimum)


def ready_of(ready: int, wanted: int) -> str:
    """How many of the pods are ready, in words. There may be more than are wanted: for a while in a rollout, and when fewer came
    to be wanted just now."""
    return of_wanted(ready, wanted, "pods are ready", one="pod is ready")


def _summary(pods: Frame | None, wanted: int, answers: Answers) -> str:
    if pods is None:
        return f"The pods could not be read: {answers.why_missing('pods')}."
    ready = int(pods["ready"].sum()) if len(pods) else 0
    parts = [ready_of(ready, wanted)]
    restarts = int(pods["restarts"].sum()) if len(pods) else 0
    if restarts:
        parts.append(f"their containers restarted {restarts} times")
    waiting = pods[pods["state"].str.startswith("waiting", na=False)] if len(pods) else pods
    if len(waiting):
        parts.append(f"{len(waiting)} wait: {waiting['state'].iloc[0].removeprefix('waiting: ')}")
    return "; ".join(parts) + "."


def _status(pods: Frame | None, wanted: int) -> FindingStatus:
    if pods is None:
        return FindingStatus.UNKNOWN
    ready = int(pods["ready"].sum()) if len(pods) else 0
    if ready == 0 and wanted:
        return FindingStatus.CRITICAL
    stuck = len(pods) and bool(pods["state"].str.startswith(_STUCK, na=False).any())
    return FindingStatus.WARNING if ready < wanted or stuck else FindingStatus.NORMAL


def _tables(pods: Frame | None, events: Frame | None) -> list[tuple[str, Frame]]:
    tables = []
    if pods is not None and len(pods):
        told = pods.assign(
            _rank=pods["ready"].astype(int) * 10_000 - pods["restarts"],
            last_end=pods["last_state"].fillna("").str.partition(" at ")[0],
            ended_at=pd.to_datetime(pods["last_terminated_at"], utc=True),
        )
        tables.append(("Pods", Frame(told.sort_values("_rank")[_COLUMNS])))
    if events is not None and len(events):
        warnings = events[events["type"] == "Warning"]
        shown = warnings if len(warnings) else events
        tables.append(("Events", Frame(shown.sort_values("time", ascending=False).head(_MOST_WARNINGS))))
    return tables


def _notes(autoscaler: Mapping[str, Any] | None) -> list[str]:
    if autoscaler is None:
        return []
    return [
        f"The autoscaler {autoscaler['name']} keeps {autoscaler['min_replicas']} to {autoscaler['max_replicas']} replicas "
        f"(now {autoscaler['current_replicas']}): change it, not the deployment, to scale."
    ]


def _not_ready(pods: Frame | None, answers: Answers) -> Signal:
    name = "pods_not_ready"
    if pods is None:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the pods are not known: {answers.why_missing('pods')}")
    unready = pods[~pods["ready"].astype(bool)] if len(pods) else pods
    if unready.empty:
        return Signal(name=name, presence=Presence.ABSENT, text="all pods are ready")
    since = pd.to_datetime(unready["last_terminated_at"], utc=True).min()
    text = f"{len(unready)} of {len(pods)} pods are not ready"
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=None if pd.isna(since) else since.to_pydatetime())
