-- Sessions that hold what others wait for: transactions left open, statements that take far longer than any of the shop's, and those
-- of people, who may hold locks and connections with nothing to be seen. Read-only sessions of the runbook's own role may stay.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE backend_type = 'client backend'
  AND pid <> pg_backend_pid()
  AND (
    (state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '1 second')
    OR (state = 'active' AND query_start < clock_timestamp() - interval '3 seconds')
    OR usename NOT IN ('orders', 'runbook')
    OR (usename = 'orders' AND application_name <> 'orders')
  );
