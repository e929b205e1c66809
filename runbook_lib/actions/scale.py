"""Scaling the service: by its autoscaler's minimum where there is one, which would take back anything else."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from runbook_lib.actions.cluster import AUTOSCALERS, DEPLOYMENTS, Operator, Resource, operator
from runbook_lib.actions.interface import Action, ActionContext, Change, Settling
from runbook_lib.actions.keepers import made_again, synced_back, taken_back
from runbook_lib.actions.ownership import kept_by_another
from runbook_lib.actions.patching import ObjectPatch, binding, pointer
from runbook_lib.actions.restart import deployment_target
from runbook_lib.actions.workload import Workload
from runbook_lib.errors import SourceError
from runbook_lib.models.plan import Plan, Refusal, Target
from runbook_lib.models.units import of_wanted

__all__ = ["SCALE_DEPLOYMENT"]

Object = Mapping[str, Any]

_FACTOR = 1.5
_SECONDS = 45.0  # an estimate: scheduling, image, start, readiness


def _plan(context: ActionContext, replicas: int | None = None) -> Plan | Refusal:
    """Run half as many pods more, or `replicas`; where an autoscaler decides, its minimum is raised.

    An autoscaler that runs as many as it may has its maximum raised as well. Of no pods at all it becomes what the service needs.
    """
    cluster = operator(context)
    workload = Workload(cluster.get(DEPLOYMENTS, context.deployment))
    foreign, unseen = kept_by_another(context, cluster, workload)
    if foreign is not None:
        return foreign
    scaler = _autoscaler(cluster, workload.name)
    resting = None
    if not workload.replicas:
        scaler, resting = None, scaler  # at 0 replicas Kubernetes' autoscalers rest, whatever their minimum
    wanted = replicas if replicas is not None else _more(context, workload, scaler)
    if wanted <= workload.replicas:
        reason = f"deployment/{workload.name} has {workload.replicas} replicas; {wanted} would not be more"
        return Refusal(by="target", reason=reason, mend="this action only scales up")
    if scaler is not None and workload.replicas < int(scaler["spec"]["maxReplicas"]) < wanted:
        name, most = scaler["metadata"]["name"], scaler["spec"]["maxReplicas"]
        reason = f"hpa/{name} allows {most} replicas at most; {wanted} are more"
        return Refusal(by="limits", reason=reason, mend=f"scale to {most} at most, or raise maxReplicas of hpa/{name}")
    levels = {name: max(wanted, level) for name, level in _levels(workload, scaler).items()}
    return _planned(context, workload, scaler, levels, resting=resting, told=unseen)


def _more(context: ActionContext, workload: Workload, scaler: Object | None) -> int:
    """Half as many again; no more than the autoscaler allows, unless it has no more to give. Of none: what the service needs."""
    if not workload.replicas:
        return max(context.service.components.application.replicas_minimum, 1)
    wanted = max(workload.replicas + 1, math.ceil(workload.replicas * _FACTOR))
    most = int(scaler["spec"]["maxReplicas"]) if scaler is not None else wanted
    return min(wanted, most) if workload.replicas < most else wanted


def _planned(
    context: ActionContext,
    workload: Workload,
    scaler: Object | None,
    levels: Mapping[str, int],
    *,
    resting: Object | None = None,
    told: Sequence[str] = (),
) -> Plan:
    """levels: the replicas; with an autoscaler its minimum and maximum, which may also be lowered again.

    resting: the autoscaler of a deployment at 0. What made it goes on scaling, KEDA also from 0 and to it.
    """
    resource, found = (DEPLOYMENTS, workload.found) if scaler is None else (AUTOSCALERS, scaler)
    name = str(found["metadata"]["name"])
    before = _levels(workload, scaler)
    wanted, most = min(levels.values()), before.get("maxReplicas")
    more = wanted - workload.replicas
    maker = scaler or resting
    remade = made_again(maker, _changed(levels, before)) if maker is not None else ()
    lasting = scaler is None or not remade  # an autoscaler that is made has the marks of what makes it, and no others
    raised = (
        f" (and up to {levels['maxReplicas']}: {most} is its maximum)" if most not in (None, levels.get("maxReplicas")) else ""
    )
    return Plan(
        action="scale_deployment",
        title=f"Scale {workload.name} from {min(before.values())} to {wanted} replicas"
        + (f" at least{raised}" if scaler is not None else ""),
        target=Target(kind=resource.kind, name=name, namespace=context.namespace),
        before=_text(before, levels),
        after=_text(levels, before),
        command=_command(context, resource, name, _changed(levels, before)),
        risk="low" if more > 0 else "medium",
        affects=f"{more} more pods on the nodes, and as many more users of the database's connections" if more > 0
        else "fewer pods: those that go finish their requests first",
        undo=_command(context, resource, name, _changed(before, levels)),
        seen_by=f"{wanted} replicas are available, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS,
        bound_to=binding(resource, found),
        arguments={"wanted": dict(levels), "before": before, "resource": resource.kind, "name": name},
        warnings=(
            *told,
            *remade,
            *(taken_back(resource.kind, found, what="the scaling") if lasting else ()),
            *_connections(context, workload, wanted),
        ),
        uses={"replicas": max(_changed(levels, before).values(), default=wanted)},
        unattended=(*remade, *(synced_back(resource.kind, found, what="the scaling") if lasting else ())),
    )  # fmt: skip


def _levels(workload: Workload, scaler: Object | None) -> dict[str, int]:
    """What decides how many pods run now, by the field's name."""
    if scaler is None:
        return {"replicas": workload.replicas}
    return {"minReplicas": int(scaler["spec"].get("minReplicas") or 1), "maxReplicas": int(scaler["spec"]["maxReplicas"])}


