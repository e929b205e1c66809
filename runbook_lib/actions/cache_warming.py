"""Filling the cache by the service's own admin endpoint, before customers have to."""

from __future__ import annotations

from collections.abc import Sequence

from runbook_lib.actions.admin_endpoint import AdminCall, AdminClient, Endpoint, curl, endpoint_of_service
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.errors import SourceError
from runbook_lib.models.cache import CacheMemory
from runbook_lib.models.plan import Plan, Refusal, Target
from runbook_lib.models.units import written

__all__ = ["WARM_CACHE"]

_SECONDS = 15.0


def _target(context: ActionContext) -> Target:
    return Target(kind="cache", name=f"of {context.service.name}")


def _plan(context: ActionContext) -> Plan | Refusal:
    """Ask the service to fill its cache; one pod does it for all."""
    path = _path(context)
    if path is None:
        mend = "set components.cache.warm_path in the service file"
        return Refusal(by="target", reason="how the cache is filled is not known", mend=mend)
    memory = _memory(context)
    if memory is not None and memory.refuses_writes:
        used, maximum = written(memory.used_bytes, "bytes"), written(memory.maximum_bytes, "bytes")
        reason = f"Redis uses {used} of {maximum} and evicts nothing ({memory.policy}): it would keep nothing of it"
        return Refusal(by="target", reason=reason, mend="let it evict first: set_eviction_policy")
    endpoint = endpoint_of_service(context)
    command = curl(path, [endpoint], token=context.service.connections.http.bearer_token is not None)
    return Plan(
        action="warm_cache",
        title=f"Fill the cache of {context.service.name}",
        target=_target(context),
        before="the cache as it is",
        after="the cache with what the service knows to be asked for",
        command=command,
        risk="low",
        affects="the database, which is asked for all of it at once",
        undo="none is needed: what is cached expires",
        seen_by="the hit ratio rises, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS,
        reversible=False,
        arguments={"path": path},
        warnings=tuple(_warnings(memory)),
    )


def _memory(context: ActionContext) -> CacheMemory | None:
    """The cache's memory; None when nobody can tell."""
    try:
        return CacheMemory.of(context.cache.info()) if context.cache is not None else None
    except SourceError:
        return None


def _warnings(memory: CacheMemory | None) -> list[str]:
    if memory is None:
        return ["how full the cache is is not known: one that is full, or cannot be written, stays as it is"]
    return ["the cache is full: what is filled in throws other entries out"] if memory.full else []


def _path(context: ActionContext) -> str | None:
    component = context.service.components.cache
    return component.warm_path if component is not None else None


def _undo(context: ActionContext, plan: Plan) -> Refusal:
    del context, plan
    return Refusal(by="undo", reason="what is cached expires by itself")


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    endpoint: Endpoint = endpoint_of_service(context)
    client = AdminClient(context, None)
    text = f"fill the cache by {endpoint.name}"
    return [AdminCall(client, endpoint, plan.arguments["path"], None, text, "warm", None, lambda: None)]


WARM_CACHE = Action(
    name="warm_cache",
    title="Fill the cache",
    risk="low",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
