"""Setting what the application's container asks of its node and may use of it, as `kubectl set resources` does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from runbook_lib.actions.cluster import DEPLOYMENTS, PODS, Operator, PatchRejected, operator
from runbook_lib.actions.container_resources import (
    ContainerResources,
    amount,
    container_resources,
    lacking_room,
)
from runbook_lib.actions.interface import Action, ActionContext, Change, ChangeRefused
from runbook_lib.actions.keepers import synced_back
from runbook_lib.actions.patching import ObjectPatch, binding
from runbook_lib.actions.resource_cautions import cautions
from runbook_lib.actions.restart import deployment_target, paused_refusal, seconds_of_rollout
from runbook_lib.actions.workload import Workload, surroundings
from runbook_lib.errors import SourceError, SourceRefused
from runbook_lib.models.plan import Plan, Refusal

__all__ = ["SET_RESOURCES"]

Object = Mapping[str, Any]

_FACTOR = 2
_MAXIMUM_FACTOR = 4.0


def _plan(
    context: ActionContext,
    cpu_limit: str | None = None,
    cpu_request: str | None = None,
    memory_limit: str | None = None,
    memory_request: str | None = None,
) -> Plan | Refusal:
    """Let the container use twice the CPU, or set what you give (`cpu_limit="500m"`, `memory_request="256Mi"`); pods restart."""
    workload = Workload(operator(context).get(DEPLOYMENTS, context.deployment))
    if (refusal := paused_refusal(context, workload)) is not None:
        return refusal
    found = container_resources(context, workload)
    if isinstance(found, Refusal):
        return found
    limits = _given(cpu=cpu_limit, memory=memory_limit)
    requests = _given(cpu=cpu_request, memory=memory_request)
    if not limits and not requests:
        used = amount(found.limits.get("cpu"))
        if used is None:
            reason = f"container {found.container} of deployment/{workload.name} has no CPU limit that could hold it back"
            return Refusal(by="target", reason=reason, mend="give what is to be set, such as cpu_request, or see the nodes")
        limits = {"cpu": _cores(_FACTOR * used)}
    # A request that was never written is what the limit was: raising the limit alone must not ask more of the nodes unseen.
    kept = {name: found.limits[name] for name in limits if name in found.limits and name not in found.requests}
    wanted = replace(found, limits={**found.limits, **limits}, requests={**found.requests, **kept, **requests})
    if (refusal := _refused(found, wanted) or _no_room(operator(context), workload, found, wanted)) is not None:
        return refusal
    return _planned(context, workload, found, wanted)


def _given(**amounts: str | None) -> dict[str, str]:
    return {name: text for name, text in amounts.items() if text is not None}


def _cores(value: float) -> str:
    """As people write it: `500m`, `2`."""
    return f"{value:g}" if value == int(value) else f"{round(value * 1000)}m"


def _refused(found: ContainerResources, wanted: ContainerResources) -> Refusal | None:
    """What makes no sense, or more than a mitigation should."""
    if (found.limits, found.requests) == (wanted.limits, wanted.requests):
        return Refusal(by="target", reason=f"{found.container} has these resources already")
    for kind, before, after in (("limit", found.limits, wanted.limits), ("request", found.requests, wanted.requests)):
        for name, text in after.items():
            was, value = amount(before.get(name)), amount(text)
            if name in ("cpu", "memory") and value is None:
                return Refusal(by="target", reason=f'a quantity is wanted, such as "500m" or "512Mi"; found {text!r}')
            if value is None or was is None:
                continue
            if kind == "limit" and value < was:
                reason = f"{found.container} may use {before[name]} of {name}; {text} would be less"
                return Refusal(by="limits", reason=reason, mend="this action only raises limits")
            if value > _MAXIMUM_FACTOR * was:
                return Refusal(by="limits", reason=f"{text} is more than four times the {kind} of {before[name]}")
    for name, text in wanted.requests.items():
        most = amount(wanted.limits.get(name))
        if most is not None and (amount(text) or 0.0) > most:
            reason = f"a request of {text} is above the limit of {wanted.limits[name]}"
            return Refusal(by="target", reason=reason, mend=f"give {name}_limit as well")
    return None


def _no_room(cluster: Operator, workload: Workload, found: ContainerResources, wanted: ContainerResources) -> Refusal | None:
    """Where no node takes one more pod of the new size, and none will come that does."""
    try:
        lacking = lacking_room(cluster, workload, found, wanted)
    except SourceError:
        return None  # told as a warning
    if lacking is None or lacking.awaited:
        return None
    reason = f"{lacking.reason}, so that the new pods would wait for one"
    return Refusal(by="room", reason=reason, mend="ask for less, or add a node")


def _planned(context: ActionContext, workload: Workload, found: ContainerResources, wanted: ContainerResources) -> Plan:
    before, after = found.written, wanted.written
    return Plan(
        action="set_resources",
        title=f"Set the resources of {workload.name}: {_difference(before, after)}; its pods restart",
        target=deployment_target(context),
        before=_yaml(before),
        after=_yaml(after),
        command=_command(context, workload, found, after),
        risk=workload.rollout_risk("medium"),
        affects=f"{workload.rollout_affects()}; the nodes, of which {workload.replicas} pods may take more",
        undo=_command(context, workload, found, before),
        seen_by="the rollout is through, pods are no longer held back, and the symptom is below its threshold",
        seconds_until_effect=seconds_of_rollout(workload),
        bound_to=binding(DEPLOYMENTS, workload.found),
        arguments={"path": found.path, "index": found.index, "before": before, "after": after},
        warnings=(
            *surroundings(operator(context), workload, what="the new resources"),
            *cautions(operator(context), workload, found, wanted),
        ),
        uses={"pods_at_once": workload.serving_at_once},
        unattended=synced_back("deployment", workload.found, what="the new resources"),
    )


def _difference(before: Object, after: Object) -> str:
    told = [
        f"{name} {part.removesuffix('s')} {(before.get(part) or {}).get(name, 'none')} to {text}"
        for part in ("limits", "requests")
        for name, text in (after.get(part) or {}).items()
        if (before.get(part) or {}).get(name) != text
    ]
    gone = [
        f"no {name} {part.removesuffix('s')}"
        for part in ("limits", "requests")
        for name in (before.get(part) or {})
        if name not in (after.get(part) or {})
    ]
    return ", ".join(told + gone)


def _yaml(resources: Object) -> str:
    import yaml

    text: str = yaml.safe_dump(dict(resources), sort_keys=True) if resources else "(none)"
    return text


def _command(context: ActionContext, workload: Workload, found: ContainerResources, resources: Object) -> str:
    parts = [
        f"--{part}={','.join(f'{name}={text}' for name, text in sorted(amounts.items()))}"
        for part, amounts in resources.items()
        if amounts
    ]
    options = " ".join(parts) or "--limits=cpu=0,memory=0 --requests=cpu=0,memory=0"
    return f"kubectl -n {context.namespace} set resources deployment/{workload.name} -c {found.container} {options}"


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """Give it the resources of before, as long as nobody has changed them since."""
    workload = Workload(operator(context).get(DEPLOYMENTS, context.deployment))
    found = container_resources(context, workload)
    if isinstance(found, Refusal):
        return found
    if found.written != plan.arguments["after"]:
        reason = f"the resources of {found.container} were changed again since: {json.dumps(found.written)}"
        return Refusal(by="undo", reason=reason, mend="look at it by hand")
    before = plan.arguments["before"]
    return _planned(
        context, workload, found, replace(found, limits=before.get("limits", {}), requests=before.get("requests", {}))
    )


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    arguments = plan.arguments
    return [
        _Resizing(
            operator(context),
            DEPLOYMENTS,
            context.deployment,
            plan.bound_to,
            [{"op": "add", "path": arguments["path"], "value": arguments["after"]}],
            [{"op": "add", "path": arguments["path"], "value": arguments["before"]}],
            f"set the resources of deployment/{context.deployment}",
            awaits_rollout=True,
        )
    ]


class _Resizing(ObjectPatch):
    """The patch; its rehearsal also makes a pod of the new template in a dry run, which quotas and limit ranges judge."""

    def preview(self) -> None:
        """Send the very same patch with dryRun=All, and then such a pod, where the operator may make pods."""
        super().preview()
        found = self.operator.get(DEPLOYMENTS, self.name)
        template = json.loads(json.dumps(found["spec"]["template"]))
        path = self.operations[0]["path"].split("/")
        template["spec"]["containers"][int(path[path.index("containers") + 1])]["resources"] = self.operations[0]["value"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{self.name}-rehearsal", "labels": (template.get("metadata") or {}).get("labels") or {}},
            "spec": template["spec"],
        }
        try:
            if self.operator.allowed(PODS.may("create")):
                self.operator.create(PODS, pod, dry_run=True)
        except (PatchRejected, SourceRefused) as refused:
            reason = f"the cluster would not take the new pods: {refused}"
            mend = "see the quotas and limit ranges of the namespace"
            raise ChangeRefused(Refusal(by="the cluster", reason=reason, mend=mend)) from refused
        except SourceError as error:
            raise ChangeRefused(Refusal(by="the cluster", reason=error.reason, mend="try again in a moment")) from error


SET_RESOURCES = Action(
    name="set_resources",
    title="Change what the container may use and asks for, and restart the pods",
    risk="medium",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=deployment_target,
)
