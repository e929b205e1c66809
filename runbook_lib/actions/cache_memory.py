"""How much memory Redis may use: `CONFIG SET maxmemory`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runbook_lib.actions.interface import Action, ActionContext
from runbook_lib.actions.redis_setting import cache_of, planned_change, present_value, put_back, setting_plan
from runbook_lib.models.cache import CacheMemory, number_of
from runbook_lib.models.plan import Plan, Refusal
from runbook_lib.models.units import written

__all__ = ["RAISE_CACHE_MEMORY"]

_SETTING = "maxmemory"
_OF_PEAK, _OF_MAXIMUM = 2.0, 1.5  # twice what it once held; where that is not known, half as much again
_MOST = 0.5  # of the machine's memory: a snapshot may need as much again
_MEBIBYTE = 2**20


def _plan(context: ActionContext, megabytes: int | None = None) -> Plan | Refusal:
    """Let Redis use twice the memory that it once held, half as much again as now, or `megabytes`, until it is started again."""
    present, cache = present_value(context, _SETTING), context.cache
    if isinstance(present, Refusal):
        return present
    assert cache is not None  # it has told the value
    info = cache.info()
    memory = CacheMemory.of(info)
    if not memory.maximum_bytes:
        return Refusal(by="target", reason="Redis has no maximum of memory", mend="see what fills the machine instead")
    wanted = megabytes * _MEBIBYTE if megabytes is not None else _more(memory)
    if wanted <= memory.maximum_bytes:
        reason = f"maxmemory is {written(memory.maximum_bytes, 'bytes')}; {written(wanted, 'bytes')} would not be more"
        return Refusal(by="target", reason=reason, mend="this action only raises it")
    machine = number_of(info, "total_system_memory")
    if machine and wanted > _MOST * machine:
        reason = f"{written(wanted, 'bytes')} are more than half of the machine's {written(machine, 'bytes')}"
        return Refusal(by="limits", reason=reason, mend="let it evict instead: set_eviction_policy")
    return _planned(context, present, str(wanted), tuple(_warnings(info)))


def _more(memory: CacheMemory) -> int:
    least = _OF_PEAK * memory.peak_bytes if memory.lowered else _OF_MAXIMUM * memory.maximum_bytes
    return math.ceil(least / _MEBIBYTE) * _MEBIBYTE


def _warnings(info: Mapping[str, Any]) -> Iterator[str]:
    yield "where Redis runs in a container, that container's memory limit must stay well above it"
    yield "it lasts until Redis is started again: find out who lowered it, and change its configuration, too"
    if info.get("cluster_enabled") or info.get("redis_mode") == "cluster":
        yield "this is one node of a Redis Cluster, and only its maximum is set: do the same on the others"


def _planned(context: ActionContext, present: str, wanted: str, warnings: Sequence[str] = ()) -> Plan:
    before, after = written(float(present), "bytes"), written(float(wanted), "bytes")
    return setting_plan(
        context,
        _SETTING,
        action="raise_cache_memory",
        title=f"Let the cache use {after} of memory, in place of {before}",
        affects="the memory of the machine that Redis runs on",
        present=present,
        wanted=wanted,
        warnings=warnings,
    )


RAISE_CACHE_MEMORY = Action(
    name="raise_cache_memory",
    title="Let the cache use more memory",
    risk="medium",
    repair=False,
    plan=_plan,
    changes=lambda context, plan: planned_change(context, plan, _SETTING),
    undo=lambda context, plan: put_back(context, plan, _SETTING, _planned),
    target=cache_of,
)
