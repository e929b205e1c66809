-- The prepared transactions of this database that somebody waits for, as one session of pid 0 more.
-- They belong to no session: pg_blocking_pids gives 0 for them, and they show in pg_locks without a pid. The lock on its own number,
-- which each holds, tells under which virtual number the others stand: PostgreSQL 17 has changed how that is formed.
SELECT
    0 AS pid,
    'prepared transaction' AS application,
    coalesce(min(p.owner::text), '') AS "user",
    current_database()::text AS database,
    '' AS client,
    'prepared' AS kind,
    'prepared' AS state,
    '' AS wait_event,
    NULL::timestamptz AS backend_start,
    min(p.prepared) AS transaction_start,
    NULL::timestamptz AS query_start,
    extract(epoch FROM clock_timestamp() - min(p.prepared))::float8 AS state_seconds,
    extract(epoch FROM clock_timestamp() - min(p.prepared))::float8 AS transaction_seconds,
    string_agg('ROLLBACK PREPARED ' || quote_literal(p.gid), '; ' ORDER BY p.prepared) AS query,
    '{}'::int[] AS blocked_by
FROM pg_catalog.pg_prepared_xacts AS p
WHERE
    p.database = current_database()
    AND EXISTS (
        SELECT 1
        FROM pg_catalog.pg_locks AS itself
        INNER JOIN pg_catalog.pg_locks AS held ON held.virtualtransaction = itself.virtualtransaction
        INNER JOIN pg_catalog.pg_locks AS wanted
            ON
                wanted.locktype = held.locktype
                AND wanted.database IS NOT DISTINCT FROM held.database
                AND wanted.relation IS NOT DISTINCT FROM held.relation
                AND wanted.page IS NOT DISTINCT FROM held.page
                AND wanted.tuple IS NOT DISTINCT FROM held.tuple
                AND wanted.transactionid IS NOT DISTINCT FROM held.transactionid
                AND wanted.classid IS NOT DISTINCT FROM held.classid
                AND wanted.objid IS NOT DISTINCT FROM held.objid
                AND wanted.objsubid IS NOT DISTINCT FROM held.objsubid
        WHERE
            itself.transactionid = p.transaction AND itself.pid IS NULL AND itself.granted
            AND held.pid IS NULL AND held.granted
            AND NOT wanted.granted
    )
HAVING count(*) > 0
