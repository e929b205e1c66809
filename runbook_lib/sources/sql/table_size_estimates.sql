-- The largest tables as of their last VACUUM or ANALYZE, without a lock on any of them.
SELECT
    n.nspname::text AS schema,
    c.relname::text AS "table",
    (c.relpages + coalesce(toast.relpages, 0) + coalesce(i.pages, 0))::bigint * b.bytes AS total_bytes,
    (c.relpages + coalesce(toast.relpages, 0))::bigint * b.bytes AS table_bytes,
    coalesce(i.pages, 0)::bigint * b.bytes AS index_bytes,
    s.n_live_tup AS live_rows,
    s.n_dead_tup AS dead_rows,
    s.last_autovacuum AS last_autovacuum_at
FROM pg_catalog.pg_class AS c
CROSS JOIN (SELECT current_setting('block_size')::bigint AS bytes) AS b
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class AS toast ON toast.oid = c.reltoastrelid
LEFT JOIN (
    SELECT x.indrelid, sum(ic.relpages) AS pages
    FROM pg_catalog.pg_index AS x
    INNER JOIN pg_catalog.pg_class AS ic ON ic.oid = x.indexrelid
    GROUP BY x.indrelid
) AS i ON i.indrelid = c.oid
LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid = c.oid
WHERE
    c.relkind IN ('r', 'm')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname NOT LIKE 'pg\_toast%%'
    AND n.nspname NOT LIKE 'pg\_temp%%'
ORDER BY total_bytes DESC
LIMIT %(limit)s
