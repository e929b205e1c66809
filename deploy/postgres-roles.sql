-- Two roles for the runbooks, for the database of one service: `runbook` looks, `runbook_operator` changes what is approved.
--
--   psql -d shop -f deploy/postgres-roles.sql      as a superuser, or as the administrator that a provider gives (rds_superuser, …)
--   \password runbook                              and for runbook_operator; or however you hand out credentials
--
-- Name them in the service file: connections.postgres.dsn and .operator_dsn, the passwords as references.

-- Sees what every session does (pg_monitor), and changes nothing. The limit leaves room for several incidents at once, and none
-- for using up the server.
CREATE ROLE runbook LOGIN CONNECTION LIMIT 20 IN ROLE pg_monitor;
ALTER ROLE runbook SET default_transaction_read_only = on;

-- EXPLAIN of a statement that runs tells the index it lacks, to whoever may read its tables:
-- GRANT SELECT ON ALL TABLES IN SCHEMA public TO runbook;

-- Cancels statements and ends sessions, of everybody but superusers: cancel_statement, terminate_session.
CREATE ROLE runbook_operator LOGIN CONNECTION LIMIT 10 IN ROLE pg_monitor, pg_signal_backend;

-- create_index makes it as the owner of the table, who may:
-- GRANT shop_owner TO runbook_operator;
