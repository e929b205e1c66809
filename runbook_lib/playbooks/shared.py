"""Rules that several playbooks have in common."""

from __future__ import annotations

from runbook_lib.models.cache_refusal import by_hand
from runbook_lib.models.cause import ByHand, Conjunction, Remedy

__all__ = [
    "CONFIGURATION_SHRANK_POOL",
    "CPU_REMEDIES",
    "DIFF_EXPLAINS_CPU",
    "DIFF_EXPLAINS_POOL",
    "NEW_CODE_BREAKS_CONSTRAINTS",
    "NEW_CODE_BROUGHT_STATEMENTS",
    "NEW_CODE_BURNS_CPU",
    "NEW_CODE_MISSES_SCHEMA",
    "NEW_CODE_THROWS",
    "POOL_IS_TURNED_DOWN",
    "ROLLOUT_SHRANK_POOL",
    "WHERE_A_CONSTRAINT_IS_VIOLATED",
    "WHERE_NODES_HAVE_NO_CPU",
    "WHERE_NO_CACHE_ANSWERS",
    "WHERE_NO_CONNECTION_COMES_ABOUT",
    "WHERE_NO_REVISION_IS_KNOWN",
    "WHERE_NO_SESSION_HOLDS_THE_LOCK",
    "WHERE_THE_CACHE_IS_A_REPLICA",
    "WHERE_THE_CACHE_REFUSES",
    "WHERE_THE_DATABASE_REFUSES",
    "WHERE_THE_POOL_IS_HELD",
    "WHERE_THE_SCHEMA_DOES_NOT_FIT",
]

DIFF_EXPLAINS_POOL = Conjunction(
    name="diff_explains_pool",
    all_of=("diff_shrinks_pool", "pool_saturated"),
    text="the pool is full since a change made it smaller",
    close_in_time=True,
)
ROLLOUT_SHRANK_POOL = Conjunction(
    name="rollout_shrank_pool",
    all_of=("rollout_before_onset", "pool_shrank", "pool_saturated"),
    text="the pool is full since a rollout made it smaller",
    close_in_time=True,
)
CONFIGURATION_SHRANK_POOL = Conjunction(
    name="configuration_shrank_pool",
    all_of=("configuration_changed", "pool_shrank", "pool_saturated"),
    text="the pool is full since the configuration made it smaller",
    close_in_time=True,
)
NEW_CODE_THROWS = Conjunction(
    name="new_code_throws",
    all_of=("diff_changes_code", "log_application_errors"),
    text="the code throws since it was changed",
    close_in_time=True,
)
NEW_CODE_BREAKS_CONSTRAINTS = Conjunction(
    name="new_code_breaks_constraints",
    all_of=("diff_changes_code", "log_database_constraint_errors"),
    text="the code writes what the database does not allow, since it was changed",
    close_in_time=True,
)
NEW_CODE_MISSES_SCHEMA = Conjunction(
    name="new_code_misses_schema",
    all_of=("diff_changes_code", "log_database_schema_errors"),
    text="the code asks for what the database does not have, since it was changed",
    close_in_time=True,
)
DIFF_EXPLAINS_CPU = Conjunction(
    name="diff_explains_cpu",
    all_of=("diff_cuts_cpu", "cpu_short"),
    text="CPU is short since a change left the pods less of it",
    close_in_time=True,
)
NEW_CODE_BURNS_CPU = Conjunction(
    name="new_code_burns_cpu",
    all_of=("diff_changes_code", "cpu_short"),
    text="CPU is short since the code was changed",
    close_in_time=True,
)
NEW_CODE_BROUGHT_STATEMENTS = Conjunction(
    name="new_code_brought_statements",
    all_of=("diff_changes_code", "statements_slow"),
    text="statements take long since the code was changed",
    close_in_time=True,
)
POOL_IS_TURNED_DOWN = (
    Conjunction(
        name="starved_pool_is_turned_down",
        all_of=("pool_starved", "log_database_login_refused"),
        text="requests wait in vain for a connection, and the database does not let the service log in",
        close_in_time=True,
    ),
    Conjunction(
        name="logged_pool_is_turned_down",
        all_of=("log_database_pool_errors", "log_database_login_refused"),
        text="the pool has no connection to give, and the database does not let the service log in",
        close_in_time=True,
    ),
)

CPU_REMEDIES = (
    Remedy(action="scale_deployment", unless=("pods_find_no_node",)),
    Remedy(action="set_resources", when=("cpu_throttled",), unless=("node_cpu_short",)),
)

# What a person does where no action fits.
WHERE_THE_DATABASE_REFUSES = (
    "read what the server says. For a password or a right, put back the secret or the grant; for a limit on "
    "connections, lift it (ALTER ROLE ... CONNECTION LIMIT -1)."
)
WHERE_NO_CONNECTION_COMES_ABOUT = ByHand(
    text=(
        "see as whom the pods log in and why they are not let in: the database's own log names each refusal (password, role, "
        "pg_hba.conf); where it names none, they are lost on the way, and runbook service_down connects from inside the pods. "
        "Put back the secret or the role: restarts and larger pools do not help."
    ),
    when=("pool_without_sessions",),
)
WHERE_THE_SCHEMA_DOES_NOT_FIT = (
    "see which migration ran last, or did not run, and make schema and code fit: run the missing migration, or put back what was "
    "renamed or dropped. Old code needs the old schema: look at both before a rollback."
)
WHERE_A_CONSTRAINT_IS_VIOLATED = ByHand(
    text=(
        "see whether the constraint that they name is new (\\d TABLE in psql; the migrations): drop it, or let the code keep "
        "to it. Where it has long been there, look at what is written: a sequence that stands behind its column gives keys that "
        "exist (setval mends it), and somebody else's data may have changed."
    ),
    when=("log_database_constraint_errors",),
)
WHERE_NO_CACHE_ANSWERS = (
    "see whether the cache runs and answers (redis-cli ping), and bring it back; until then the service's own "
    "switch may take it out of the way."
)
WHERE_THE_CACHE_REFUSES = (
    ByHand(text=by_hand(), when=("cache_refuses",)),
    ByHand(text=by_hand(), when=("log_cache_refuses",)),
)
WHERE_THE_CACHE_IS_A_REPLICA = ByHand(
    text=(
        "make this Redis the primary (redis-cli replicaof no one), or point the service to the primary: a replica takes no "
        "writes, so that nothing fills it."
    ),
    when=("cache_is_replica",),
)
WHERE_NODES_HAVE_NO_CPU = "give the nodes room (add one, uncordon one), or take load away: fewer requests, other pods elsewhere."
WHERE_NO_REVISION_IS_KNOWN = (
    "take the change back where it was made (version control, the deployment's own tool): what was before is not known here."
)
WHERE_NO_SESSION_HOLDS_THE_LOCK = (
    "the step on what the database is doing names who holds it: a prepared transaction is taken back by ROLLBACK PREPARED, and "
    "an autovacuum that prevents wraparound is let come to its end."
)
WHERE_THE_POOL_IS_HELD = (
    "the step on the database's connections names who holds or limits them: end that first, since new pods get no more of them."
)
