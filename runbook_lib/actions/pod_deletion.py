"""Deleting the pods that are affected, one after the other, each replaced before the next one goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from runbook_lib.actions.cluster import DAEMON_SETS, PODS, Operator, operator
from runbook_lib.actions.departure import PodDeparture, budgets_without_room
from runbook_lib.actions.interface import Action, ActionContext, Change, ChangeRefused
from runbook_lib.actions.replacement import Replacement, is_leaving, is_ready, replacement_of
from runbook_lib.actions.restart import deployment_target
from runbook_lib.errors import SourceError, SourceMissingObject
from runbook_lib.models.plan import Plan, Refusal, Target
from runbook_lib.models.window import format_duration

__all__ = ["DELETE_PODS"]

Object = Mapping[str, Any]

_SECONDS_PER_POD = 30.0  # an estimate for the plan: end, schedule, start, readiness probe


def _blamed(context: ActionContext) -> list[str]:
    """The pods that the confirmed causes name: of those that call for this action where there are such, else of all."""
    roots = context.diagnosis.roots if context.diagnosis else ()
    calling = [cause for cause in roots if DELETE_PODS.name in cause.actions and cause.pods]
    return list(dict.fromkeys(pod for cause in calling or roots for pod in cause.pods))


def _plan(context: ActionContext, pods: Sequence[str] | str | None = None) -> Plan | Refusal:
    """Delete the pods that the diagnosis names, or `pods`, one by one: the next one only when another is ready in its place."""
    names = [pods] if isinstance(pods, str) else list(dict.fromkeys(pods or _blamed(context)))
    if not names:
        mend = 'name them: delete_pods(pods=["..."]); restart_pods replaces all of them'
        return Refusal(by="target", reason="no confirmed cause names particular pods", mend=mend)
    cluster = operator(context)
    found = _found(cluster, names)
    if isinstance(found, Refusal):
        return found
    makers = [replacement_of(cluster, pod) for pod in found]
    refusal = next((maker for maker in makers if isinstance(maker, Refusal)), None)
    if refusal is not None:
        return refusal
    distinct = {maker.workload: maker for maker in makers if isinstance(maker, Replacement)}
    if len(distinct) > 1:
        reason = f"these pods belong to several workloads: {', '.join(sorted(distinct))}"
        return Refusal(by="target", reason=reason, mend="name the pods of one of them at a time")
    return _planned(context, cluster, found, next(iter(distinct.values())))


def _found(cluster: Operator, names: Sequence[str]) -> list[Object] | Refusal:
    """The pods, those that do not serve first: their leaving costs nobody anything."""
    found = []
    for name in names:
        try:
            pod = cluster.get(PODS, name)
        except SourceMissingObject:
            return Refusal(by="target", reason=f"there is no pod/{name} any more", mend="look again: incident.refresh()")
        if is_leaving(pod):
            return Refusal(by="target", reason=f"pod/{name} is leaving already", mend="wait, and look again: incident.refresh()")
        found.append(pod)
    return sorted(found, key=is_ready)


def _planned(context: ActionContext, cluster: Operator, pods: Sequence[Object], maker: Replacement) -> Plan:
    names = [str(pod["metadata"]["name"]) for pod in pods]
    serving = sum(map(is_ready, maker.pods()))
    alone = maker.resource is DAEMON_SETS or (serving < 2 and any(map(is_ready, pods)))
    several = f"{len(names)} pods" if len(names) > 1 else f"pod {names[0]}"
    after_each = f" && kubectl -n {context.namespace} rollout status {maker.workload}"
    return Plan(
        action="delete_pods",
        title=f"Delete {several} of {maker.name}" + (", one after the other" if len(names) > 1 else ""),
        target=Target(kind=maker.resource.kind, name=maker.name, namespace=context.namespace),
        before="\n".join(
            f"pod {name}: {'ready' if is_ready(pod) else 'not ready'}" for name, pod in zip(names, pods, strict=True)
        ),
        after=f"{len(names)} new pods of the same template, each ready before the next one goes",
        command="\n".join(f"kubectl -n {context.namespace} delete pod {name}{after_each}" for name in names),
        risk="high" if alone else "low",
        affects=_affected(maker, names, serving, alone=alone),
        undo="none is needed: the new pods run the same template",
        seen_by="a new pod is ready in the place of each, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS_PER_POD * len(names),
        reversible=False,
        bound_to={str(pod["metadata"]["name"]): str(pod["metadata"]["uid"]) for pod in pods},
        arguments={"pods": names, "evicts": cluster.serves_evictions()},
        warnings=tuple(_warnings(context, cluster, pods, maker)),
        uses={"pods_at_once": 1},
    )


def _affected(maker: Replacement, names: Sequence[str], serving: int, *, alone: bool) -> str:
    if maker.resource is DAEMON_SETS:
        return f"whatever uses {maker.workload} on the nodes of these pods: each node has no other one until the new one is ready"
    if alone:
        return f"all users of {maker.workload}: no other pod of it is ready, so that nothing serves until the new one does"
    return f"{len(names)} of the pods of {maker.workload}, one at a time; {serving} are ready now, and the others keep serving"


def _warnings(context: ActionContext, cluster: Operator, pods: Sequence[Object], maker: Replacement) -> list[str]:
    told = []
    try:
        kept = dict.fromkeys(text for pod in pods for text in budgets_without_room(cluster, pod))
        patience = format_duration(timedelta(seconds=context.service.policy.verify_within_seconds))
        told += [f"{text}: no pod may go now; there is a wait of up to {patience} for it" for text in kept]
    except SourceError as error:
        told.append(f"the disruption budgets could not be looked at: {error.reason}")
    scratch = sorted({str(one["name"]) for pod in pods for one in pod["spec"].get("volumes") or () if "emptyDir" in one})
    if scratch:
        told.append(f"what is in the pods' own volumes ({', '.join(scratch)}) is lost, heap dumps included")
    if len(pods) >= maker.wanted() > 1:
        told.append(f"these are all pods of {maker.workload}: restart_pods replaces them as one rollout")
    return told


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    cluster = operator(context)
    made = []
    for name in plan.arguments["pods"]:
        maker = replacement_of(cluster, cluster.get(PODS, name))
        if isinstance(maker, Refusal):
            raise ChangeRefused(maker)
        made.append(PodDeparture(context, cluster, name, plan.bound_to[name], plan.arguments["evicts"], maker))
    return made


def _undo(context: ActionContext, plan: Plan) -> Refusal:
    del context, plan
    return Refusal(by="undo", reason="a deleted pod does not come back; the new ones run the same template")


DELETE_PODS = Action(
    name="delete_pods",
    title="Delete the affected pods, one after the other",
    risk="low",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=deployment_target,
)
