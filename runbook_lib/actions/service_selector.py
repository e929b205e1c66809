"""Making a Service select the service's pods again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.actions.cluster import DEPLOYMENTS, PODS, SERVICES, operator
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.actions.keepers import synced_back, taken_back
from runbook_lib.actions.patching import ObjectPatch, binding, pointer
from runbook_lib.actions.workload import Workload
from runbook_lib.models.plan import Plan, Refusal, Target
from runbook_lib.models.selectors import selector_text

__all__ = ["FIX_SERVICE_SELECTOR"]

Object = Mapping[str, Any]
Selector = Mapping[str, str]

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SECONDS = 5.0  # until endpoints are written and every node's proxy has read them


def _target(context: ActionContext) -> Target:
    name = context.service.components.application.kubernetes_service or context.deployment
    return Target(kind="service", name=name, namespace=context.namespace)


def _plan(context: ActionContext, selector: Selector | None = None) -> Plan | Refusal:
    """Give the Service the selector that was last applied, or one that its pods fit: what it asks for and they have, else what
    their Deployment selects them by."""
    cluster, name = operator(context), _target(context).name
    found = cluster.get(SERVICES, name)
    workload = Workload(cluster.get(DEPLOYMENTS, context.deployment))
    labels: Selector = (workload.template.get("metadata") or {}).get("labels") or {}
    present: Selector = found["spec"].get("selector") or {}
    if selector is None and _fits(present, labels):
        return Refusal(by="target", reason=f"service/{name} selects the pods of deployment/{workload.name} already")
    chosen = dict(selector) if selector is not None else _chosen(found, workload, labels)
    if not _fits(chosen, labels):
        reason = f"no pod of deployment/{workload.name} fits {selector_text({'matchLabels': chosen}) or 'an empty selector'}"
        return Refusal(by="target", reason=reason, mend='name one that fits: fix_service_selector(selector={"app": "..."})')
    others = _others(context, chosen)
    return _planned(context, found, chosen, warnings=others)


def _fits(selector: Selector, labels: Selector) -> bool:
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def _chosen(found: Object, workload: Workload, labels: Selector) -> dict[str, str]:
    applied = _last_applied(found)
    if applied is not None and _fits(applied, labels):
        return applied
    kept = {key: value for key, value in (found["spec"].get("selector") or {}).items() if labels.get(key) == value}
    return kept or dict((workload.found["spec"].get("selector") or {}).get("matchLabels") or {})


def _last_applied(found: Object) -> dict[str, str] | None:
    text = (found["metadata"].get("annotations") or {}).get(_LAST_APPLIED)
    try:
        applied = json.loads(text) if text else None
    except ValueError:
        return None
    selector = (applied.get("spec") or {}).get("selector") if isinstance(applied, dict) else None
    return {str(key): str(value) for key, value in selector.items()} if isinstance(selector, dict) else None


def _others(context: ActionContext, chosen: Selector) -> list[str]:
    """Pods of something else that the new selector would bring behind the name, too."""
    own = {pair.strip() for pair in context.service.components.application.selector.split(",")}
    strangers = [
        str(pod["metadata"]["name"])
        for pod in operator(context).list(PODS, chosen)
        if not own <= {f"{key}={value}" for key, value in (pod["metadata"].get("labels") or {}).items()}
    ]
    return [f"it selects pods of something else, too: {', '.join(strangers[:3])}"] if strangers else []


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """The selector that it had before, as long as nobody has written another since."""
    found = operator(context).get(SERVICES, plan.target.name)
    if (found["spec"].get("selector") or {}) != plan.arguments["selector"]:
        reason = f"the selector of service/{plan.target.name} was changed again since"
        return Refusal(by="undo", reason=reason, mend="look at it by hand")
    return _planned(context, found, plan.arguments["before"])


def _planned(context: ActionContext, found: Object, chosen: Selector, *, warnings: Sequence[str] = ()) -> Plan:
    name, before = str(found["metadata"]["name"]), dict(found["spec"].get("selector") or {})
    told = taken_back("service", found, what="the selector")
    return Plan(
        action="fix_service_selector",
        title=f"Make service {name} select {selector_text({'matchLabels': chosen})}",
        target=Target(kind="service", name=name, namespace=context.namespace),
        before=_text(before),
        after=_text(chosen),
        command=_command(context, name, chosen),
        risk="medium",
        affects=f"every caller of {name}: its name leads to the pods with these labels at once",
        undo=_command(context, name, before),
        seen_by="the service has endpoints, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS,
        repair=True,
        bound_to=binding(SERVICES, found),
        arguments={"selector": dict(chosen), "before": before},
        warnings=(*warnings, *told),
        unattended=synced_back("service", found, what="the selector"),
    )


def _text(selector: Selector) -> str:
    return "\n".join(f"{key}: {value}" for key, value in sorted(selector.items())) or "(no selector)"


def _command(context: ActionContext, name: str, selector: Selector) -> str:
    patch = [{"op": "replace", "path": "/spec/selector", "value": dict(selector)}]
    return f"kubectl -n {context.namespace} patch service {name} --type json -p {shlex.quote(json.dumps(patch))}"


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    path = pointer("spec", "selector")
    return [
        ObjectPatch(
            operator(context),
            SERVICES,
            plan.target.name,
            plan.bound_to,
            [{"op": "replace", "path": path, "value": dict(plan.arguments["selector"])}],
            [{"op": "replace", "path": path, "value": dict(plan.arguments["before"])}],
            f"set the selector of service/{plan.target.name}",
        )
    ]


FIX_SERVICE_SELECTOR = Action(
    name="fix_service_selector",
    title="Make the service select its pods again",
    risk="medium",
    repair=True,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
