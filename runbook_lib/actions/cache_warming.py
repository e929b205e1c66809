"""Filling the cache by the service's own admin endpoint, before customers have to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from runbook_lib.actions.admin_endpoint import AdminCall, AdminClient, Endpoint, curl, endpoint_of_service
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.errors import SourceError
from runbook_lib.models.cache import CacheMemory, cannot_save, replica_of
from runbook_lib.models.cache_refusal import refusal_in
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
    try:
        info = context.cache.info() if context.cache is not None else None
        obstacle = _obstacle(info) or _held(context) if info is not None else None
    except SourceError as error:
        info, obstacle = None, _said(error)
    if obstacle is not None:
        return obstacle
    memory = CacheMemory.of(info) if info is not None else None
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


def _obstacle(info: Mapping[str, Any]) -> Refusal | None:
    """Why it would keep nothing of what is filled in, as far as INFO tells."""
    memory = CacheMemory.of(info)
    if replica := replica_of(info):
        reason, mend = f"Redis is {replica}, which takes no writes", "point connections.redis and the service to the primary"
    elif why := cannot_save(info):
        reason, mend = f"Redis cannot save ({why}), and refuses every write", "make room on its disk, then redis-cli bgsave"
    elif (refusal := refusal_in(str(info.get("ping_refused") or ""))) is not None and refusal.of_everybody:
        reason, mend = f"Redis refuses what it is asked ({refusal.text})", refusal.mend
    elif memory.refuses_writes:
        used, maximum = written(memory.used_bytes, "bytes"), written(memory.maximum_bytes, "bytes")
        reason = f"Redis uses {used} of {maximum} and evicts nothing ({memory.policy})"
        mend = "let it evict first: set_eviction_policy"
    else:
        return None
    return Refusal(by="target", reason=f"{reason}: it would keep nothing of it", mend=mend)


def _held(context: ActionContext) -> Refusal | None:
    """Whether its writes are paused; who may not ask that plans without knowing."""
    with suppress(SourceError):
        if context.cache is not None and context.cache.holds_writes():
            reason = "Redis lets writes wait, as CLIENT PAUSE does: it would keep nothing of it until that ends"
            return Refusal(by="target", reason=reason, mend="end the pause (redis-cli client unpause), or what holds Redis up")
    return None


def _said(error: SourceError) -> Refusal | None:
    """A refusal of whoever asks; that our own user is refused says nothing of the service's."""
    refusal = refusal_in(error.reason)
    if refusal is None or not refusal.of_everybody:
        return None
    return Refusal(by="target", reason=f"Redis refuses what it is asked ({refusal.text})", mend=refusal.mend)


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
