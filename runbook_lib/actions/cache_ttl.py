"""For how long the cache keeps an entry: the service's own setting, in its config map or in the pod template."""

from __future__ import annotations

import re

from runbook_lib.actions.cluster import DEPLOYMENTS, operator
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.actions.restart import deployment_target, paused_refusal, seconds_of_rollout
from runbook_lib.actions.setting import Setting, setting_changes, setting_of
from runbook_lib.actions.workload import Workload, surroundings
from runbook_lib.errors import SourceError
from runbook_lib.models.cache import CacheMemory
from runbook_lib.models.plan import Plan, Refusal, Target
from runbook_lib.models.units import written
from runbook_lib.service.models import CacheLifetime

__all__ = ["SET_CACHE_TTL"]

_FIELD = "components.cache.lifetime"
_UNITS = (("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001))  # none longer: Go and others know no days


def _plan(context: ActionContext, seconds: float | None = None) -> Plan | Refusal:
    """Let new entries of the cache live for `seconds`, or for as long as the service is designed for; then restart the pods."""
    found = _found(context)
    if isinstance(found, Refusal):
        return found
    workload, setting, lifetime = found
    present = lifetime.seconds(setting.value)
    if present is None:
        reason = f"{setting.key} should be a number or a duration such as 10m; found {setting.value!r}"
        return Refusal(by="target", reason=reason, mend=f"correct {_FIELD}.key, or the setting by hand")
    wanted = seconds if seconds is not None else lifetime.usual_seconds
    if wanted is None:
        mend = f"set {_FIELD}.usual_seconds in the service file, or give it: set_cache_ttl(seconds=600)"
        return Refusal(by="target", reason="for how long an entry should live is not known", mend=mend)
    if wanted <= 0:
        return Refusal(by="target", reason=f"a lifetime is longer than 0 s; found {wanted:g}")
    if wanted == present:
        return Refusal(by="target", reason=f"entries live for {written(present, 'seconds')} already")
    value = _written_like(setting.value, wanted, lifetime)
    if value is None:
        mend = f"choose a multiple of {written(lifetime.unit_seconds, 'seconds')}"
        return Refusal(by="target", reason=f"{setting.key} cannot say {written(wanted, 'seconds')}", mend=mend)
    return _planned(context, workload, setting, value, lifetime)


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """Give entries the life that they had, as long as nobody has changed the setting since."""
    found = _found(context)
    if isinstance(found, Refusal):
        return found
    workload, setting, lifetime = found
    if setting.value != plan.arguments["value"] or str(setting.target(context)) != str(plan.target):
        reason = f"{setting.key} is {setting.value} now: it was changed again since"
        return Refusal(by="undo", reason=reason, mend="look at it by hand")
    return _planned(context, workload, setting, plan.arguments["before"], lifetime)


def _found(context: ActionContext) -> tuple[Workload, Setting, CacheLifetime] | Refusal:
    cache = context.service.components.cache
    lifetime = cache.lifetime if cache is not None else None
    if lifetime is None:
        mend = f"set {_FIELD}.key in the service file"
        return Refusal(by="target", reason="where the lifetime of the cache's entries is set is not known", mend=mend)
    cluster = operator(context)
    workload = Workload(cluster.get(DEPLOYMENTS, context.deployment))
    setting = setting_of(context, cluster, workload, key=lifetime.key, config_map=lifetime.config_map, field=_FIELD)
    if isinstance(setting, Refusal):
        return setting
    return paused_refusal(context, workload) or (workload, setting, lifetime)


def _written_like(present: str, seconds: float, lifetime: CacheLifetime) -> str | None:
    """A lifetime in the form of the present value; None where that cannot say it."""
    if re.fullmatch(r"[\d.]+", present.strip()):
        number = round(seconds / lifetime.unit_seconds, 6)
        return f"{number:.0f}" if number.is_integer() and number else str(number) if "." in present and number else None
    unit, size = next((unit, size) for unit, size in _UNITS if unit == "ms" or round(seconds / size, 6).is_integer())
    return f"{round(seconds / size)}{unit}" if round(seconds / size) else None


def _planned(context: ActionContext, workload: Workload, setting: Setting, value: str, lifetime: CacheLifetime) -> Plan:
    before, after = (lifetime.seconds(text) or 0.0 for text in (setting.value, value))
    change = f"{written(after, 'seconds')}, not {written(before, 'seconds')}"
    told = [*surroundings(operator(context), workload, what="the change"), *setting.warnings()]
    told += _of_longer_life(context, after) if after > before else []
    told.append("entries that are kept already live on for as long as they were given")
    return Plan(
        action="set_cache_ttl",
        title=f"Let entries of the cache live for {change}, and restart the pods",
        target=setting.target(context),
        before=f"{setting.key}: {setting.value}",
        after=f"{setting.key}: {value}",
        command=setting.command(context, value),
        risk=workload.rollout_risk("medium"),
        affects=f"{workload.rollout_affects()}; whoever relies on how fresh an answer is",
        undo=setting.command(context, setting.value),
        seen_by="the rollout is through, the hit ratio rises as entries are written anew, and the symptom is below its threshold",
        seconds_until_effect=seconds_of_rollout(workload),
        repair=True,
        bound_to=setting.bound_to(workload),
        arguments={"value": value, "before": setting.value, "key": setting.key, "path": setting.path},
        warnings=tuple(told),
        uses={"pods_at_once": workload.serving_at_once},
        writes=(deployment_target(context),),
        unattended=setting.unattended(workload),
    )


def _of_longer_life(context: ActionContext, seconds: float) -> list[str]:
    told = [f"answers may be up to {written(seconds, 'seconds')} old"]
    if context.cache is None:
        return told
    try:
        memory = CacheMemory.of(context.cache.info())
    except SourceError:
        return told
    if memory.maximum_bytes:
        used, maximum = written(memory.used_bytes, "bytes"), written(memory.maximum_bytes, "bytes")
        told.append(f"entries that live longer take more memory: Redis uses {used} of {maximum} ({memory.policy})")
    return told


def _changes(context: ActionContext, plan: Plan) -> tuple[Change, ...]:
    arguments = plan.arguments
    return tuple(
        setting_changes(
            context, plan, key=arguments["key"], path=arguments["path"], value=arguments["value"], before=arguments["before"]
        )
    )


def _target(context: ActionContext) -> Target:
    """Where the service file says that it stands; the plan knows better."""
    cache = context.service.components.cache
    lifetime = cache.lifetime if cache is not None else None
    name = (lifetime.config_map if lifetime else None) or context.service.components.application.config_map
    return Target(kind="configmap", name=name, namespace=context.namespace) if name else deployment_target(context)


SET_CACHE_TTL = Action(
    name="set_cache_ttl",
    title="Choose for how long the cache keeps an entry, and restart the pods",
    risk="medium",
    repair=True,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
