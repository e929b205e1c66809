-- Indexes of the shop's tables that the schema does not make, or not so: those of people and of runbooks, and INVALID ones.
SELECT c.relname, format('DROP INDEX %I.%I', n.nspname, c.relname) AS statement
FROM pg_index AS x
JOIN pg_class AS c ON c.oid = x.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_class AS t ON t.oid = x.indrelid
WHERE t.relowner = 'shop_owner'::regrole
  AND t.relkind = 'r'
  AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid)
  AND NOT (
    x.indisvalid
    AND pg_get_indexdef(c.oid) = 'CREATE INDEX order_archive_customer ON public.order_archive USING btree (customer)'
  );
