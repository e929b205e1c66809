"""lock_contention: a batch locks rows of products for longer than a customer waits, again and again."""

from __future__ import annotations

import random

from runbook_lab.faults.declaration import LeftRunning, Step

_SKUS = ("anvil", "glue", "magnet", "paint", "rocket", "rope", "skates", "spring")
_LEAST_SECONDS, _MORE_SECONDS = 1.55, 0.25
_PAUSE_SECONDS = 0.3
_TURNS = 10_000
# An order refers to its product, and waits for whoever has locked it FOR UPDATE.
_SQL = """
DO $$
BEGIN
    FOR turn IN 1..{turns} LOOP
        PERFORM sku FROM products WHERE sku IN ({skus}) ORDER BY sku FOR UPDATE;
        PERFORM pg_sleep({seconds});
        COMMIT;
        PERFORM pg_sleep({pause});
    END LOOP;
END
$$
"""


def draw(chance: random.Random, intensity: float) -> tuple[str, tuple[Step, ...]]:
    """Draw which two products are locked, and for how long."""
    skus, seconds = sorted(chance.sample(_SKUS, 2)), round(_LEAST_SECONDS + _MORE_SECONDS * intensity, 2)
    sql = _SQL.format(turns=_TURNS, skus=", ".join(f"'{sku}'" for sku in skus), seconds=seconds, pause=_PAUSE_SECONDS)
    text = f"an import of prices locks {' and '.join(skus)} for {seconds:g} s, again and again"
    return text, (LeftRunning("price_import", "price-import", sql),)
