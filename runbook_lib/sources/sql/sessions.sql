-- Active and idle-in-transaction sessions, oldest first, those of clients before those of the server itself.
-- Ours are left out by pid and by name. Parallel workers are part of the session that they work for.
-- pg_blocking_pids takes the lock manager's locks, so that it is asked only for sessions that wait.
-- with_blockers: whoever these wait for comes, too, whatever it is doing: an idle session can hold a lock, autovacuum as well.
WITH waits AS (
    SELECT pid, pg_blocking_pids(pid) AS blocked_by
    FROM pg_catalog.pg_stat_activity
    WHERE wait_event_type = 'Lock'
)
SELECT
    a.pid,
    coalesce(a.application_name, '') AS application,
    coalesce(a.usename::text, '') AS "user",
    coalesce(a.datname::text, '') AS database,
    coalesce(host(a.client_addr), '') AS client,
    CASE
        WHEN coalesce(a.backend_type, 'client backend') = 'client backend' THEN 'client'
        WHEN a.backend_type LIKE 'autovacuum%%' THEN 'autovacuum'
        WHEN a.backend_type IN ('walsender', 'walreceiver') OR a.backend_type LIKE 'logical replication%%' THEN 'replication'
        ELSE 'server'
    END AS kind,
    a.state,
    coalesce(a.wait_event_type || ': ' || a.wait_event, '') AS wait_event,
    a.backend_start,
    a.xact_start AS transaction_start,
    a.query_start,
    extract(epoch FROM clock_timestamp() - CASE WHEN a.state = 'active' THEN a.query_start ELSE a.state_change END)::float8
        AS state_seconds,
    extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_seconds,
    a.query,
    coalesce(w.blocked_by, '{}') AS blocked_by
FROM pg_catalog.pg_stat_activity AS a
LEFT JOIN waits AS w ON w.pid = a.pid
WHERE
    a.pid <> pg_backend_pid()
    AND coalesce(a.application_name, '') <> %(own_name)s
    AND coalesce(a.backend_type, '') <> 'parallel worker'
    AND (
        (
            a.state IN ('active', 'idle in transaction', 'idle in transaction (aborted)', 'fastpath function call')
            AND clock_timestamp() - CASE WHEN a.state = 'active' THEN a.query_start ELSE a.state_change END
                >= make_interval(secs => %(minimum_seconds)s)
        )
        OR (%(with_blockers)s AND a.pid IN (SELECT unnest(blocked_by) FROM waits))
    )
ORDER BY
    coalesce(a.backend_type, 'client backend') = 'client backend' DESC,
    coalesce(a.xact_start, a.query_start)
LIMIT %(limit)s
