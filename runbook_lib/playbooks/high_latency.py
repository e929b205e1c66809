"""High latency: 5 % of the requests take longer than a second."""

from __future__ import annotations

from runbook_lib.checks.breakers import circuit_breakers
from runbook_lib.checks.cache import cache_health
from runbook_lib.checks.changes import recent_changes
from runbook_lib.checks.connectivity import connectivity
from runbook_lib.checks.cpu import cpu
from runbook_lib.checks.database import database_connections
from runbook_lib.checks.database_activity import database_activity
from runbook_lib.checks.downstream_latency import downstream_latency
from runbook_lib.checks.key_metrics import key_metrics
from runbook_lib.checks.latency import latency, latency_breakdown, latency_symptom
from runbook_lib.checks.logs import error_logs
from runbook_lib.checks.memory import memory
from runbook_lib.checks.missing_index import missing_index
from runbook_lib.checks.network_policies import network_policies
from runbook_lib.checks.node_pressure import node_pressure
from runbook_lib.checks.pods import pod_status
from runbook_lib.checks.statements import statements
from runbook_lib.checks.table_access import table_access
from runbook_lib.models.cause import CauseRule, ExplainedBy, Remedy
from runbook_lib.playbooks.conjunctions.latency import LATENCY_CONJUNCTIONS
from runbook_lib.playbooks.conjunctions.partition import because_cut_off, cut_off, network_partition
from runbook_lib.playbooks.declaration import CheckStep, Playbook
from runbook_lib.playbooks.shared import (
    CONFIGURATION_SHRANK_POOL,
    CPU_REMEDIES,
    DIFF_EXPLAINS_POOL,
    ROLLOUT_SHRANK_POOL,
    WHERE_NO_CACHE_ANSWERS,
    WHERE_NO_REVISION_IS_KNOWN,
    WHERE_NO_SESSION_HOLDS_THE_LOCK,
    WHERE_NODES_HAVE_NO_CPU,
    WHERE_THE_CACHE_IS_A_REPLICA,
    WHERE_THE_CACHE_REFUSES,
    WHERE_THE_POOL_IS_HELD,
)

_BY_A_CHANGE = (
    "diff_explains_pool", "rollout_shrank_pool", "configuration_shrank_pool", "diff_explains_calls", "diff_explains_cache",
    "lifetime_explains_cache", "diff_explains_cpu", "new_code_burns_cpu", "new_code_brought_statements", "new_version_is_slow",
    "new_code_is_slow",
)  # fmt: skip
_DATABASE_CUT_OFF = cut_off("database", "pool_saturated", "log_database_errors", "log_database_pool_errors")
_CALLS_CUT_OFF = cut_off("calls", "downstream_takes_time", "log_downstream_errors")
_CACHE_CUT_OFF = cut_off("cache", "cache_misses_high", "log_cache_errors")
_CUT_OFF = (*_DATABASE_CUT_OFF, *_CALLS_CUT_OFF, *_CACHE_CUT_OFF)