def _changed(levels: Mapping[str, int], others: Mapping[str, int]) -> dict[str, int]:
    """The levels that are not as in the others."""
    return {name: level for name, level in levels.items() if level != others[name]}


def _text(levels: Mapping[str, int], others: Mapping[str, int]) -> str:
    return "\n".join(f"{name}: {level}" for name, level in _changed(levels, others).items())


def _command(context: ActionContext, resource: Resource, name: str, levels: Mapping[str, int]) -> str:
    if resource is AUTOSCALERS:
        patch = json.dumps({"spec": dict(levels)}, separators=(",", ":"))
        return f"kubectl -n {context.namespace} patch hpa/{name} --type=merge -p '{patch}'"
    return f"kubectl -n {context.namespace} scale deployment/{name} --replicas={levels['replicas']}"


def _connections(context: ActionContext, workload: Workload, wanted: int) -> list[str]:
    budget = context.connection_budget()
    if budget is None or wanted <= workload.replicas:
        return []
    return [f"the database has {budget} connections for all: see that {wanted} pools fit into them"]


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
    present, resource = _levels(workload, scaler), DEPLOYMENTS if scaler is None else AUTOSCALERS
    if resource.kind != plan.arguments["resource"] or present != plan.arguments["wanted"]:
        told = ", ".join(f"{name} is {level}" for name, level in present.items())
        return Refusal(by="undo", reason=f"{workload.name} was scaled by somebody else since: {told}", mend="look at it by hand")
    return _planned(context, workload, scaler, plan.arguments["before"])


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    cluster, arguments = operator(context), plan.arguments
    resource = AUTOSCALERS if arguments["resource"] == AUTOSCALERS.kind else DEPLOYMENTS
    wanted, before = arguments["wanted"], arguments["before"]
    replicas = min(wanted.values())
    return [
        ObjectPatch(
            cluster,
            resource,
            arguments["name"],
            plan.bound_to,
            # `add` replaces what is there, and an autoscaler need not say its minimum.
            [{"op": "add", "path": pointer("spec", name), "value": level} for name, level in _changed(wanted, before).items()],
            [{"op": "add", "path": pointer("spec", name), "value": level} for name, level in _changed(before, wanted).items()],
            f"scale {resource.kind}/{arguments['name']} to {replicas}",
            effect=partial(_available, cluster, context.deployment, replicas),
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
    return Settling(
        done=available >= wanted, text=of_wanted(available, wanted, "replicas are available", one="replica is available")
    )


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
