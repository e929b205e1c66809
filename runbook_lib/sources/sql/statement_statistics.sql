-- Of the statements that our role may not see there is neither text nor id.
-- What the statements of this database have cost since the statistics were reset; those within functions count for their caller.
-- The words in braces depend on the version of the extension, and on whether texts are asked for: see postgres_statistics.py.
SELECT
    coalesce(s.queryid::text, '') || ' ' || s.userid::text AS key,
    coalesce(s.queryid::text, '') AS query_id,
    coalesce(pg_get_userbyid(s.userid)::text, '') AS "user",
    coalesce(left(s.query, 4000), '') AS query,
    s.calls,
    s.total_exec_time / 1000 AS seconds,
    s.rows,
    s.shared_blks_hit,
    s.shared_blks_read,
    {since} AS since
FROM {schema}.pg_stat_statements({texts}) AS s
WHERE
    s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND {toplevel}
ORDER BY s.total_exec_time DESC
LIMIT %(limit)s
