-- Each statement ends with a semicolon and an empty line, and is run by itself, as the superuser, in the database `postgres`.

-- Settings that somebody has changed. What stands on the server's own command line cannot be changed this way at all.
ALTER SYSTEM RESET ALL;

SELECT pg_reload_conf();

ALTER DATABASE shop RESET ALL;

ALTER DATABASE shop WITH ALLOW_CONNECTIONS true CONNECTION LIMIT -1;

ALTER ROLE orders RESET ALL;

ALTER ROLE orders IN DATABASE shop RESET ALL;

ALTER ROLE orders WITH LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD $orders_password;

ALTER ROLE runbook WITH LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD $runbook_password;

ALTER ROLE runbook_operator WITH LOGIN SUPERUSER CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD $runbook_password;

GRANT CONNECT ON DATABASE shop TO PUBLIC;
