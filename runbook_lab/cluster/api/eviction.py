"""The `eviction` subresource: a pod is deleted as far as the disruption budgets allow it, as `kubectl drain` asks for."""

from typing import Any

from aiohttp import web

from runbook_lab.cluster.api.context import answer, now, services
from runbook_lab.cluster.api.options import DeleteOptions, parse_body
from runbook_lab.cluster.api.target import Target
from runbook_lab.cluster.controllers.disruption import budget_status
from runbook_lab.cluster.controllers.pods import is_ready
from runbook_lab.cluster.errors import BadRequest, Cause, MethodNotAllowed, StoreError, TooManyRequests
from runbook_lab.cluster.metadata import is_terminating, timestamp
from runbook_lab.cluster.selectors import parse_label_selector
from runbook_lab.cluster.store import Object, Store

_BUDGETS = "poddisruptionbudgets"
_MANAGER = "apiserver"
_PROCESSING_SECONDS = 10


async def serve_eviction(request: web.Request, target: Target) -> web.Response:
    """Evict a pod, or refuse with the budget that stands against it."""
    if request.method != "POST":
        raise MethodNotAllowed("the server does not allow this method on the requested resource", resource=target.resource)
    body = parse_body(await request.read(), request.content_type)
    if not isinstance(body, dict) or body.get("kind") != "Eviction":
        raise BadRequest("expected an Eviction of policy/v1")
    options = DeleteOptions.read(request.query, body.get("deleteOptions") or {})
    store = services(request).store
    pod = store.get("pods", str(target.name), namespace=target.namespace)
    budget = None if _needs_no_budget(pod) else _budget(store, pod)
    if budget and not _may_go_unhealthy(pod, budget):
        _take_from(store, budget, pod, dry_run=options.dry_run)
    if budget is not None and not options.dry_run:
        _mark(store, pod)
    store.delete(
        "pods",
        pod["metadata"]["name"],
        namespace=pod["metadata"]["namespace"],
        grace_seconds=options.grace_seconds,
        propagation=options.propagation,
        uid=options.uid,
        resource_version=options.resource_version,
        dry_run=options.dry_run,
    )
    return answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, status=201)


def _needs_no_budget(pod: Object) -> bool:
    return is_terminating(pod) or pod["status"].get("phase") in ("Succeeded", "Failed", "Pending")


def _budget(store: Store, pod: Object) -> Object | None:
    """Give the budget that selects a pod; a real server does not decide between two either."""
    budgets = store.list(_BUDGETS, namespace=pod["metadata"]["namespace"])
    found = [budget for budget in budgets if parse_label_selector(budget["spec"].get("selector") or {})(pod)]
    if len(found) > 1:
        raise StoreError(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            name=pod["metadata"]["name"],
        )
    return found[0] if found else None


def _may_go_unhealthy(pod: Object, budget: Object) -> bool:
    """Tell whether a pod that is not ready may go without being counted: its going makes nothing worse."""
    if is_ready(pod):
        return False
    status = budget.get("status") or {}
    always = budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
    return always or status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0


def _take_from(store: Store, budget: Object, pod: Object, *, dry_run: bool) -> None:
    """Count one disruption, so that the next asker sees it before any controller does; TooManyRequests where none is left."""
    status, name = budget.get("status") or {}, budget["metadata"]["name"]
    if status.get("observedGeneration", 0) < budget["metadata"]["generation"]:
        raise _refused(f"The disruption budget {name} is still being processed by the server.", _PROCESSING_SECONDS)
    needed, present = status["desiredHealthy"], status["currentHealthy"]
    if not status["disruptionsAllowed"]:
        raise _refused(f"The disruption budget {name} needs {needed} healthy pods and has {present} currently")
    if dry_run:
        return
    disrupted = {**(status.get("disruptedPods") or {}), pod["metadata"]["name"]: timestamp(now())}
    left = budget_status(budget, expected=status["expectedPods"], desired=needed, healthy=present - 1, now=now())
    store.update(_BUDGETS, {**budget, "status": {**left, "disruptedPods": disrupted}}, subresource="status", manager=_MANAGER)


def _refused(why: str, retry_after_seconds: int | None = None) -> TooManyRequests:
    return TooManyRequests(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        causes=[Cause("", "DisruptionBudget", why)],
        retry_after_seconds=retry_after_seconds,
    )


def _mark(store: Store, pod: Object) -> None:
    """Say in the pod's conditions why it goes."""
    condition: dict[str, Any] = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
        "lastProbeTime": None,
        "lastTransitionTime": timestamp(now()),
    }
    others = [entry for entry in pod["status"].get("conditions") or () if entry["type"] != "DisruptionTarget"]
    status = {**pod["status"], "conditions": [*others, condition]}
    store.update("pods", {**pod, "status": status}, subresource="status", manager=_MANAGER)
