-- Client sessions whose details this role may not see, and who and where it is: membership of pg_monitor (or pg_read_all_stats) shows them.
SELECT count(*)::int AS hidden, current_user::text AS "user", current_database()::text AS database
FROM pg_catalog.pg_stat_activity
WHERE backend_type IS NULL AND usesysid IS NOT NULL AND query = '<insufficient privilege>'
