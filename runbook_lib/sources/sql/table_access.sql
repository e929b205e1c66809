-- The counters of each table since the statistics were last reset, and the pages of the whole database.
-- After a crash or a reset, and on a standby, no rows are counted: then there are as many as at the last VACUUM or ANALYZE.
SELECT
    s.schemaname::text AS schema,
    s.relname::text AS "table",
    greatest(s.n_live_tup, c.reltuples::bigint) AS live_rows,
    s.n_dead_tup AS dead_rows,
    s.seq_scan AS sequential_scans,
    s.seq_tup_read AS sequential_rows,
    coalesce(s.idx_scan, 0) AS index_scans,
    s.last_autovacuum AS last_autovacuum_at,
    greatest(s.last_analyze, s.last_autoanalyze) AS last_analyze_at,
    d.blks_hit,
    d.blks_read,
    s.n_mod_since_analyze AS modified_rows,
    coalesce(d.stats_reset, pg_postmaster_start_time()) AS reset_at
FROM pg_catalog.pg_stat_user_tables AS s
INNER JOIN pg_catalog.pg_class AS c ON c.oid = s.relid
CROSS JOIN pg_catalog.pg_stat_database AS d
WHERE d.datname = current_database()
ORDER BY s.seq_tup_read DESC
LIMIT %(limit)s
