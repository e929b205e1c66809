"""What Redis throws out when its memory is full: `CONFIG SET maxmemory-policy`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runbook_lib.actions.interface import Action, ActionContext, CacheOperator, Change
from runbook_lib.actions.redis_setting import CONFIG_MEND, RedisSetting
from runbook_lib.errors import SourceError, SourceRefused
from runbook_lib.models.cache import CacheMemory
from runbook_lib.models.frame import Frame
from runbook_lib.models.plan import Plan, Refusal, Target
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
_SECONDS = 10.0


def _target(context: ActionContext) -> Target:
    return Target(kind="cache", name=f"of {context.service.name}")


def _plan(context: ActionContext, policy: str | None = None) -> Plan | Refusal:
    """Let Redis evict by `policy`, until it is started again.

    Without one: the policy of the service file; else volatile-lru where what expires takes memory enough, else allkeys-lru.
    """
    cache = context.cache
    if cache is None:
        mend = "set connections.redis in the service file"
        return Refusal(by="target", reason="the service file names no cache", mend=mend)
    if policy is not None and policy not in _POLICIES:
        return Refusal(by="target", reason=f"there is no policy {policy!r}", mend=f"there are {', '.join(_POLICIES)}")
    present = _present(cache)
    if isinstance(present, Refusal):
        return present
    info, keys = cache.info(), _keys(cache)
    memory = CacheMemory.of(info)
    wanted = policy if policy is not None else _usual(context, keys)
    if present == wanted:
        return Refusal(by="target", reason=f"Redis evicts by {wanted} already", mend="see its memory against maxmemory")
    return _impossible(info, memory, wanted) or _planned(
        context, present, wanted, (*_lasting(info), *_losses(wanted, memory, keys))
    )


def _present(cache: CacheOperator) -> str | Refusal:
    try:
        return cache.setting(_SETTING)
    except SourceRefused as error:
        return Refusal(by="the cache", reason=error.reason, mend=CONFIG_MEND)


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
    command = f"redis-cli config set {_SETTING}"
    return Plan(
        action="set_eviction_policy",
        title=f"Let the cache evict by {wanted}, in place of {present}",
        target=_target(context),
        before=f"{_SETTING}: {present}",
        after=f"{_SETTING}: {wanted}",
        command=f"{command} {wanted}",
        risk="medium",
        affects="everybody who keeps something in this Redis",
        undo=f"{command} {present}",
        seen_by="keys are written again, the hit ratio rises, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS,
        bound_to={_SETTING: present},
        arguments={"wanted": wanted, "before": present},
        warnings=tuple(warnings),
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


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """Back to the policy of before, as long as nobody has changed it since."""
    if context.cache is None:
        return Refusal(by="target", reason="the service file names no cache")
    present = context.cache.setting(_SETTING)
    if present != plan.arguments["wanted"]:
        reason = f"the policy is {present} now: somebody has changed it since"
        return Refusal(by="undo", reason=reason, mend="look at it by hand")
    return _planned(context, present, plan.arguments["before"])


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    assert context.cache is not None  # the plan has said so
    return [RedisSetting(context.cache, _SETTING, plan.arguments["before"], plan.arguments["wanted"])]


SET_EVICTION_POLICY = Action(
    name="set_eviction_policy",
    title="Choose what the cache throws out when it is full",
    risk="medium",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
