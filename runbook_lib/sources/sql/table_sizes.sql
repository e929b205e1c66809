-- The largest tables, by oid: a size by a name put together from text fails on every name that needs quotes.
-- Sizes are measured for the tables that were large at their last ANALYZE or have many rows, so that a catalogue of a hundred
-- thousand tables stays quick. Measuring waits for an exclusive lock on the table; table_size_estimates.sql does not.
WITH candidates AS (
    SELECT c.oid, n.nspname, c.relname
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class AS toast ON toast.oid = c.reltoastrelid
    LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid = c.oid
    WHERE
        c.relkind IN ('r', 'm')
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND n.nspname NOT LIKE 'pg\_toast%%'
        AND n.nspname NOT LIKE 'pg\_temp%%'
    ORDER BY greatest(c.relpages, 0) + greatest(toast.relpages, 0) + coalesce(s.n_live_tup + s.n_dead_tup, 0) / 50 DESC
    LIMIT greatest(%(limit)s * 5, 500)
)
SELECT
    c.nspname::text AS schema,
    c.relname::text AS "table",
    pg_total_relation_size(c.oid) AS total_bytes,
    pg_table_size(c.oid) AS table_bytes,
    pg_indexes_size(c.oid) AS index_bytes,
    s.n_live_tup AS live_rows,
    s.n_dead_tup AS dead_rows,
    s.last_autovacuum AS last_autovacuum_at
FROM candidates AS c
LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid = c.oid
ORDER BY total_bytes DESC NULLS LAST
LIMIT %(limit)s
