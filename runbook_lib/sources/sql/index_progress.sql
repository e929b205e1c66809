-- How far the building of an index is: its phase, what of that phase is done, and whose transaction it waits for.
SELECT
    phase,
    greatest(blocks_done, tuples_done)::float8 AS done,
    greatest(blocks_total, tuples_total)::float8 AS total,
    nullif(current_locker_pid, 0) AS waits_for
FROM pg_catalog.pg_stat_progress_create_index
WHERE pid = %(pid)s
