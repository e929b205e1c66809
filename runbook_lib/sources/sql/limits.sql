-- How many connections the server takes, how many it has, and since when it runs.
-- Reserved slots: superuser_reserved_connections everywhere, reserved_connections from PostgreSQL 16 on, and what Amazon RDS keeps.
-- Sessions whose details this role may not see have no backend_type; they are client sessions as far as anybody can tell, if they are in a database.
SELECT
    current_setting('max_connections')::int AS max_connections,
    (
        SELECT coalesce(sum(setting::int), 0)::int
        FROM pg_catalog.pg_settings
        WHERE name IN ('superuser_reserved_connections', 'reserved_connections', 'rds.rds_superuser_reserved_connections')
    ) AS reserved_connections,
    (
        SELECT count(*)::int
        FROM pg_catalog.pg_stat_activity
        WHERE coalesce(backend_type, 'client backend') = 'client backend' AND usesysid IS NOT NULL AND datid IS NOT NULL
    ) AS used_connections,
    (SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = current_user) AS role_limit,
    (SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = current_database()) AS database_limit,
    (
        SELECT coalesce(array_agg(r.rolname::text ORDER BY r.rolname), '{}')
        FROM pg_catalog.pg_roles AS r
        WHERE
            r.rolconnlimit >= 0 AND NOT r.rolsuper
            AND (SELECT count(*) FROM pg_catalog.pg_stat_activity AS a WHERE a.usesysid = r.oid) >= r.rolconnlimit
    ) AS full_roles,
    pg_postmaster_start_time() AS started_at,
    current_setting('server_version') AS version,
    pg_is_in_recovery() AS in_recovery
