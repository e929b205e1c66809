"""Raising the size of the connection pool, where it is configured: in the config map, or in the pod template itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runbook_lib.actions.cluster import DEPLOYMENTS, operator
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.actions.restart import deployment_target, paused_refusal, seconds_of_rollout
from runbook_lib.actions.setting import Setting, setting_changes, setting_of
from runbook_lib.actions.workload import Workload, surroundings
from runbook_lib.models.plan import Plan, Refusal, Target

__all__ = ["RAISE_POOL_SIZE"]


def _plan(context: ActionContext, size: int | None = None, max_connections: int | None = None) -> Plan | Refusal:
    """Double the pool of every pod, or give it `size`, within what policy and database bear; then restart the pods.

    max_connections: how many connections the database has for all pods together; what the incident knows unless given.
    """
    found = _found(context)
    if isinstance(found, Refusal):
        return found
    workload, setting = found
    if not re.fullmatch(r"[1-9]\d*", setting.value.strip()):
        return Refusal(by="target", reason=f"{setting.key} should be a number of connections; found {setting.value!r}")
    present = int(setting.value)
    budget = max_connections if max_connections is not None else context.connection_budget()
    limits = _limits(context, workload, budget)
    wanted = size if size is not None else min([2 * present, *limits.values()])
    reached = {reason: limit for reason, limit in limits.items() if limit < wanted or (size is None and limit <= present)}
    if reached:
        reason, limit = min(reached.items(), key=lambda one: one[1])
        return Refusal(by="limits", reason=f"the pool may have at most {limit} connections a pod: {reason}", mend=_MEND)
    if wanted <= present:
        return Refusal(by="target", reason=f"the pool has {present} connections already; {wanted} would not raise it")
    warnings = () if budget is not None else ("how many connections the database has for this service is not known",)
    return _planned(context, workload, setting, wanted, warnings=warnings)


_MEND = "free the connections that are held, or raise the limit where it is set"


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """Give the pool its former size, as long as nobody has changed it since."""
    found = _found(context)
    if isinstance(found, Refusal):
        return found
    workload, setting = found
    if setting.value != plan.arguments["size"] or str(setting.target(context)) != str(plan.target):
        reason = f"{setting.key} is {setting.value} now: it was changed again since"
        return Refusal(by="undo", reason=reason, mend="look at it by hand")
    return _planned(context, workload, setting, int(plan.arguments["before"]))


def _found(context: ActionContext) -> tuple[Workload, Setting] | Refusal:
    """The deployment, and where its pool's size stands."""
    database = context.service.components.database
    if database is None:
        return Refusal(by="target", reason="the service file names no database, so that there is no pool to raise")
    cluster = operator(context)
    workload = Workload(cluster.get(DEPLOYMENTS, context.deployment))
    pool = database.pool
    setting = setting_of(context, cluster, workload, key=pool.key, config_map=pool.config_map, field="components.database.pool")
    if isinstance(setting, Refusal):
        return setting
    return paused_refusal(context, workload) or (workload, setting)


def _limits(context: ActionContext, workload: Workload, budget: int | None) -> dict[str, int]:
    """What bounds the size of a pod's pool, each with its reason."""
    database = context.service.components.database
    pool_maximum = database.pool.maximum if database is not None else None
    policy_maximum = context.service.policy.pool_size_maximum
    limits: dict[str, int] = {}
    if policy_maximum is not None:
        limits["policy.pool_size_maximum of the service file"] = policy_maximum
    if pool_maximum is not None:
        limits["components.database.pool.maximum of the service file"] = pool_maximum
    if budget is not None:
        # While the rollout runs, pods of both kinds hold connections.
        pods = max(1, workload.replicas + workload.surge)
        limits[f"the database has {budget} connections for {pods} pods (those of a rollout included)"] = budget // pods
    return limits


def _planned(context: ActionContext, workload: Workload, setting: Setting, size: int, *, warnings: Sequence[str] = ()) -> Plan:
    cluster = operator(context)
    told = [*surroundings(cluster, workload, what="the change"), *setting.warnings(), *warnings]
    total = size * workload.replicas
    return Plan(
        action="raise_pool_size",
        title=f"Set the connection pool of {workload.name} from {setting.value} to {size} a pod and restart the pods",
        target=setting.target(context),
        before=f"{setting.key}: {setting.value}",
        after=f"{setting.key}: {size}",
        command=setting.command(context, size),
        risk=workload.rollout_risk("medium"),
        affects=f"{workload.rollout_affects()}; the database, with up to {total} connections",
        undo=setting.command(context, setting.value),
        seen_by="the rollout is through, no request waits for a connection, and the symptom is below its threshold",
        seconds_until_effect=seconds_of_rollout(workload),
        repair=True,
        bound_to=setting.bound_to(workload),
        arguments={"size": str(size), "before": setting.value, "key": setting.key, "path": setting.path},
        warnings=tuple(told),
        uses={"pods_at_once": workload.serving_at_once, "pool_size": size},
        writes=(deployment_target(context),),
        unattended=setting.unattended(workload),
    )


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    arguments = plan.arguments
    return setting_changes(
        context, plan, key=arguments["key"], path=arguments["path"], value=arguments["size"], before=arguments["before"]
    )


def _target(context: ActionContext) -> Target:
    """Where the service file says that the size stands; the plan knows better."""
    database = context.service.components.database
    name = (database.pool.config_map if database else None) or context.service.components.application.config_map
    return Target(kind="configmap", name=name, namespace=context.namespace) if name else deployment_target(context)


RAISE_POOL_SIZE = Action(
    name="raise_pool_size",
    title="Raise the size of the connection pool, and restart the pods",
    risk="medium",
    repair=True,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
