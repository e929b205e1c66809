-- What clients are at in this database, and which tables that statement has locked, if only for reading.
-- A statement that the server has cut off cannot be explained: whole says whether all of it is here.
SELECT
    a.pid,
    coalesce(a.application_name, '') AS application,
    coalesce(a.usename::text, '') AS "user",
    extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS seconds,
    a.query,
    octet_length(a.query) < pg_size_bytes(current_setting('track_activity_query_size')) - 1 AS whole,
    coalesce(
        (
            SELECT jsonb_agg(DISTINCT jsonb_build_array(n.nspname, c.relname))
            FROM pg_catalog.pg_locks AS l
            INNER JOIN pg_catalog.pg_class AS c ON c.oid = l.relation AND c.relkind IN ('r', 'm', 'p', 'f')
            INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE l.pid = a.pid AND l.granted AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        ),
        '[]'
    ) AS tables
FROM pg_catalog.pg_stat_activity AS a
WHERE
    a.pid <> pg_backend_pid()
    AND coalesce(a.application_name, '') <> %(own_name)s
    AND a.backend_type = 'client backend'
    AND a.state = 'active'
    AND a.datname = current_database()
    AND a.query_start IS NOT NULL
    AND a.query <> '<insufficient privilege>'
ORDER BY a.query_start
LIMIT %(limit)s
