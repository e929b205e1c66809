"""The faults by name, and how one is drawn from its seed. Pure: nothing here touches a lab."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runbook_lab.faults import cache, cpu, deployment, downstream, locks, memory, network, outage, pool, statements
from runbook_lab.faults.declaration import Fault, Step, UnknownFaultError

_ERRORS, _DOWN, _MEMORY, _LATENCY = "high_error_rate", "service_down", "memory_leak", "high_latency"

Drawing = Callable[[random.Random, float], tuple[str, tuple[Step, ...]]]


@dataclass(frozen=True)
class Kind:
    """One way in which a fault comes about: the runbook for it, the cause to be found, and the action that fixes it.

    See `Fault` for what None means.
    """

    draw: Drawing
    runbook: str
    cause: str | None
    cure: str | None
    target: str | None = None
    shows_after_seconds: float = 0.0


@dataclass(frozen=True)
class FaultType:
    """A fault before it is drawn. `kinds` has one entry without a name where there is one way only."""

    summary: str
    kinds: dict[str | None, Kind]


def _nothing(_: random.Random, __: float) -> tuple[str, tuple[Step, ...]]:
    return "nothing is wrong", ()


def _closed_by(draw: Drawing, policy: str, runbook: str = _DOWN) -> Kind:
    return Kind(draw, runbook, "network_partition", "delete_network_policy", policy)


FAULTS: dict[str, FaultType] = {
    "db_pool_exhausted": FaultType(
        "orders loses database connections until none is free",
        {None: Kind(pool.draw, _ERRORS, "db_pool_exhausted", "restart_pods")},
    ),
    "downstream_timeout": FaultType(
        "payments answers too slowly for orders",
        {None: Kind(downstream.draw, _ERRORS, "downstream_timeout", "open_circuit_breaker")},
    ),
    "memory_leak": FaultType(
        "orders keeps what it should free, up to its memory limit",
        {None: Kind(memory.draw, _ERRORS, "memory_leak", "restart_pods")},
    ),
    "bad_deployment": FaultType(
        "a new revision of orders does not work",
        {
            "code": Kind(deployment.draw_code, _ERRORS, "bad_deployment", "rollback_deployment"),
            "pool": Kind(deployment.draw_pool, _ERRORS, "bad_deployment", "rollback_deployment"),
            "address": Kind(deployment.draw_address, _ERRORS, "bad_deployment", "rollback_deployment"),
            "config_map": Kind(deployment.draw_config_map, _ERRORS, "bad_deployment", "restore_configuration"),
            "slow": Kind(deployment.draw_slow, _LATENCY, "bad_deployment", "rollback_deployment"),
        },
    ),
    "crash_loop": FaultType(
        "a new revision of orders ends as soon as it starts",
        {
            "release": Kind(outage.draw_release, _DOWN, "bad_deployment", "rollback_deployment"),
            "command": Kind(outage.draw_command, _DOWN, "bad_deployment", "rollback_deployment"),
        },
    ),
    "bad_config": FaultType(
        "orders cannot start with what it is configured to",
        {
            "setting": Kind(outage.draw_setting, _DOWN, "bad_deployment", "restore_configuration"),
            "secret_key": Kind(outage.draw_secret_key, _DOWN, "bad_deployment", "rollback_deployment"),
            "image": Kind(outage.draw_image, _DOWN, "bad_deployment", "rollback_deployment"),
        },
    ),
    "database_down": FaultType(
        "PostgreSQL takes no connections",
        {
            "scaled": Kind(outage.draw_scaled_database, _DOWN, "database_down", "restart_database", "postgres-0"),
            "hanging": Kind(outage.draw_hanging_database, _DOWN, "database_down", "restart_database", "postgres-0"),
        },
    ),
    "network_partition": FaultType(
        "requests do not reach orders, or orders not what it calls, while the pods are well",
        {
            "selector": Kind(network.draw_selector, _DOWN, "network_partition", "fix_service_selector"),
            "ingress_policy": _closed_by(network.draw_ingress_policy, network.INGRESS_POLICY),
            "egress_policy": _closed_by(network.draw_egress_policy, network.EGRESS_POLICY),
            "database_policy": _closed_by(network.draw_database_policy, network.DATABASE_POLICY, _ERRORS),
            "payments_policy": _closed_by(network.draw_payments_policy, network.PAYMENTS_POLICY, _ERRORS),
        },
    ),
    "memory_leak_slow": FaultType(
        "orders keeps what it should free, so slowly that there is time to act",
        {None: Kind(memory.draw_slow, _MEMORY, "memory_leak", "restart_pods")},
    ),
    "memory_leak_oom": FaultType(
        "orders is killed for its memory again and again",
        {None: Kind(memory.draw_killed, _MEMORY, "memory_leak", "restart_pods")},
    ),
    "cache_warmup": FaultType(
        "a cache of orders fills, which is no leak", {None: Kind(memory.draw_cache, _MEMORY, None, None, shows_after_seconds=100)}
    ),
    "traffic_growth": FaultType(
        "more customers come, which is no leak", {None: Kind(memory.draw_traffic, _MEMORY, None, None, shows_after_seconds=60)}
    ),
    "lock_contention": FaultType(
        "a batch locks rows that orders need",
        {
            "import": Kind(locks.draw_import, _LATENCY, "lock_contention", "cancel_statement"),
            "stubborn_import": Kind(locks.draw_stubborn_import, _LATENCY, "lock_contention", "terminate_session"),
        },
    ),
    "cpu_exhaustion": FaultType(
        "orders has less processor time than its requests need",
        {
            "load": Kind(cpu.draw_load, _LATENCY, "cpu_exhaustion", "scale_deployment"),
            "limit": Kind(cpu.draw_limit, _LATENCY, "bad_deployment", "rollback_deployment"),
        },
    ),
    "slow_query": FaultType(
        "orders looks something up in a table that lacks an index",
        {"missing_index": Kind(statements.draw_missing_index, _LATENCY, "slow_statements", "create_index")},
    ),
    "downstream_slow": FaultType(
        "payments answers in time, and late",
        {None: Kind(downstream.draw_late, _LATENCY, "downstream_slow", "open_circuit_breaker")},
    ),
    "cache_miss": FaultType(
        "the cache of orders answers hardly anything",
        {
            "full": Kind(cache.draw_full, _LATENCY, "cache_misses", "set_eviction_policy"),
            "flushed": Kind(cache.draw_flushed, _LATENCY, "cache_misses", "warm_cache"),
            "ttl": Kind(cache.draw_ttl, _LATENCY, "bad_deployment", "restore_configuration"),
        },
    ),
    "network_delay": FaultType(
        "the network of some pods of orders is slow",
        {None: Kind(network.draw_delay, _LATENCY, "network_slow", "delete_pods")},
    ),
    "healthy": FaultType("nothing is wrong, and nothing may be found", {None: Kind(_nothing, _ERRORS, None, None)}),
}


def draw_together(
    names: Sequence[str], *, seed: int, intensity: float | None = None, kind: str | None = None
) -> tuple[Fault, ...]:
    """Draw several faults, each named as `bad_deployment` or `bad_deployment:pool`; `kind` is for those that come in kinds and
    name none. Raises UnknownFaultError.
    """
    chosen = [name.partition(":")[::2] for name in names]
    if kind and not any(comes_in_kinds(name) and not own for name, own in chosen):
        raise UnknownFaultError(f"none of {', '.join(names)} comes in kinds that are left open; found --kind {kind}")
    return tuple(
        draw(name, seed=seed, intensity=intensity, kind=own or (kind if comes_in_kinds(name) else None)) for name, own in chosen
    )


def comes_in_kinds(name: str) -> bool:
    """Tell whether there is a fault of this name that comes about in several ways."""
    return name in FAULTS and None not in FAULTS[name].kinds


def draw(name: str, *, seed: int, intensity: float | None = None, kind: str | None = None) -> Fault:
    """Draw a fault: the same for the same arguments, in every process.

    intensity: above 0 and up to 1, the worst; without one the seed chooses among the upper half. kind: without one the seed
    chooses. Raises UnknownFaultError.
    """
    if name not in FAULTS:
        raise UnknownFaultError(f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
    found = FAULTS[name]
    if kind is not None and kind not in found.kinds:
        known = ", ".join(key for key in found.kinds if key) or "none"
        raise UnknownFaultError(f"{name} has no kind {kind!r}; its kinds: {known}")
    if intensity is not None and not 0 < intensity <= 1:
        raise UnknownFaultError(f"an intensity is above 0 and at most 1; found {intensity:g}")
    # Each drawn from a generator of its own: giving one of them leaves the others as the seed has them.
    chosen_kind = kind or random.Random(f"{name}/{seed}/kind").choice(list(found.kinds))
    chosen_intensity = intensity or round(random.Random(f"{name}/{seed}/intensity").uniform(0.5, 1.0), 2)
    way = found.kinds[chosen_kind]
    text, steps = way.draw(random.Random(f"{name}/{seed}/{chosen_kind}"), chosen_intensity)
    return Fault(
        name=name,
        kind=chosen_kind,
        seed=seed,
        intensity=chosen_intensity,
        text=text,
        steps=steps,
        runbook=way.runbook,
        cause=way.cause,
        cure=way.cure,
        target=way.target,
        shows_after_seconds=way.shows_after_seconds,
    )
