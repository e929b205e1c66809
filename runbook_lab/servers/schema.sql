-- The shop's database, as PostgreSQL's single-user mode reads it: a statement ends with a semicolon and an empty line.
-- All but the roles can be run again, on a database that somebody has changed.
-- $orders_password and $runbook_password are put in as literals.

CREATE ROLE shop_owner NOLOGIN;

CREATE ROLE orders LOGIN PASSWORD $orders_password;

-- Sees what every session does, and may read the shop's tables: who may not is not told by EXPLAIN how a statement reads them.
CREATE ROLE runbook LOGIN PASSWORD $runbook_password IN ROLE pg_monitor;

-- Ends sessions that are in the way, and makes indexes as the tables' owner may, for those who act. A superuser, because who
-- works by hand here does so as `postgres`, and PostgreSQL lets nobody else end the sessions of a superuser.
CREATE ROLE runbook_operator LOGIN SUPERUSER PASSWORD $runbook_password IN ROLE pg_monitor, pg_signal_backend;

-- Writes new prices; logs in without a password, from the database's own pod.
CREATE ROLE price_import LOGIN;

ALTER ROLE runbook SET default_transaction_read_only = on;

GRANT shop_owner TO runbook_operator;

GRANT CREATE ON SCHEMA public TO shop_owner;

CREATE TABLE IF NOT EXISTS products (
    sku text PRIMARY KEY,
    name text NOT NULL,
    price numeric(10, 2) NOT NULL CHECK (price > 0)
);

INSERT INTO products VALUES
    ('anvil', 'Anvil, 50 kg', 89.00), ('glue', 'Instant glue', 4.20), ('magnet', 'Giant magnet', 120.00),
    ('paint', 'Tunnel paint', 17.50), ('rocket', 'Rocket, small', 349.00), ('rope', 'Rope, 20 m', 12.90),
    ('skates', 'Jet-propelled skates', 199.00), ('spring', 'Boot springs', 45.00)
ON CONFLICT (sku) DO UPDATE SET name = excluded.name, price = excluded.price;

CREATE TABLE IF NOT EXISTS orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL,
    sku text NOT NULL REFERENCES products,
    quantity integer NOT NULL CHECK (quantity > 0),
    amount numeric(12, 2) NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE IF NOT EXISTS order_journal (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint NOT NULL REFERENCES orders,
    event text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The orders of earlier years, at which customers look now and then.
CREATE TABLE IF NOT EXISTS order_archive (
    id bigint PRIMARY KEY,
    customer text NOT NULL,
    sku text NOT NULL,
    quantity integer NOT NULL,
    amount numeric(12, 2) NOT NULL,
    placed_on date NOT NULL
);

INSERT INTO order_archive
SELECT
    n,
    'customer-' || n * 7919 % 10000,
    (ARRAY['anvil', 'glue', 'magnet', 'paint', 'rocket', 'rope', 'skates', 'spring'])[1 + n % 8],
    1 + n % 7,
    17.50,
    date '2019-01-01' + n % 2000
FROM generate_series(1, 50000) AS n
WHERE NOT EXISTS (SELECT FROM order_archive);

CREATE INDEX IF NOT EXISTS order_archive_customer ON order_archive (customer);

ANALYZE order_archive;

-- The pause stands for a disk: the pages of old orders are not in memory, and are read a stretch at a time. The planner is told
-- that this costs nothing, so that every row that is looked at has been read first.
CREATE OR REPLACE FUNCTION is_read(id bigint) RETURNS boolean
LANGUAGE plpgsql COST 0.01 AS $$body$$
BEGIN
    IF id % 400 = 0 THEN
        PERFORM pg_sleep(0.01);
    END IF;
    RETURN true;
END
$$body$$;

ALTER FUNCTION is_read OWNER TO shop_owner;

ALTER TABLE order_archive OWNER TO shop_owner;

ALTER TABLE products OWNER TO shop_owner;

ALTER TABLE orders OWNER TO shop_owner;

ALTER TABLE order_journal OWNER TO shop_owner;

-- The pause stands for what a real shop does here: credit, fraud, vouchers. It makes an order hold its connection for about an
-- eighth of a second, so that the size of the pool matters at the lab's small load.
CREATE OR REPLACE FUNCTION place_order(customer text, sku text, quantity integer, amount numeric, status text) RETURNS bigint
LANGUAGE plpgsql AS $$body$$
DECLARE
    placed bigint;
BEGIN
    PERFORM pg_sleep(0.115 + 0.04 * random());
    INSERT INTO orders (customer, sku, quantity, amount, status)
    VALUES ($$1, $$2, $$3, $$4, $$5) RETURNING id INTO placed;
    INSERT INTO order_journal (order_id, event) VALUES (placed, 'placed');
    RETURN placed;
END
$$body$$;

ALTER FUNCTION place_order OWNER TO shop_owner;

GRANT SELECT ON products, orders, order_archive TO orders;

GRANT SELECT ON products, orders, order_archive, order_journal TO runbook;

GRANT SELECT, UPDATE ON products TO price_import;

GRANT INSERT, UPDATE ON orders, order_journal TO orders;

GRANT SELECT ON order_journal TO orders;
