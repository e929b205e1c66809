"""Scaling the service: by its autoscaler's minimum where there is one, which would take back anything else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from runbook_lib.actions.cluster import AUTOSCALERS, DEPLOYMENTS, Operator, Resource, operator
from runbook_lib.actions.interface import Action, ActionContext, Change, Settling
from runbook_lib.actions.patching import ObjectPatch, binding, pointer
from runbook_lib.actions.restart import deployment_target
from runbook_lib.actions.workload import Workload, managers
from runbook_lib.errors import SourceError
from runbook_lib.models.plan import Plan, Refusal, Target

__all__ = ["SCALE_DEPLOYMENT"]

Object = Mapping[str, Any]

_FACTOR = 1.5
_SECONDS = 45.0  # an estimate: scheduling, image, start, readiness


def _plan(context: ActionContext, replicas: int | None = None) -> Plan | Refusal:
    """Run half as many pods more, or `replicas`; where an autoscaler decides, its minimum is raised."""
    cluster = operator(context)
    workload = Workload(cluster.get(DEPLOYMENTS, context.deployment))
    scaler = _autoscaler(cluster, workload.name)
    wanted = replicas if replicas is not None else max(workload.replicas + 1, math.ceil(workload.replicas * _FACTOR))
    if wanted <= workload.replicas:
        reason = f"deployment/{workload.name} has {workload.replicas} replicas; {wanted} would not be more"
        return Refusal(by="target", reason=reason, mend="this action only scales up")
    if scaler is not None and wanted > int(scaler["spec"]["maxReplicas"]):
        name, most = scaler["metadata"]["name"], scaler["spec"]["maxReplicas"]
        reason = f"hpa/{name} allows {most} replicas at most; {wanted} are more"
        return Refusal(by="limits", reason=reason, mend=f"scale to {most} at most, or raise maxReplicas of hpa/{name}")
    return _planned(context, workload, scaler, wanted)


def _planned(context: ActionContext, workload: Workload, scaler: Object | None, wanted: int) -> Plan:
    """wanted: the replicas; with an autoscaler its minimum, which may also be lowered again."""
    resource, found, before = _what(workload, scaler)
    name = str(found["metadata"]["name"])
    command = _command(context, resource, name)
    more = wanted - workload.replicas
    return Plan(
        action="scale_deployment",
        title=f"Scale {workload.name} from {before} to {wanted} replicas" + (" at least" if scaler is not None else ""),
        target=Target(kind=resource.kind, name=name, namespace=context.namespace),
        before=f"{_field(resource)}: {before}",
        after=f"{_field(resource)}: {wanted}",
        command=f"{command}{_value(resource, wanted)}",
        risk="low" if more > 0 else "medium",
        affects=f"{more} more pods on the nodes, and as many more users of the database's connections" if more > 0
        else "fewer pods: those that go finish their requests first",
        undo=f"{command}{_value(resource, before)}",
        seen_by=f"{wanted} replicas are available, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS,
        bound_to=binding(resource, found),
        arguments={"wanted": wanted, "before": before, "resource": resource.kind, "name": name},
        warnings=tuple(_warnings(context, workload, found, wanted)),
        uses={"replicas": wanted},
    )  # fmt: skip


def _what(workload: Workload, scaler: Object | None) -> tuple[Resource, Object, int]:
    if scaler is None:
        return DEPLOYMENTS, workload.found, workload.replicas
    return AUTOSCALERS, scaler, int(scaler["spec"].get("minReplicas") or 1)


def _field(resource: Resource) -> str:
    return "minReplicas" if resource is AUTOSCALERS else "replicas"


def _command(context: ActionContext, resource: Resource, name: str) -> str:
    if resource is AUTOSCALERS:
        return f"kubectl -n {context.namespace} patch hpa/{name} --type=merge -p "
    return f"kubectl -n {context.namespace} scale deployment/{name} --replicas="


def _value(resource: Resource, replicas: int) -> str:
    return f'\'{{"spec":{{"minReplicas":{replicas}}}}}\'' if resource is AUTOSCALERS else str(replicas)


def _warnings(context: ActionContext, workload: Workload, found: Object, wanted: int) -> list[str]:
    warnings = [
        f"{found['metadata']['name']} is deployed by {tool}, whose next run may take this back: change it there too"
        for tool in managers(found)
    ]
    budget = context.connection_budget()
    if budget is not None and wanted > workload.replicas:
        warnings.append(f"the database has {budget} connections for all: see that {wanted} pools fit into them")
    return warnings


def _autoscaler(cluster: Operator, deployment: str) -> Object | None:
    for found in cluster.list(AUTOSCALERS):
        reference = found["spec"].get("scaleTargetRef") or {}
        if (reference.get("kind"), reference.get("name")) == ("Deployment", deployment):
            return found
    return None


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """Go back to as many as before, as long as nobody has changed it since."""
    cluster = operator(context)
    workload = Workload(cluster.get(DEPLOYMENTS, context.deployment))
    scaler = _autoscaler(cluster, workload.name)
    resource, _, present = _what(workload, scaler)
    if resource.kind != plan.arguments["resource"] or present != plan.arguments["wanted"]:
        reason = f"{workload.name} was scaled by somebody else since: {_field(resource)} is {present}"
        return Refusal(by="undo", reason=reason, mend="look at it by hand")
    return _planned(context, workload, scaler, int(plan.arguments["before"]))


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    cluster, arguments = operator(context), plan.arguments
    resource = AUTOSCALERS if arguments["resource"] == AUTOSCALERS.kind else DEPLOYMENTS
    path = pointer("spec", _field(resource))
    wanted = int(arguments["wanted"])
    return [
        ObjectPatch(
            cluster,
            resource,
            arguments["name"],
            plan.bound_to,
            # `add` replaces what is there, and an autoscaler need not say its minimum.
            [{"op": "add", "path": path, "value": wanted}],
            [{"op": "add", "path": path, "value": arguments["before"]}],
            f"scale {resource.kind}/{arguments['name']} to {wanted}",
            effect=partial(_available, cluster, context.deployment, wanted),
            watches=[DEPLOYMENTS.may("get", context.deployment)],
        )
    ]


def _available(cluster: Operator, deployment: str, wanted: int) -> Settling:
    """In effect once as many pods are available."""
    try:
        found = cluster.get(DEPLOYMENTS, deployment)
    except SourceError as error:
        return Settling(done=False, text=f"deployment/{deployment} cannot be seen: {error.reason}")
    available = int((found.get("status") or {}).get("availableReplicas") or 0)
    return Settling(done=available >= wanted, text=f"{available} of {wanted} replicas are available")


SCALE_DEPLOYMENT = Action(
    name="scale_deployment",
    title="Run more pods",
    risk="low",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=deployment_target,
)
