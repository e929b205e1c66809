-- One table: its size as of the last VACUUM or ANALYZE, its columns with what the planner knows of their values, its indexes, and
-- whether this role may create one. The statistics of columns are shown only to who may read the table.
SELECT
    n.nspname::text AS schema,
    c.relname::text AS name,
    c.oid::bigint AS oid,
    c.relkind::text AS kind,
    c.relispartition AS partition,
    (CASE WHEN c.reltuples > 0 THEN c.reltuples ELSE coalesce(s.n_live_tup, 0) END)::float8 AS rows,
    (c.relpages * b.bytes)::bigint AS bytes,
    pg_get_userbyid(c.relowner)::text AS owner,
    current_user::text AS role,
    pg_has_role(current_user, c.relowner, 'USAGE') AS owned,
    has_schema_privilege(current_user, n.oid, 'CREATE') AS creates,
    (
        SELECT json_object_agg(
            a.attname,
            json_build_object(
                'type', format_type(a.atttypid, a.atttypmod),
                'width', p.avg_width,
                'distinct', CASE WHEN p.n_distinct < 0 THEN -p.n_distinct * greatest(c.reltuples, 1) ELSE p.n_distinct END,
                'top_share', coalesce(p.most_common_freqs[1], CASE WHEN p.n_distinct IS NOT NULL THEN 0 END)
            )
        )
        FROM pg_catalog.pg_attribute AS a
        LEFT JOIN pg_catalog.pg_stats AS p
            ON p.schemaname = n.nspname AND p.tablename = c.relname AND p.attname = a.attname AND NOT p.inherited
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS columns,
    coalesce(
        (
            SELECT json_agg(
                json_build_object(
                    'name', ic.relname,
                    'oid', ic.oid::bigint,
                    'columns', (
                        SELECT json_agg(a.attname ORDER BY k.position)
                        FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS k (attribute, position)
                        LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.attribute
                        WHERE k.position <= x.indnkeyatts
                    ),
                    'valid', x.indisvalid AND x.indisready,
                    'partial', x.indpred IS NOT NULL,
                    'method', am.amname,
                    'building', EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS g WHERE g.index_relid = ic.oid),
                    'comment', obj_description(ic.oid, 'pg_class')
                )
                ORDER BY ic.relname
            )
            FROM pg_catalog.pg_index AS x
            INNER JOIN pg_catalog.pg_class AS ic ON ic.oid = x.indexrelid
            INNER JOIN pg_catalog.pg_am AS am ON am.oid = ic.relam
            WHERE x.indrelid = c.oid
        ),
        '[]'
    ) AS indexes,
    coalesce(
        (
            SELECT json_agg(other.relname)
            FROM pg_catalog.pg_class AS other
            WHERE other.relnamespace = n.oid AND starts_with(other.relname, left('idx_' || c.relname, 40))
        ),
        '[]'
    ) AS taken
FROM pg_catalog.pg_class AS c
CROSS JOIN (SELECT current_setting('block_size')::bigint AS bytes) AS b
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid = c.oid
WHERE n.nspname = %(schema)s AND c.relname = %(table)s
