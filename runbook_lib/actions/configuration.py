"""Restoring an earlier version of a config map, and restarting what reads it.

Kubernetes keeps no earlier versions of a config map, and `kubectl rollout undo` does not know it. What is restored is what
`kubectl apply` last wrote (it keeps that in an annotation), or a version that somebody has kept.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.actions.cluster import CONFIG_MAPS, DEPLOYMENTS, Operator, operator
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.actions.keepers import synced_back, taken_back
from runbook_lib.actions.patching import ObjectPatch, binding, pointer
from runbook_lib.actions.pod_template import config_maps_of, shown_value
from runbook_lib.actions.restart import deployment_target, paused_refusal, restart, seconds_of_rollout
from runbook_lib.actions.workload import Workload, surroundings
from runbook_lib.errors import SourceError
from runbook_lib.models.plan import Plan, Refusal, Target

__all__ = ["RESTORE_CONFIGURATION", "config_map_patch", "joint_binding", "merge_command", "object_binding"]

Object = Mapping[str, Any]
Edit = Mapping[str, str | None]
"""Keys and their values; None takes a key out."""

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def config_map_patch(cluster: Operator, found: Object, edit: Edit, *, bound_to: Mapping[str, str]) -> ObjectPatch:
    """The change that gives these keys of a config map their values."""
    data: Mapping[str, str] = found.get("data") or {}
    name = str(found["metadata"]["name"])
    operations = [_operation(key, value, present=key in data) for key, value in sorted(edit.items())]
    inverse = [_operation(key, data.get(key), present=edit[key] is not None) for key in sorted(edit)]
    if not data:
        operations = [{"op": "add", "path": pointer("data"), "value": dict(edit)}]
    text = f"set {', '.join(sorted(edit))} in configmap/{name}"
    return ObjectPatch(cluster, CONFIG_MAPS, name, bound_to, operations, inverse, text)


def _operation(key: str, value: str | None, *, present: bool) -> Object:
    path = pointer("data", key)
    if value is None:
        return {"op": "remove", "path": path}
    return {"op": "replace" if present else "add", "path": path, "value": value}


def joint_binding(config_map: Object, deployment: Object) -> dict[str, str]:
    """What a plan on a config map and its reader is bound to: both, in one flat mapping."""
    parts = (("configmap", CONFIG_MAPS, config_map), ("deployment", DEPLOYMENTS, deployment))
    return {f"{kind}.{key}": value for kind, resource, one in parts for key, value in binding(resource, one).items()}


def object_binding(bound_to: Mapping[str, str], kind: str) -> dict[str, str]:
    """The part of a joint binding that is about `configmap` or `deployment`."""
    prefix = f"{kind}."
    return {key.removeprefix(prefix): value for key, value in bound_to.items() if key.startswith(prefix)}


def merge_command(context: ActionContext, config_map: str, edit: Edit, *, restarts: bool) -> str:
    """What a person would type to set these keys and restart what reads them. Secrets are hidden in it."""
    shown = {key: None if value is None else shown_value(key, value) for key, value in sorted(edit.items())}
    patch = shlex.quote(json.dumps({"data": shown}, separators=(",", ":")))
    command = f"kubectl -n {context.namespace} patch configmap {config_map} --type merge -p {patch}"
    return f"{command} && kubectl -n {context.namespace} rollout restart deployment/{context.deployment}" if restarts else command


def _target(context: ActionContext) -> Target:
    return Target(kind="configmap", name=_config_map_name(context) or "(none)", namespace=context.namespace)


def _config_map_name(context: ActionContext) -> str | None:
    """The config map that a confirmed cause names, else the application's."""
    for cause in context.diagnosis.roots if context.diagnosis else ():
        match = re.fullmatch(r"configmap/(\S+)", cause.subject or "")
        if match:
            return match[1]
    return context.service.components.application.config_map


def _plan(context: ActionContext, config_map: str | None = None, data: Mapping[str, str] | None = None) -> Plan | Refusal:
    """Give a config map the content that was last applied, or the earlier one given as `data` (all of it); restart the pods."""
    name = config_map or _config_map_name(context)
    if name is None:
        mend = "name it in components.application.config_map"
        return Refusal(by="target", reason="the service file names no config map", mend=mend)
    found = operator(context).get(CONFIG_MAPS, name)
    earlier = dict(data) if data is not None else _last_applied(found)
    if earlier is None:
        return Refusal(
            by="target",
            reason=f"configmap/{name} was never written by kubectl apply, and Kubernetes keeps no earlier version of it",
            mend="give the earlier content from your repository: restore_configuration(data={...})",
        )
    present: Mapping[str, str] = found.get("data") or {}
    edit = {key: earlier.get(key) for key in sorted(earlier.keys() | present.keys()) if earlier.get(key) != present.get(key)}
    return _planned(context, found, edit)


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """Give the keys the values they had before, as long as nobody has changed them since."""
    found = operator(context).get(CONFIG_MAPS, plan.target.name)
    present: Mapping[str, str] = found.get("data") or {}
    moved = [key for key, value in plan.arguments["edit"].items() if present.get(key) != value]
    if moved:
        reason = f"{', '.join(moved)} in configmap/{plan.target.name} was changed again since"
        return Refusal(by="undo", reason=reason, mend="look at it by hand")
    return _planned(context, found, plan.arguments["before"])


