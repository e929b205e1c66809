-- Who waits for a lock, and who holds or asks for it before them.
-- From pg_locks, which shows every role's locks, rather than from wait events, which pg_stat_activity hides without pg_monitor.
-- Of all databases, since locks on roles and the like are waited for across them; only this one's relations have names here.
-- Since when one waits is known from PostgreSQL 14 on (pg_locks.waitstart); before, for no longer than its statement runs, and
-- than the transaction before it: a long statement may have come to the lock only now.
-- A blocking pid of 0 is a prepared transaction: nobody's session, to be ended with ROLLBACK PREPARED.
WITH waiting AS (
    SELECT l.pid, min(l.mode) AS mode, min(CASE WHEN l.database IN (0, d.oid) THEN l.relation::regclass::text END) AS relation,
        min((to_jsonb(l) ->> 'waitstart')::timestamptz) AS since
    FROM pg_catalog.pg_locks AS l
    CROSS JOIN (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AS d
    WHERE NOT l.granted AND l.pid IS NOT NULL
    GROUP BY l.pid
)
SELECT DISTINCT
    w.pid AS blocked_pid,
    coalesce(blocked.datname::text, '') AS database,
    coalesce(blocked.application_name, '') AS blocked_application,
    coalesce(blocked.usename::text, '') AS blocked_user,
    extract(
        epoch FROM clock_timestamp() - coalesce(
            w.since,
            greatest(coalesce(blocked.query_start, blocked.xact_start), coalesce(blocking.xact_start, blocking.query_start))
        )
    )::float8 AS blocked_seconds,
    coalesce(blocked.query, '') AS blocked_query,
    blocker.pid AS blocking_pid,
    CASE WHEN blocker.pid = 0 THEN 'prepared transaction' ELSE coalesce(blocking.application_name, '') END AS blocking_application,
    coalesce(blocking.state, CASE WHEN blocker.pid = 0 THEN 'prepared' ELSE 'hidden' END) AS blocking_state,
    extract(epoch FROM clock_timestamp() - coalesce(blocking.xact_start, blocking.query_start))::float8 AS blocking_seconds,
    coalesce(blocking.query, '') AS blocking_query,
    coalesce(blocking.usename::text, '') AS blocking_user,
    CASE
        WHEN blocker.pid = 0 THEN 'prepared'
        WHEN blocking.backend_type LIKE 'autovacuum%%' THEN 'autovacuum'
        ELSE 'client'
    END AS blocking_kind,
    blocking.backend_start AS blocking_backend_start,
    coalesce(w.relation, '') AS relation,
    w.mode
FROM waiting AS w
CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS blocker (pid)
LEFT JOIN pg_catalog.pg_stat_activity AS blocked ON blocked.pid = w.pid
LEFT JOIN pg_catalog.pg_stat_activity AS blocking ON blocking.pid = blocker.pid
ORDER BY blocked_seconds DESC NULLS LAST, blocked_pid, blocking_pid
LIMIT %(limit)s
