-- Where pg_stat_statements is, in which version, and whether our role sees the statements of others.
SELECT
    e.extversion::text AS version,
    quote_ident(n.nspname) AS schema,
    pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all,
    current_user::text AS role
FROM pg_catalog.pg_extension AS e
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'
