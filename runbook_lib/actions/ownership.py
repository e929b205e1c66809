"""Whether the service's pods are the deployment's own: beside an Argo Rollout or a StatefulSet it may stand there without any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.actions.cluster import PODS, REPLICA_SETS, Operator
from runbook_lib.actions.interface import ActionContext
from runbook_lib.actions.replacement import is_leaving
from runbook_lib.actions.workload import Workload, owned_by
from runbook_lib.errors import SourceError
from runbook_lib.models.plan import Refusal

__all__ = ["kept_by_another"]

Object = Mapping[str, Any]


def kept_by_another(context: ActionContext, cluster: Operator, workload: Workload) -> tuple[Refusal | None, tuple[str, ...]]:
    """A refusal where pods of the service stand and none of them is the deployment's: to change that would change none of them,
    or start others beside them. And a warning where this could not be looked at, which stops nobody."""
    selector = context.service.components.application.selector
    try:
        standing = [pod for pod in cluster.list(PODS, selector) if _is_kept(pod)]
        sets = cluster.list(REPLICA_SETS, workload.selector) if standing else ()
    except SourceError as error:
        return None, (f"whether another controller keeps the pods could not be looked at: {error.reason}",)
    own = {one["metadata"].get("uid") for one in owned_by(workload.found, sets)}
    if not standing or any(_controller(pod).get("uid") in own for pod in standing):
        return None, ()
    keepers = " and ".join(sorted({_keeper(pod, sets) for pod in standing}))
    reason = f"no pod of {selector} belongs to deployment/{workload.name}: {keepers} keeps the {len(standing)} that are there"
    return Refusal(by="target", reason=reason, mend=f"make the change on {keepers}"), ()


def _is_kept(pod: Object) -> bool:
    """Whether a controller keeps it standing. A job's pods are no part of the service."""
    return not is_leaving(pod) and _controller(pod).get("kind", "Job") != "Job"


def _keeper(pod: Object, sets: Sequence[Object]) -> str:
    """What one would change: the Rollout rather than its replica set."""
    owner = _controller(pod)
    above: Object = next((_controller(one) for one in sets if one["metadata"].get("uid") == owner.get("uid")), {})
    found = above or owner
    return f"{str(found['kind']).lower()}/{found['name']}"


def _controller(found: Object) -> Object:
    return next((owner for owner in found["metadata"].get("ownerReferences") or () if owner.get("controller")), {})