def _planned(context: ActionContext, found: Object, edit: Edit) -> Plan | Refusal:
    name = str(found["metadata"]["name"])
    if not edit:
        return Refusal(by="target", reason=f"configmap/{name} is as it was last applied: there is nothing to restore")
    if found.get("immutable"):
        mend = "create one with another name, and point the deployment at it"
        return Refusal(by="target", reason=f"configmap/{name} is immutable", mend=mend)
    cluster = operator(context)
    deployment = cluster.get(DEPLOYMENTS, context.deployment)
    workload = Workload(deployment)
    reads = name in config_maps_of(workload.template)
    paused = paused_refusal(context, workload) if reads else None
    if paused is not None:
        return paused
    present: Mapping[str, str] = found.get("data") or {}
    before = {key: present.get(key) for key in edit}
    back = merge_command(context, name, before, restarts=reads)
    return Plan(
        action="restore_configuration",
        title=f"Restore {', '.join(edit)} in {name}" + (f" and restart {workload.name}" if reads else ""),
        target=Target(kind="configmap", name=name, namespace=context.namespace),
        before=_text(before, edit),
        after=_text(edit, before),
        command=merge_command(context, name, edit, restarts=reads),
        risk=workload.rollout_risk("medium") if reads else "medium",
        affects=workload.rollout_affects() if reads else f"whoever reads configmap/{name}",
        undo=back,
        seen_by="the rollout is through, and the symptom is below its threshold",
        seconds_until_effect=seconds_of_rollout(workload) if reads else 60.0,
        repair=True,
        bound_to=joint_binding(found, deployment),
        arguments={"edit": dict(edit), "before": before, "restarts": reads},
        warnings=tuple(_warnings(cluster, found, workload, edit, reads=reads)),
        uses={"pods_at_once": workload.serving_at_once} if reads else {},
        writes=(deployment_target(context),) if reads else (),
        unattended=synced_back("configmap", found, what="the change"),
    )


def _warnings(cluster: Operator, found: Object, workload: Workload, edit: Edit, *, reads: bool) -> list[str]:
    name = str(found["metadata"]["name"])
    warnings = surroundings(cluster, workload, what="the mark of the restart") if reads else []
    warnings += taken_back("configmap", found, what="the change")
    if not reads:
        warnings.append(f"deployment/{workload.name} does not read configmap/{name}, so that nothing is restarted")
    if len(edit) > 1:
        warnings.append(f"{len(edit)} keys change: read the difference, edits that were meant are taken back with the others")
    try:
        others = [
            one["metadata"]["name"]
            for one in cluster.list(DEPLOYMENTS)
            if one["metadata"]["name"] != workload.name and name in config_maps_of(one["spec"]["template"])
        ]
    except SourceError as error:
        return [*warnings, f"who else reads configmap/{name} is not known: {error.reason}"]
    return [*warnings, *(f"deployment/{other} reads it too, and sees it at its own next restart" for other in others)]


def _text(values: Edit, other: Edit) -> str:
    lines = []
    for key, value in sorted(values.items()):
        shown = shown_value(key, value)
        hidden = value is not None and shown != value and value != other.get(key)
        lines.append(f"{key}: {shown}{' (differs)' if hidden else ''}")
    return "\n".join(lines)


def _last_applied(found: Object) -> dict[str, str] | None:
    text = (found["metadata"].get("annotations") or {}).get(_LAST_APPLIED)
    try:
        applied = json.loads(text) if text else None
    except ValueError:
        return None
    return {str(key): str(value) for key, value in (applied.get("data") or {}).items()} if isinstance(applied, dict) else None


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    cluster = operator(context)
    found = cluster.get(CONFIG_MAPS, plan.target.name)
    edit = config_map_patch(cluster, found, plan.arguments["edit"], bound_to=object_binding(plan.bound_to, "configmap"))
    if not plan.arguments["restarts"]:
        return [edit]
    deployment = cluster.get(DEPLOYMENTS, context.deployment)
    return [edit, restart(context, deployment, bound_to=object_binding(plan.bound_to, "deployment"))]


RESTORE_CONFIGURATION = Action(
    name="restore_configuration",
    title="Restore the earlier configuration, and restart what reads it",
    risk="medium",
    repair=True,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
