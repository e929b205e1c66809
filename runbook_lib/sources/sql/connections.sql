-- Client connections by who holds them and in what state; the oldest in that state, in seconds.
-- Without the rights of pg_monitor the state of other roles' sessions is null: they count as `hidden`.
SELECT
    coalesce(application_name, '') AS application,
    coalesce(usename::text, '') AS "user",
    coalesce(datname::text, '') AS database,
    CASE WHEN state IS NULL AND backend_type IS NULL THEN 'hidden' ELSE coalesce(state, 'starting') END AS state,
    coalesce(host(client_addr), CASE WHEN backend_type IS NULL THEN '' ELSE 'local' END) AS client,
    count(*)::int AS count,
    max(extract(epoch FROM clock_timestamp() - coalesce(state_change, backend_start)))::float8 AS oldest_seconds
FROM pg_catalog.pg_stat_activity
WHERE coalesce(backend_type, 'client backend') = 'client backend' AND usesysid IS NOT NULL AND datid IS NOT NULL
GROUP BY 1, 2, 3, 4, 5
ORDER BY count DESC, oldest_seconds DESC NULLS LAST
