"""What two signs of a high error rate say together: which of them a change explains, and whose doing they are."""

from __future__ import annotations

from runbook_lib.models.cause import Conjunction

__all__ = ["CALLS_WITHOUT_CPU", "ERROR_CONJUNCTIONS", "OF_THE_POOL", "POOL_WITHOUT_CPU"]

OF_THE_POOL = ("pool_saturated", "pool_starved", "log_database_pool_errors")
"""The signs that no connection is free."""

_DIFF_EXPLAINS_POOL_LOGS = Conjunction(
    name="diff_explains_pool_errors",
    all_of=("diff_shrinks_pool", "log_database_pool_errors"),
    text="no connection is free since a change made the pool smaller",
    close_in_time=True,
)
_DIFF_EXPLAINS_DOWNSTREAM = Conjunction(
    name="diff_explains_downstream",
    all_of=("diff_touches_downstream", "downstream_calls_failing"),
    none_of=("downstream_unhealthy",),
    text="calls fail since a change to where or how they are made",
    close_in_time=True,
)
_DIFF_EXPLAINS_DOWNSTREAM_LOGS = Conjunction(
    name="diff_explains_downstream_errors",
    all_of=("diff_touches_downstream", "log_downstream_errors"),
    none_of=("downstream_unhealthy",),
    text="calls fail since a change to where or how they are made",
    close_in_time=True,
)
_DIFF_EXPLAINS_MEMORY = Conjunction(
    name="diff_explains_memory",
    all_of=("diff_shrinks_memory", "memory_near_limit"),
    text="memory is short since a change lowered its limit",
)
_DATABASE_BREAKS_CONNECTIONS = Conjunction(
    name="database_breaks_connections",
    all_of=("log_database_errors",),
    none_of=("database_unreachable",),
    text="the service's connections to the database fail, while it answers others",
)
_DIFF_EXPLAINS_CONNECTION_ERRORS = Conjunction(
    name="diff_explains_connection_errors",
    all_of=("diff_changes_code", "database_breaks_connections"),
    text="the connections to the database fail since a change",
    close_in_time=True,
)
_DIFF_EXPLAINS_REFUSALS = Conjunction(
    name="diff_explains_refusals",
    all_of=("diff_changes_code", "log_database_statement_errors"),
    text="the database turns the service down since a change to it",
    close_in_time=True,
)
_NEW_VERSION_FAILS = Conjunction(
    name="new_version_fails",
    all_of=("rollout_before_onset", "errors_differ_by_version"),
    text="one version fails and the other does not",
)


def _without_cpu(*signs: str) -> tuple[Conjunction, ...]:
    """Close in time: pods that have always been short of CPU, while requests succeeded, are not what failed them."""
    return tuple(
        Conjunction(
            name=f"cpu_short_with_{sign}",
            all_of=("cpu_short", sign),
            text="requests wait in vain since the pods are short of CPU",
            close_in_time=True,
        )
        for sign in signs
    )


# Errors come of it where somebody waits no longer: for a connection, or for an answer.
POOL_WITHOUT_CPU = _without_cpu(*OF_THE_POOL)
CALLS_WITHOUT_CPU = _without_cpu("downstream_calls_failing", "log_downstream_errors")

ERROR_CONJUNCTIONS = (
    _DIFF_EXPLAINS_POOL_LOGS,
    _DIFF_EXPLAINS_DOWNSTREAM,
    _DIFF_EXPLAINS_DOWNSTREAM_LOGS,
    _DIFF_EXPLAINS_MEMORY,
    _DATABASE_BREAKS_CONNECTIONS,
    _DIFF_EXPLAINS_CONNECTION_ERRORS,
    _DIFF_EXPLAINS_REFUSALS,
    _NEW_VERSION_FAILS,
    *POOL_WITHOUT_CPU,
    *CALLS_WITHOUT_CPU,
)
