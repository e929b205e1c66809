-- Client sessions whose details this role may not see, and who and where it is: membership of pg_monitor (or pg_read_all_stats)
-- shows them. Without a database it is the server's own, such as the launcher of logical replication, which is always there.
-- Whose they are is seen all the same: hidden_of has application, user, database and how many.
WITH hidden AS (
    SELECT
        coalesce(application_name, '') AS application,
        coalesce(usename::text, '') AS "user",
        datname::text AS database,
        count(*)::int AS count
    FROM pg_catalog.pg_stat_activity
    WHERE backend_type IS NULL AND usesysid IS NOT NULL AND datid IS NOT NULL AND query = '<insufficient privilege>'
    GROUP BY 1, 2, 3
)
SELECT
    coalesce(sum(count), 0)::int AS hidden,
    current_user::text AS "user",
    current_database()::text AS database,
    coalesce(jsonb_agg(jsonb_build_array(application, "user", database, count)), '[]') AS hidden_of
FROM hidden
