"""Raising the memory limit of the application's container for a time, with a note on the deployment to take it back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from runbook_lib.actions.cluster import DEPLOYMENTS, operator
from runbook_lib.actions.container_resources import amount, container_resources
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.actions.keepers import synced_back
from runbook_lib.actions.patching import ObjectPatch, binding, pointer
from runbook_lib.actions.restart import deployment_target, paused_refusal, seconds_of_rollout
from runbook_lib.actions.workload import Workload, surroundings
from runbook_lib.models.plan import Plan, Refusal
from runbook_lib.models.window import format_instant

__all__ = ["RAISE_MEMORY_LIMIT"]

NOTE = "runbooks.dev/memory-limit-raised"
"""The annotation that reminds of it: a JSON object with `from`, `to`, `by`, `at` and `until`."""

_FACTOR = 1.5
_MAXIMUM_FACTOR = 4.0
_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class _Limit:
    """The container's memory limit as it is written in the template, and where."""

    path: str
    container: str
    text: str
    value_bytes: float
    request_bytes: float


def _plan(context: ActionContext, limit: str | None = None) -> Plan | Refusal:
    """Give the container half as much again, or `limit` (such as "512Mi"), at most four times what it has; the pods restart."""
    workload = Workload(operator(context).get(DEPLOYMENTS, context.deployment))
    if (refusal := paused_refusal(context, workload)) is not None:
        return refusal
    found = _found(context, workload)
    if isinstance(found, Refusal):
        return found
    wanted = limit if limit is not None else _mebibytes(found.value_bytes * _FACTOR)
    wanted_bytes = amount(wanted)
    if wanted_bytes is None:
        return Refusal(by="target", reason=f'a limit is a quantity such as "512Mi"; found {wanted!r}')
    if wanted_bytes <= found.value_bytes:
        return Refusal(by="target", reason=f"{found.container} may use {found.text} already; {wanted} would not raise it")
    if wanted_bytes > _MAXIMUM_FACTOR * found.value_bytes:
        most = _mebibytes(_MAXIMUM_FACTOR * found.value_bytes)
        return Refusal(by="limits", reason=f"{wanted} is more than four times {found.text}", mend=f"raise it to {most} at most")
    return _planned(context, workload, found, wanted)


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """Give it its former limit, as long as nobody has changed it since."""
    workload = Workload(operator(context).get(DEPLOYMENTS, context.deployment))
    found = _found(context, workload)
    if isinstance(found, Refusal):
        return found
    if found.text != plan.arguments["limit"]:
        reason = f"the limit of {found.container} is {found.text} now: it was changed again since"
        return Refusal(by="undo", reason=reason, mend="look at it by hand")
    return _planned(context, workload, found, str(plan.arguments["before"]), note=plan.arguments["note_before"])


def _found(context: ActionContext, workload: Workload) -> _Limit | Refusal:
    container = container_resources(context, workload)
    if isinstance(container, Refusal):
        return container
    text = container.limits.get("memory", "")
    value = amount(text)
    if value is None:
        reason = f"container {container.container} of deployment/{workload.name} has no memory limit to raise"
        return Refusal(by="target", reason=reason, mend="what kills it is the node's own shortage: see the node")
    request = amount(container.request("memory")) or value
    path = f"{container.path}/limits/memory"
    return _Limit(path=path, container=container.container, text=text, value_bytes=value, request_bytes=request)


def _planned(context: ActionContext, workload: Workload, found: _Limit, limit: str, *, note: str | None = "") -> Plan:
    """note: the reminder to leave behind; a new one by default, None for none."""
    before = (workload.found["metadata"].get("annotations") or {}).get(NOTE)
    reminder = _note(context, found.text, limit) if note == "" else note
    raised = (amount(limit) or 0.0) - found.value_bytes
    command = f"kubectl -n {context.namespace} set resources deployment/{workload.name} -c {found.container} --limits=memory="
    return Plan(
        action="raise_memory_limit",
        title=f"Set the memory limit of {workload.name} from {found.text} to {limit} and restart the pods",
        target=deployment_target(context),
        before=f"limits.memory: {found.text}",
        after=f"limits.memory: {limit}",
        command=f"{command}{limit}",
        risk=workload.rollout_risk("medium"),
        affects=f"{workload.rollout_affects()}; the nodes, with {_mebibytes(raised * workload.replicas)} more at the most",
        undo=f"{command}{found.text}",
        seen_by="the rollout is through, and memory stays below its limit",
        seconds_until_effect=seconds_of_rollout(workload),
        bound_to=binding(DEPLOYMENTS, workload.found),
        arguments={
            "limit": limit,
            "before": found.text,
            "path": found.path,
            "note": reminder,
            "note_before": before,
        },
        warnings=(
            *surroundings(operator(context), workload, what="the raised limit"),
            *_cautions(found, limit, reminder),
        ),
        uses={"pods_at_once": workload.serving_at_once},
        unattended=synced_back("deployment", workload.found, what="the raised limit"),
    )


def _cautions(found: _Limit, limit: str, reminder: str | None) -> list[str]:
    told = []
    if (amount(limit) or 0.0) > found.request_bytes:
        request = _mebibytes(found.request_bytes)
        told.append(f"the pods are still scheduled by their request ({request}): a full node may evict them before their limit")
    if reminder:
        until = json.loads(reminder)["until"]
        told.append(f"for a time only: take it back by {until[:10]}; the annotation {NOTE} of the deployment says so")
    return told


def _note(context: ActionContext, before: str, limit: str) -> str:
    at = context.now()
    until = format_instant(at + timedelta(days=_DAYS))
    told = {"from": before, "to": limit, "by": context.operator, "at": format_instant(at), "until": until}
    return json.dumps(told, ensure_ascii=False)


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    arguments: Mapping[str, Any] = plan.arguments
    before, after = arguments["note_before"], arguments["note"]
    return [
        ObjectPatch(
            operator(context),
            DEPLOYMENTS,
            context.deployment,
            plan.bound_to,
            [{"op": "replace", "path": arguments["path"], "value": arguments["limit"]}, *_noting(before, after)],
            [{"op": "replace", "path": arguments["path"], "value": arguments["before"]}, *_noting(after, before)],
            f"set the memory limit of deployment/{context.deployment} to {arguments['limit']}",
            awaits_rollout=True,
        )
    ]


def _noting(before: str | None, after: str | None) -> list[dict[str, Any]]:
    """What changes the reminder. That there are annotations is certain: the controller writes the revision into one."""
    path = pointer("metadata", "annotations", NOTE)
    if after is not None:
        return [{"op": "add", "path": path, "value": after}]
    return [{"op": "remove", "path": path}] if before is not None else []


def _mebibytes(value: float) -> str:
    return f"{math.ceil(value / 2**20)}Mi"


RAISE_MEMORY_LIMIT = Action(
    name="raise_memory_limit",
    title="Raise the memory limit for a time, and restart the pods",
    risk="medium",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=deployment_target,
)
