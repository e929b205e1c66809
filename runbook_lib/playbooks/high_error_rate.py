"""High error rate: more than 5 % of the requests fail with a 5xx."""

from __future__ import annotations

from runbook_lib.checks.breakers import circuit_breakers
from runbook_lib.checks.changes import recent_changes
from runbook_lib.checks.cpu import cpu
from runbook_lib.checks.database import database_connections, database_tables
from runbook_lib.checks.database_activity import database_activity
from runbook_lib.checks.downstream import downstream_health
from runbook_lib.checks.error_rate import error_breakdown, error_ratio, error_symptom
from runbook_lib.checks.key_metrics import key_metrics
from runbook_lib.checks.logs import error_logs
from runbook_lib.checks.memory import memory
from runbook_lib.checks.network_policies import network_policies
from runbook_lib.checks.pods import pod_status
from runbook_lib.models.cause import CauseRule, ExplainedBy, Remedy
from runbook_lib.playbooks.conjunctions.errors import CALLS_WITHOUT_CPU, ERROR_CONJUNCTIONS, OF_THE_POOL, POOL_WITHOUT_CPU
from runbook_lib.playbooks.conjunctions.partition import because_cut_off, cut_off, network_partition
from runbook_lib.playbooks.declaration import CheckStep, Playbook
from runbook_lib.playbooks.shared import (
    CONFIGURATION_SHRANK_POOL,
    CPU_REMEDIES,
    DIFF_EXPLAINS_CPU,
    DIFF_EXPLAINS_POOL,
    NEW_CODE_BREAKS_CONSTRAINTS,
    NEW_CODE_BROUGHT_STATEMENTS,
    NEW_CODE_BURNS_CPU,
    NEW_CODE_MISSES_SCHEMA,
    NEW_CODE_THROWS,
    POOL_IS_TURNED_DOWN,
    ROLLOUT_SHRANK_POOL,
    WHERE_A_CONSTRAINT_IS_VIOLATED,
    WHERE_NO_CACHE_ANSWERS,
    WHERE_NO_CONNECTION_COMES_ABOUT,
    WHERE_NO_REVISION_IS_KNOWN,
    WHERE_NODES_HAVE_NO_CPU,
    WHERE_THE_CACHE_REFUSES,
    WHERE_THE_DATABASE_REFUSES,
    WHERE_THE_POOL_IS_HELD,
    WHERE_THE_SCHEMA_DOES_NOT_FIT,
)

_DATABASE_CUT_OFF = cut_off(
    "database", "log_database_errors", "log_database_pool_errors", "log_database_statement_errors", "pool_starved"
)
_CALLS_CUT_OFF = cut_off("calls", "downstream_calls_failing", "log_downstream_errors")
_CACHE_CUT_OFF = cut_off("cache", "log_cache_errors")
_CUT_OFF = (*_DATABASE_CUT_OFF, *_CALLS_CUT_OFF, *_CACHE_CUT_OFF)
# The pool has no connections, since the database does not let it have any.
_POOL_ON_ITS_OWN = ("connections_held_beyond_request", "sessions_blocked")
_TURNED_DOWN = ("pool_without_sessions", *(found.name for found in POOL_IS_TURNED_DOWN))

