-- Whether a table of a plan is none of those that the statement has locked, nor below one of them. Of a partitioned table a
-- statement locks only the partitions that it needs; a plan for any parameters names them all.
WITH RECURSIVE line AS (
    SELECT c.oid
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    UNION
    SELECT i.inhparent
    FROM line AS l
    INNER JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = l.oid
)
SELECT
    count(*) > 0
    AND NOT coalesce(
        bool_or(
            jsonb_build_array(n.nspname, c.relname) IN (
                SELECT locked.pair FROM jsonb_array_elements(%(locked)s::jsonb) AS locked (pair)
            )
        ),
        false
    )
FROM line AS l
INNER JOIN pg_catalog.pg_class AS c ON c.oid = l.oid
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