PLAYBOOK = Playbook(
    name="high_latency",
    title="High latency",
    when_to_use="The alert 'p95 latency exceeds 1000 ms for 10 minutes', a spike on the dashboard, or pages that load slowly.",
    alert="HighLatency",
    symptom=latency_symptom,
    symptom_checks=("latency",),
    checks=(
        CheckStep(name="latency", title="Latency", run=latency, needs=("prometheus",)),
        CheckStep(name="key_metrics", title="Key metrics", run=key_metrics, needs=("prometheus",)),
        CheckStep(name="latency_breakdown", title="Which requests are slow", run=latency_breakdown, needs=("prometheus",)),
        CheckStep(name="database_activity", title="What the database is doing", run=database_activity, needs=("postgres",)),
        CheckStep(
            name="database_connections", title="Database connections", run=database_connections, needs=("prometheus", "postgres")
        ),
        CheckStep(name="table_access", title="How tables are read", run=table_access, needs=("postgres",)),
        CheckStep(name="statements", title="Which statements take the time", run=statements, needs=("postgres", "prometheus")),
        CheckStep(name="missing_index", title="The index that would help", run=missing_index, needs=("postgres",)),
        CheckStep(name="cache_health", title="Cache", run=cache_health, needs=("redis",)),
        CheckStep(name="node_pressure", title="Nodes", run=node_pressure, needs=("kubernetes",)),
        CheckStep(name="cpu", title="CPU", run=cpu, needs=("prometheus",)),
        CheckStep(
            name="connectivity",
            title="Connections from inside the pods",
            run=connectivity,
            needs=("kubernetes", "prometheus"),
        ),
        CheckStep(name="memory", title="Memory", run=memory, needs=("prometheus", "kubernetes")),
        CheckStep(name="downstream_latency", title="Calls to other services", run=downstream_latency, needs=("prometheus",)),
        CheckStep(name="network_policies", title="Network policies", run=network_policies, needs=("kubernetes",)),
        CheckStep(name="circuit_breakers", title="Circuit breakers", run=circuit_breakers, needs=("http",)),
        CheckStep(name="pod_status", title="Pods", run=pod_status, needs=("kubernetes",)),
        CheckStep(name="recent_changes", title="Recent changes", run=recent_changes, needs=("kubernetes",)),
        CheckStep(name="error_logs", title="Errors in the logs", run=error_logs, needs=("logs",)),
    ),
    conjunctions=(DIFF_EXPLAINS_POOL, ROLLOUT_SHRANK_POOL, CONFIGURATION_SHRANK_POOL, *LATENCY_CONJUNCTIONS, *_CUT_OFF),
    causes=(
        CauseRule(
            name="lock_contention",
            title="Statements wait for a lock",
            mechanism=(("statements_wait_for_locks",),),
            supports=("sessions_blocked",),
            remedies=(
                Remedy(action="cancel_statement", when=("blocker_at_work",)),
                Remedy(action="terminate_session", unless=("blocker_is_no_session",)),
            ),
            by_hand=WHERE_NO_SESSION_HOLDS_THE_LOCK,
        ),
        CauseRule(
            name="slow_statements",
            title="Statements of the database take long",
            mechanism=(("statements_slow", "statements_regressed"),),
            onset=("statements_slow", "statements_regressed", "tables_scanned"),
            supports=("tables_scanned", "index_missing"),
            explained_by=(
                ExplainedBy(cause="lock_contention", unless=("index_missing",)),
                ExplainedBy(cause="bad_deployment", when=("new_code_brought_statements",)),
            ),
            remedies=(
                Remedy(action="cancel_statement", when=("statement_runs_long",)),
                Remedy(action="create_index", when=("index_missing",)),
            ),
            by_hand="take the statements that cost most to those who wrote them, with their plans (EXPLAIN).",
        ),
        CauseRule(
            name="cache_misses",
            title="The cache answers too few look-ups",
            mechanism=(("cache_misses_high",),),
            supports=("cache_full", "cache_refuses_writes", "cache_limit_lowered", "cache_expires_early", "log_cache_errors"),
            explained_by=(
                *because_cut_off(_CACHE_CUT_OFF),
                ExplainedBy(cause="cache_unavailable"),
                ExplainedBy(cause="cache_slow"),
                ExplainedBy(cause="bad_deployment", when=("diff_explains_cache",)),
                ExplainedBy(cause="bad_deployment", when=("lifetime_explains_cache",)),
            ),
            remedies=(
                Remedy(action="raise_cache_memory", when=("cache_limit_lowered",), unless=("cache_is_replica",)),
                # Writes are refused for other reasons, too, which no policy mends.
                Remedy(
                    action="set_eviction_policy",
                    when=("cache_refuses_writes", "cache_full"),
                    unless=("cache_is_replica", "cache_refuses"),
                ),
                Remedy(
                    action="warm_cache",
                    unless=(
                        "cache_full",
                        "cache_expires_early",
                        "cache_connects_fail",
                        "cache_refuses",
                        "log_cache_refuses",
                        "cache_refuses_writes",
                        "cache_answers_late",
                    ),
                ),
                Remedy(action="set_cache_ttl", when=("cache_expires_early",), unless=("cache_full", "cache_is_replica")),
            ),
            by_hand_when=(WHERE_THE_CACHE_IS_A_REPLICA,),
            by_hand="find out what fills the cache, and what stopped filling it; give it more memory or what it lacks.",
        ),
        CauseRule(
            name="cache_unavailable",
            title="The cache cannot be reached, or refuses to answer",
            mechanism=(("cache_connects_fail", "cache_refuses", "log_cache_refuses"), ("cache_misses_high", "log_cache_errors")),
            onset=("cache_misses_high", "log_cache_errors"),
            explained_by=(
                ExplainedBy(cause="bad_deployment", when=("diff_explains_cache",)),
                *because_cut_off(_CACHE_CUT_OFF),
                ExplainedBy(cause="network_slow", unless=("cache_refuses", "log_cache_refuses")),
            ),
            by_hand=WHERE_NO_CACHE_ANSWERS,
            by_hand_when=WHERE_THE_CACHE_REFUSES,
        ),
        CauseRule(
            name="cache_slow",
            title="The cache answers late, or not at all",
            mechanism=(("cache_slow", "late_cache_misses", "late_cache_delays"),),
            supports=("log_cache_errors",),
            explained_by=because_cut_off(_CACHE_CUT_OFF),
            by_hand=(
                "the slow log names the command and who sent it (redis-cli slowlog get): stop that sender, or end its "
                "connection (redis-cli client kill id ...). Where it names none, somebody pauses Redis "
                "(CLIENT PAUSE; redis-cli client unpause ends it, client list shows "
                "who is connected), its process stands still, or its host swaps."
            ),
        ),
        CauseRule(
            name="cpu_exhaustion",
            title="The pods are short of CPU",
            mechanism=(("cpu_short", "node_cpu_short"),),
            supports=("cpu_throttled", "node_troubled"),
            explained_by=(
                ExplainedBy(cause="bad_deployment", when=("diff_explains_cpu",)),
                ExplainedBy(cause="bad_deployment", when=("new_code_burns_cpu",)),
            ),
            remedies=(
                *CPU_REMEDIES,
                Remedy(action="delete_pods", when=("node_cpu_short",)),
            ),
            by_hand=WHERE_NODES_HAVE_NO_CPU,
        ),
        CauseRule(
            name="network_slow",
            title="The network of the pods is slow",
            mechanism=(("network_slows_calls", "network_slows_pods"),),
            supports=("retransmits_rose",),
            # A pod that gets no processor connects slowly, too.
            explained_by=(ExplainedBy(cause="cpu_exhaustion"),),
            remedies=(Remedy(action="delete_pods"),),
        ),
        CauseRule(
            name="downstream_slow",
            title="A downstream service takes long",
            # What slows the calls to every service alike is the way to them, unless connecting is seen to be quick.
            mechanism=(("downstream_takes_time",), ("calls_differ", "connects_quick")),
            onset=("downstream_takes_time",),
            explained_by=(
                ExplainedBy(cause="bad_deployment", when=("diff_explains_calls",)),
                *because_cut_off(_CALLS_CUT_OFF),
                # Who stands still while an answer waits measures a slow answer.
                ExplainedBy(cause="cpu_exhaustion"),
            ),
            remedies=(Remedy(action="open_circuit_breaker"),),
        ),
        CauseRule(
            name="db_pool_exhausted",
            title="Database connection pool exhausted",
            mechanism=(("pool_saturated", "server_connections_exhausted"),),
            supports=("role_connections_exhausted", "connections_held_beyond_request", "log_database_pool_errors"),
            against=("pool_without_sessions",),
            explained_by=(
                ExplainedBy(cause="bad_deployment", when=("diff_explains_pool",)),
                ExplainedBy(cause="bad_deployment", when=("rollout_shrank_pool",)),
                ExplainedBy(cause="bad_deployment", when=("configuration_shrank_pool",)),
                *because_cut_off(_DATABASE_CUT_OFF),
                ExplainedBy(cause="lock_contention"),
                ExplainedBy(cause="slow_statements"),
                ExplainedBy(cause="cpu_exhaustion", unless=("connections_held_beyond_request",)),
                ExplainedBy(cause="downstream_slow", unless=("connections_held_beyond_request",)),
                # What the cache does not answer, the database is asked.
                *(
                    ExplainedBy(cause=cause, unless=("connections_held_beyond_request",))
                    for cause in ("cache_misses", "cache_unavailable", "cache_slow")
                ),
                ExplainedBy(cause="network_slow"),
            ),
            remedies=(
                Remedy(action="restart_pods", when=("connections_held_beyond_request",)),
                Remedy(action="raise_pool_size", unless=("server_connections_exhausted", "role_connections_exhausted")),
            ),
            by_hand=WHERE_THE_POOL_IS_HELD,
        ),
        CauseRule(
            name="bad_deployment",
            title="Recent deployment",
            mechanism=(("rollout_before_onset", "configuration_changed"), _BY_A_CHANGE),
            onset=("rollout_before_onset", "configuration_changed"),
            supports=("new_version_is_slow", "new_code_is_slow"),
            remedies=(
                Remedy(action="rollback_deployment", when=("rollout_before_onset",)),
                Remedy(action="restore_configuration", when=("configuration_changed",)),
            ),
            lookback_seconds=3600,
            by_hand=WHERE_NO_REVISION_IS_KNOWN,
        ),
        network_partition(*_CUT_OFF),
    ),
    actions=(
        "cancel_statement",
        "terminate_session",
        "create_index",
        "warm_cache",
        "set_eviction_policy",
        "raise_cache_memory",
        "set_cache_ttl",
        "scale_deployment",
        "set_resources",
        "raise_pool_size",
        "delete_pods",
        "restart_pods",
        "rollback_deployment",
        "restore_configuration",
        "disable_feature_flag",
        "delete_network_policy",
        "open_circuit_breaker",  # after all that starts pods anew: their breakers begin closed
    ),
    prevention=(
        "Watch the duration of each kind of statement (pg_stat_statements), and alert on what grows.",
        "Give every transaction a limit: statement_timeout, lock_timeout and idle_in_transaction_session_timeout for each role.",
        "Run batches in small transactions outside of busy hours, and in one order of tables and rows.",
        "Warm the cache when a release is deployed, and let its entries expire at different times, not all at once.",
        "Give the cache a Redis of its own, with maxmemory and allkeys-lru: who shares one evicts, or fills, what is another's.",
        "Alert on the hit ratio, on evictions and on memory above 90 % of maxmemory; each miss must be affordable.",
        "Keep KEYS, large Lua scripts and FLUSHALL from Redis in production by its ACL; they stop or empty it for everybody.",
        "Scale automatically on latency or on requests in flight, not on CPU alone.",
        "Put a timeout well below your own on every downstream call.",
        "Alert on TCP retransmits of the nodes, and on the time that connecting takes.",
    ),
    not_this_issue=(
        ("requests that fail, rather than take long", "high_error_rate"),
        ("pods that are not ready, or requests that do not arrive", "service_down"),
        ("memory that grows", "memory_leak"),
    ),
)