PLAYBOOK = Playbook(
    name="high_error_rate",
    title="High error rate",
    when_to_use=(
        "The alert 'error rate exceeds 5 % for 5 minutes', a spike of 5xx on the dashboard, or customers whose operations fail."
    ),
    alert="HighErrorRate",
    symptom=error_symptom,
    symptom_checks=("error_ratio",),
    checks=(
        CheckStep(name="error_ratio", title="Error rate", run=error_ratio, needs=("prometheus",)),
        CheckStep(name="key_metrics", title="Key metrics", run=key_metrics, needs=("prometheus",)),
        CheckStep(name="error_logs", title="Errors in the logs", run=error_logs, needs=("logs",)),
        CheckStep(name="error_breakdown", title="Which requests fail", run=error_breakdown, needs=("prometheus",)),
        CheckStep(
            name="database_connections", title="Database connections", run=database_connections, needs=("prometheus", "postgres")
        ),
        CheckStep(name="database_activity", title="What the database is doing", run=database_activity, needs=("postgres",)),
        CheckStep(name="database_tables", title="Table sizes", run=database_tables, needs=("postgres",)),
        CheckStep(name="downstream_health", title="Downstream services", run=downstream_health, needs=("prometheus", "http")),
        CheckStep(name="circuit_breakers", title="Circuit breakers", run=circuit_breakers, needs=("http",)),
        CheckStep(name="cpu", title="CPU", run=cpu, needs=("prometheus",)),
        CheckStep(name="memory", title="Memory", run=memory, needs=("prometheus", "kubernetes")),
        CheckStep(name="pod_status", title="Pods", run=pod_status, needs=("kubernetes",)),
        CheckStep(name="network_policies", title="Network policies", run=network_policies, needs=("kubernetes",)),
        CheckStep(name="recent_changes", title="Recent changes", run=recent_changes, needs=("kubernetes",)),
    ),
    conjunctions=(
        *ERROR_CONJUNCTIONS,
        DIFF_EXPLAINS_POOL,
        ROLLOUT_SHRANK_POOL,
        CONFIGURATION_SHRANK_POOL,
        NEW_CODE_THROWS,
        NEW_CODE_MISSES_SCHEMA,
        NEW_CODE_BREAKS_CONSTRAINTS,
        NEW_CODE_BROUGHT_STATEMENTS,
        NEW_CODE_BURNS_CPU,
        DIFF_EXPLAINS_CPU,
        *POOL_IS_TURNED_DOWN,
        *_CUT_OFF,
    ),
    causes=(
        CauseRule(
            name="db_pool_exhausted",
            title="Database connection pool exhausted",
            mechanism=(
                ("pool_saturated", "server_connections_exhausted", "log_database_pool_errors"),
                ("pool_starved", "log_database_pool_errors"),
            ),
            supports=("role_connections_exhausted", "connections_held_beyond_request", "sessions_blocked"),
            explained_by=(
                ExplainedBy(cause="bad_deployment", when=("diff_explains_pool",)),
                ExplainedBy(cause="bad_deployment", when=("diff_explains_pool_errors",)),
                ExplainedBy(cause="bad_deployment", when=("rollout_shrank_pool",)),
                ExplainedBy(cause="bad_deployment", when=("configuration_shrank_pool",)),
                *because_cut_off(_DATABASE_CUT_OFF),
                ExplainedBy(cause="database_unavailable"),
                *(ExplainedBy(cause="database_refuses", when=(name,)) for name in _TURNED_DOWN),
                ExplainedBy(
                    cause="downstream_timeout",
                    when=("connections_wait_in_transaction",),
                    unless=_POOL_ON_ITS_OWN,
                ),
                ExplainedBy(cause="slow_statements", when=("statements_slow",), unless=_POOL_ON_ITS_OWN),
                *(ExplainedBy(cause="cpu_exhaustion", when=(one.name,), unless=_POOL_ON_ITS_OWN) for one in POOL_WITHOUT_CPU),
            ),
            remedies=(
                # New pods wait for the same lock: nothing helps while somebody holds it.
                Remedy(action="terminate_session", when=("sessions_blocked",), unless=("sessions_blocked_by_prepared",)),
                # Nor do they get the connections that the database keeps from their role.
                Remedy(action="restart_pods", unless=("sessions_blocked", "role_connections_exhausted")),
                Remedy(
                    action="raise_pool_size",
                    unless=("sessions_blocked", "server_connections_exhausted", "role_connections_exhausted"),
                ),
            ),
            by_hand=WHERE_THE_POOL_IS_HELD,
        ),
        CauseRule(
            name="downstream_timeout",
            title="A downstream service fails or does not answer in time",
            mechanism=(("downstream_calls_failing", "log_downstream_errors"),),
            supports=("downstream_slow", "downstream_unhealthy"),
            explained_by=(
                ExplainedBy(cause="bad_deployment", when=("diff_explains_downstream",)),
                ExplainedBy(cause="bad_deployment", when=("diff_explains_downstream_errors",)),
                *because_cut_off(_CALLS_CUT_OFF),
                # Who gets no processor hears an answer late.
                *(
                    ExplainedBy(cause="cpu_exhaustion", when=(one.name,), unless=("downstream_unhealthy",))
                    for one in CALLS_WITHOUT_CPU
                ),
            ),
            remedies=(Remedy(action="open_circuit_breaker"),),
        ),
        CauseRule(
            name="slow_statements",
            title="Statements of the database take long",
            mechanism=(("statements_slow",), OF_THE_POOL),
            onset=("statements_slow", *OF_THE_POOL),
            explained_by=(
                ExplainedBy(cause="bad_deployment", when=("new_code_brought_statements",)),
                # Who gets no processor is late to take what the database has long answered.
                *(ExplainedBy(cause="cpu_exhaustion", when=(one.name,)) for one in POOL_WITHOUT_CPU),
            ),
            remedies=(Remedy(action="cancel_statement", when=("statement_runs_long",)),),
            by_hand=(
                "open runbook high_latency: it names the statements that cost most, with their plans, and the index that would "
                "help. A larger pool only lets more of them run at once."
            ),
        ),
        CauseRule(
            name="cpu_exhaustion",
            title="The pods are short of CPU",
            mechanism=(tuple(one.name for one in (*POOL_WITHOUT_CPU, *CALLS_WITHOUT_CPU)),),
            onset=("cpu_short",),
            supports=("cpu_throttled",),
            explained_by=(
                ExplainedBy(cause="bad_deployment", when=("diff_explains_cpu",)),
                ExplainedBy(cause="bad_deployment", when=("new_code_burns_cpu",)),
            ),
            remedies=CPU_REMEDIES,
            by_hand=WHERE_NODES_HAVE_NO_CPU,
        ),
        CauseRule(
            name="memory_leak",
            title="Memory leak in the application",
            mechanism=(("memory_growing",), ("memory_near_limit", "oom_kills"), ("oom_kills", "log_memory_errors")),
            onset=("memory_growing",),
            supports=("log_memory_errors", "oom_kills"),
            explained_by=(ExplainedBy(cause="bad_deployment", when=("diff_explains_memory",)),),
            remedies=(Remedy(action="restart_pods"),),
        ),
        CauseRule(
            name="bad_deployment",
            title="Recent deployment",
            mechanism=(
                ("rollout_before_onset", "configuration_changed"),
                (
                    "diff_explains_pool",
                    "diff_explains_pool_errors",
                    "rollout_shrank_pool",
                    "configuration_shrank_pool",
                    "diff_explains_downstream",
                    "diff_explains_downstream_errors",
                    "diff_explains_memory",
                    "diff_explains_refusals",
                    "diff_explains_connection_errors",
                    "new_code_throws",
                    "new_code_misses_schema",
                    "new_code_breaks_constraints",
                    "new_code_brought_statements",
                    "new_code_burns_cpu",
                    "diff_explains_cpu",
                    "new_version_fails",
                ),
            ),
            onset=("rollout_before_onset", "configuration_changed"),
            supports=(
                "diff_explains_pool",
                "diff_explains_downstream",
                "new_code_throws",
                "new_code_misses_schema",
                "new_version_fails",
            ),
            remedies=(
                Remedy(action="rollback_deployment", when=("rollout_before_onset",)),
                Remedy(action="restore_configuration", when=("configuration_changed",)),
            ),
            lookback_seconds=3600,
            by_hand=WHERE_NO_REVISION_IS_KNOWN,
        ),
        CauseRule(
            name="database_unavailable",
            title="Database unavailable",
            mechanism=(("log_database_errors", "database_pods_down"), ("database_unreachable",)),
            onset=("log_database_errors", "log_database_pool_errors", "pool_starved"),
            # A policy that closes the way to it may close ours as well.
            explained_by=because_cut_off(_DATABASE_CUT_OFF),
            by_hand=(
                "bring the database back (runbook service_down looks at its pods); where they are well, look at what lies "
                "between: address, port, network policies."
            ),
        ),
        CauseRule(
            name="database_refuses",
            title="Database answers, but turns the service down",
            mechanism=(("log_database_statement_errors", "database_breaks_connections", *_TURNED_DOWN),),
            supports=("log_database_login_refused", "sessions_blocked"),
            explained_by=(
                ExplainedBy(cause="bad_deployment", when=("diff_explains_refusals",)),
                ExplainedBy(cause="bad_deployment", when=("diff_explains_connection_errors",)),
                *because_cut_off(_DATABASE_CUT_OFF),
                ExplainedBy(cause="database_unavailable"),
                ExplainedBy(cause="db_pool_exhausted", when=("sessions_blocked",)),
            ),
            by_hand=WHERE_THE_DATABASE_REFUSES,
            by_hand_when=(WHERE_NO_CONNECTION_COMES_ABOUT,),
        ),
        CauseRule(
            name="schema_mismatch",
            title="Database schema does not fit the code",
            mechanism=(("log_database_schema_errors", "log_database_constraint_errors"),),
            explained_by=(
                ExplainedBy(cause="bad_deployment", when=("new_code_misses_schema",)),
                ExplainedBy(cause="bad_deployment", when=("new_code_breaks_constraints",)),
            ),
            by_hand=WHERE_THE_SCHEMA_DOES_NOT_FIT,
            by_hand_when=(WHERE_A_CONSTRAINT_IS_VIOLATED,),
        ),
        CauseRule(
            name="cache_unavailable",
            title="Cache unavailable",
            mechanism=(("log_cache_errors",),),
            explained_by=because_cut_off(_CACHE_CUT_OFF),
            by_hand=WHERE_NO_CACHE_ANSWERS,
            by_hand_when=WHERE_THE_CACHE_REFUSES,
        ),
        network_partition(*_CUT_OFF),
    ),
    actions=(
        "restart_pods",
        "raise_pool_size",
        "cancel_statement",
        "terminate_session",
        "scale_deployment",
        "set_resources",
        "rollback_deployment",
        "restore_configuration",
        "disable_feature_flag",
        "delete_network_policy",
        "open_circuit_breaker",  # after all that starts pods anew: their breakers begin closed
    ),
    prevention=(
        "Size connection pools so that all replicas together stay below the database's max_connections, and return "
        "connections on every path.",
        "Retry with exponential backoff and jitter, only what is idempotent, and within the caller's own deadline.",
        "Put a timeout and a circuit breaker with a fallback on every downstream call.",
        "Roll out gradually (canary or blue-green) and roll back automatically on a rising error ratio.",
    ),
    not_this_issue=(("pods that are not ready, or requests that do not arrive", "service_down"),),
)
