"""Restarting the pods of a deployment, as `kubectl rollout restart` does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.actions.cluster import DEPLOYMENTS, operator
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.actions.ownership import kept_by_another
from runbook_lib.actions.patching import ObjectPatch, binding, pointer
from runbook_lib.actions.pod_template import RESTARTED_AT
from runbook_lib.actions.workload import Workload, surroundings
from runbook_lib.models.plan import Plan, Refusal, Target
from runbook_lib.models.window import format_instant

__all__ = ["RESTART_PODS", "deployment_target", "paused_refusal", "restart", "seconds_of_rollout"]

Object = Mapping[str, Any]

_SECONDS_PER_BATCH = 30.0  # an estimate for the plan: start, readiness probe, endpoints


def deployment_target(context: ActionContext) -> Target:
    """The service's deployment."""
    return Target(kind="deployment", name=context.deployment, namespace=context.namespace)


def seconds_of_rollout(workload: Workload) -> float:
    """How long a rollout may take, in seconds: an estimate from the number of batches and minReadySeconds."""
    batches = math.ceil(workload.replicas / max(1, workload.pods_at_once + workload.surge))
    return batches * (_SECONDS_PER_BATCH + int(workload.found["spec"].get("minReadySeconds") or 0))


def paused_refusal(context: ActionContext, workload: Workload) -> Refusal | None:
    """A paused deployment stores the change and never rolls it out, which would look like success."""
    if not workload.paused:
        return None
    return Refusal(
        by="paused",
        reason=f"deployment/{workload.name} is paused, so that no pod would be replaced",
        mend=f"kubectl -n {context.namespace} rollout resume deployment/{workload.name}",
    )


def restart(context: ActionContext, found: Object, *, bound_to: Mapping[str, str]) -> ObjectPatch:
    """The change that `kubectl rollout restart` makes."""
    name = str(found["metadata"]["name"])
    annotations = (found["spec"]["template"].get("metadata") or {}).get("annotations") or {}
    parts = ("spec", "template", "metadata", "annotations")
    stamp = format_instant(context.now())
    operation = (
        {"op": "add", "path": pointer(*parts, RESTARTED_AT), "value": stamp}
        if annotations
        else {"op": "add", "path": pointer(*parts), "value": {RESTARTED_AT: stamp}}
    )
    before = annotations.get(RESTARTED_AT)
    inverse = {"op": "remove", "path": pointer(*parts, RESTARTED_AT)}
    return ObjectPatch(
        operator(context),
        DEPLOYMENTS,
        name,
        bound_to,
        [operation],
        [inverse if before is None else {"op": "replace", "path": pointer(*parts, RESTARTED_AT), "value": before}],
        f"restart the pods of deployment/{name}",
        awaits_rollout=True,
    )


def _plan_restart(context: ActionContext) -> Plan | Refusal:
    """Replace all pods by new ones of the same template, a batch at a time: connections, threads and memory start afresh."""
    cluster = operator(context)
    workload = Workload(cluster.get(DEPLOYMENTS, context.deployment))
    foreign, unseen = kept_by_another(context, cluster, workload)
    refusal = foreign or paused_refusal(context, workload) or _nothing_runs(workload)
    if refusal is not None:
        return refusal
    pods = f"{workload.replicas} pods"
    return Plan(
        action="restart_pods",
        title=f"Restart the {pods} of {workload.name}, {workload.pace}",
        target=deployment_target(context),
        before=f"revision {workload.revision}: {pods}",
        after=f"a new revision of the same template: {pods}, all started anew",
        command=f"kubectl -n {context.namespace} rollout restart deployment/{workload.name}",
        risk=workload.rollout_risk("low"),
        affects=workload.rollout_affects(),
        undo="none is needed: the new pods run the same template",
        seen_by="the rollout is through, and the symptom is below its threshold",
        seconds_until_effect=seconds_of_rollout(workload),
        reversible=False,
        bound_to=binding(DEPLOYMENTS, workload.found),
        warnings=(*unseen, *surroundings(cluster, workload, what="the mark of the restart")),
        uses={"pods_at_once": workload.serving_at_once},
    )


def _nothing_runs(workload: Workload) -> Refusal | None:
    if workload.replicas:
        return None
    reason = f"deployment/{workload.name} is scaled to 0: there is no pod to restart"
    return Refusal(by="target", reason=reason, mend="scale it up first")


def _restart_changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    found = operator(context).get(DEPLOYMENTS, plan.target.name)
    return [restart(context, found, bound_to=plan.bound_to)]


def _undo_restart(context: ActionContext, plan: Plan) -> Refusal:
    del context, plan
    return Refusal(by="undo", reason="a restart has nothing to take back: the new pods run the same template")


RESTART_PODS = Action(
    name="restart_pods",
    title="Restart the pods, a batch at a time",
    risk="low",
    repair=False,
    plan=_plan_restart,
    changes=_restart_changes,
    undo=_undo_restart,
    target=deployment_target,
)
