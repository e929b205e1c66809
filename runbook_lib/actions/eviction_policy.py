"""What Redis throws out when its memory is full: `CONFIG SET maxmemory-policy`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runbook_lib.actions.interface import Action, ActionContext, CacheOperator
from runbook_lib.actions.redis_setting import cache_of, planned_change, present_value, put_back, setting_plan
from runbook_lib.errors import SourceError
from runbook_lib.models.cache import CacheMemory
from runbook_lib.models.frame import Frame
from runbook_lib.models.plan import Plan, Refusal
from runbook_lib.models.units import written

__all__ = ["SET_EVICTION_POLICY"]

_SETTING = "maxmemory-policy"
_POLICIES = (
    "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
    "noeviction",
)  # fmt: skip
_USUAL, _SPARING = "allkeys-lru", "volatile-lru"
_ENOUGH_EXPIRES = 0.25  # of the memory: so much of it suffices to make room
_LOST = frozenset(("stream", "list"))  # queues: what is thrown out of them was never a copy


def _plan(context: ActionContext, policy: str | None = None) -> Plan | Refusal:
    """Let Redis evict by `policy`, until it is started again.

    Without one: the policy of the service file; else volatile-lru where what expires takes memory enough, else allkeys-lru.
    """
    present, cache = present_value(context, _SETTING), context.cache
    if isinstance(present, Refusal):
        return present
    assert cache is not None  # it has told the value
    if policy is not None and policy not in _POLICIES:
        return Refusal(by="target", reason=f"there is no policy {policy!r}", mend=f"there are {', '.join(_POLICIES)}")
    info, keys = cache.info(), _keys(cache)
    memory = CacheMemory.of(info)
    wanted = policy if policy is not None else _usual(context, keys)
    if present == wanted:
        return Refusal(by="target", reason=f"Redis evicts by {wanted} already", mend="see its memory against maxmemory")
    return _impossible(info, memory, wanted) or _planned(
        context, present, wanted, (*_lasting(info), *_losses(wanted, memory, keys))
    )


def _keys(cache: CacheOperator) -> Frame | None:
    """A sample of the keys; None when it could not be had: then nothing is known of them."""
    try:
        sample = cache.key_sample()
    except SourceError:
        return None
    return None if sample.attrs.get("denied") or sample.empty else sample


def _usual(context: ActionContext, keys: Frame | None) -> str:
    """What the service file says, unless that is to evict nothing: this action is for a Redis that is full."""
    component = context.service.components.cache
    told = component.eviction_policy if component is not None else ""
    if told in _POLICIES and told != "noeviction":
        return told
    if keys is None or not keys["without_expiry"].sum():
        return _USUAL
    expiring = 1 - keys["without_expiry"] / keys["sampled"]
    return _SPARING if float((expiring * keys["bytes_ratio"]).sum()) >= _ENOUGH_EXPIRES else _USUAL


def _impossible(info: Mapping[str, Any], memory: CacheMemory, wanted: str) -> Refusal | None:
    """Why the policy would change nothing."""
    if info.get("role") == "slave":
        mend = "name the primary in connections.redis"
        return Refusal(by="target", reason="this Redis is a replica: its primary decides what is evicted", mend=mend)
    if wanted.startswith("volatile-") and not memory.with_expiry:
        reason = f"none of the {memory.keys:,} keys expires, so that {wanted} would evict nothing"
        return Refusal(by="target", reason=reason, mend=f"set_eviction_policy(policy={_USUAL!r}), if this Redis is a cache only")
    if 0 < memory.maximum_bytes <= memory.empty_bytes:
        least, most = written(memory.empty_bytes, "bytes"), written(memory.maximum_bytes, "bytes")
        mend = "raise it: redis-cli config set maxmemory 64mb"
        return Refusal(by="target", reason=f"an empty Redis uses {least} and maxmemory is {most}: nothing makes room", mend=mend)
    return None


def _planned(context: ActionContext, present: str, wanted: str, warnings: Sequence[str] = ()) -> Plan:
    return setting_plan(
        context,
        _SETTING,
        action="set_eviction_policy",
        title=f"Let the cache evict by {wanted}, in place of {present}",
        affects="everybody who keeps something in this Redis",
        present=present,
        wanted=wanted,
        warnings=warnings,
    )


def _lasting(info: Mapping[str, Any]) -> Iterator[str]:
    """For how long it holds, and for whom."""
    if file := str(info.get("config_file") or ""):
        yield f"it lasts until Redis is started again; `redis-cli config rewrite` would keep it in {file}"
    else:
        yield "it lasts until Redis is started again, which has no configuration file to keep it in: change its arguments, too"
    if info.get("cluster_enabled") or info.get("redis_mode") == "cluster":
        yield "this is one node of a Redis Cluster, and only its policy is set: do the same on the others"


def _losses(wanted: str, memory: CacheMemory, keys: Frame | None) -> Iterator[str]:
    """What may be thrown out that nobody can compute again, with numbers."""
    if not wanted.startswith("allkeys"):
        return
    lasting = memory.keys - memory.with_expiry
    if not memory.keys or lasting <= 0:
        yield "any key may be thrown out, also one that nobody can compute again: is this Redis a cache only?"
        return
    yield (
        f"{lasting:,} of {memory.keys:,} keys never expire{_named(keys)}, and may be thrown out like any other: "
        f"is this Redis a cache only? volatile-lru would spare them"
    )
    if keys is None:
        return
    queues = keys[[bool(_LOST & set(str(types).split(", "))) for types in keys["types"]]]
    if len(queues):
        yield f"{', '.join(queues['keys'].head(3))} hold lists or streams: a queue that is thrown out is lost"


def _named(keys: Frame | None) -> str:
    held = keys[keys["without_expiry"] > 0].head(3) if keys is not None else None
    if held is None or held.empty:
        return ""
    return f" ({', '.join(f'{row.family}: {row.types}' for row in held.rename(columns={'keys': 'family'}).itertuples())})"


SET_EVICTION_POLICY = Action(
    name="set_eviction_policy",
    title="Choose what the cache throws out when it is full",
    risk="medium",
    repair=False,
    plan=_plan,
    changes=lambda context, plan: planned_change(context, plan, _SETTING),
    undo=lambda context, plan: put_back(context, plan, _SETTING, _planned),
    target=cache_of,
)
