"""Taking a deployment back to an earlier revision, as `kubectl rollout undo` does, with the difference shown before."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from runbook_lib.actions.cluster import DEPLOYMENTS, REPLICA_SETS, Operator, operator
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.actions.keepers import synced_back
from runbook_lib.actions.ownership import kept_by_another
from runbook_lib.actions.patching import ObjectPatch, binding, pointer
from runbook_lib.actions.pod_template import missing_references, same_program, template_text, without_hash
from runbook_lib.actions.restart import deployment_target, paused_refusal, seconds_of_rollout
from runbook_lib.actions.revisions import choose_revision
from runbook_lib.actions.workload import Workload, owned_by, revision_of, surroundings
from runbook_lib.models.plan import Plan, Refusal

__all__ = ["ROLLBACK_DEPLOYMENT"]

Object = Mapping[str, Any]

_CHANGE_CAUSE = "kubernetes.io/change-cause"


def _plan_rollback(context: ActionContext, revision: int | None = None) -> Plan | Refusal:
    """Go back to the last revision that served before the onset, or to the one given."""
    cluster = operator(context)
    found = cluster.get(DEPLOYMENTS, context.deployment)
    workload = Workload(found)
    history = owned_by(found, cluster.list(REPLICA_SETS, workload.selector))
    foreign, unseen = kept_by_another(context, cluster, workload)
    refusal = foreign or paused_refusal(context, workload)
    if refusal is not None:
        return refusal
    chosen = choose_revision(workload, history, wanted=revision, blamed=_blamed(context), onset=_onset(context))
    if isinstance(chosen, Refusal):
        return chosen
    return _rollback_to(
        context, cluster, workload, history, chosen.replica_set, told=(*unseen, *chosen.told), doubts=chosen.doubts
    )


def _undo_rollback(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """Forward again, to the template that was rolled back, as long as nobody has rolled out anything else since."""
    cluster = operator(context)
    found = cluster.get(DEPLOYMENTS, plan.target.name)
    workload = Workload(found)
    history = {str(one["metadata"]["name"]): one for one in owned_by(found, cluster.list(REPLICA_SETS, workload.selector))}
    was, now = history.get(plan.arguments["from_replica_set"]), history.get(plan.arguments["to_replica_set"])
    if was is None:
        return Refusal(by="undo", reason="the replica set of the revision before is gone; deploy that version anew")
    if now is None or not same_program(now["spec"]["template"], workload.template):
        return Refusal(by="undo", reason=f"deployment/{workload.name} was changed since the rollback", mend="look at its history")
    return _rollback_to(context, cluster, workload, list(history.values()), was)


def _rollback_to(
    context: ActionContext,
    cluster: Operator,
    workload: Workload,
    history: Sequence[Object],
    chosen: Object,
    *,
    told: Sequence[str] = (),
    doubts: Sequence[str] = (),
) -> Plan | Refusal:
    template = chosen["spec"]["template"]
    missing, unknown = missing_references(cluster, template)
    number, current = revision_of(chosen), workload.revision
    if missing:
        reason = f"revision {number} needs {' and '.join(missing)}, which is gone: its pods would not start"
        return Refusal(by="target", reason=reason, mend="create it again, or choose another revision")
    running = next((one for one in history if revision_of(one) == current), None)
    name = workload.name
    return Plan(
        action="rollback_deployment",
        title=f"Roll {name} back from revision {current} to revision {number}",
        target=deployment_target(context),
        before=template_text(workload.template, against=template),
        after=template_text(template, against=workload.template),
        command=f"kubectl -n {context.namespace} rollout undo deployment/{name} --to-revision={number}",
        risk=workload.rollout_risk("medium"),
        affects=workload.rollout_affects(),
        undo=f"kubectl -n {context.namespace} rollout undo deployment/{name} (to the template of revision {current} again)",
        seen_by=f"all pods run the template of revision {number}, and the symptom is below its threshold",
        seconds_until_effect=seconds_of_rollout(workload),
        reversible=running is not None,
        bound_to=binding(DEPLOYMENTS, workload.found),
        arguments={
            "revision": number,
            "to_replica_set": chosen["metadata"]["name"],
            "from_replica_set": running["metadata"]["name"] if running is not None else "",
        },
        warnings=(
            *told,
            *doubts,
            *surroundings(cluster, workload, what="the rollback"),
            *unknown,
            "a schema migration of the newer version is not taken back: check that the older one works on it",
        ),
        uses={"pods_at_once": workload.serving_at_once},
        unattended=(*doubts, *synced_back("deployment", workload.found, what="the rollback")),
    )


def _blamed(context: ActionContext) -> int | None:
    """The revision that a confirmed cause names."""
    pattern = re.compile(rf"deployment/{re.escape(context.deployment)} revision (\d+)")
    for cause in context.diagnosis.roots if context.diagnosis else ():
        match = pattern.fullmatch(cause.subject or "")
        if match:
            return int(match[1])
    return None


def _onset(context: ActionContext) -> datetime | None:
    symptoms = context.diagnosis.symptoms if context.diagnosis else ()
    return next((one.onset_at for one in symptoms if one.onset_at is not None), None)


def _rollback_changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    cluster = operator(context)
    found = cluster.get(DEPLOYMENTS, plan.target.name)
    chosen = cluster.get(REPLICA_SETS, plan.arguments["to_replica_set"])
    template, present = without_hash(chosen["spec"]["template"]), found["spec"]["template"]
    forward, backward = _change_cause(found, chosen)
    path = pointer("spec", "template")
    return [
        ObjectPatch(
            cluster,
            DEPLOYMENTS,
            plan.target.name,
            plan.bound_to,
            [{"op": "replace", "path": path, "value": template}, *forward],
            [{"op": "replace", "path": path, "value": present}, *backward],
            f"set deployment/{plan.target.name} to the template of revision {plan.arguments['revision']}",
            awaits_rollout=True,
        )
    ]


def _change_cause(found: Object, chosen: Object) -> tuple[list[Object], list[Object]]:
    """Patches that take the reason noted on the earlier revision along, as kubectl does, so that the history tells the truth."""
    annotations = found["metadata"].get("annotations") or {}
    before = annotations.get(_CHANGE_CAUSE)
    after = (chosen["metadata"].get("annotations") or {}).get(_CHANGE_CAUSE)
    if before == after or not annotations:
        return [], []
    path = pointer("metadata", "annotations", _CHANGE_CAUSE)

    def setting(value: str | None, present: str | None) -> Object:
        if value is None:
            return {"op": "remove", "path": path}
        return {"op": "add" if present is None else "replace", "path": path, "value": value}

    return [setting(after, before)], [setting(before, after)]


ROLLBACK_DEPLOYMENT = Action(
    name="rollback_deployment",
    title="Roll the deployment back to an earlier revision",
    risk="medium",
    repair=False,
    plan=_plan_rollback,
    changes=_rollback_changes,
    undo=_undo_rollback,
    target=deployment_target,
)
