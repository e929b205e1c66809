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
        BEGIN
            PERFORM sku FROM products WHERE sku IN ({skus}) ORDER BY sku FOR UPDATE;
            PERFORM pg_sleep({seconds});
        {handler}
        END;
        COMMIT;
        PERFORM pg_sleep({pause});
    END LOOP;
END
$$
"""
_ANEW = "EXCEPTION WHEN query_canceled THEN RAISE NOTICE 'cancelled: once more';"


def draw_import(chance: random.Random, intensity: float) -> tuple[str, tuple[Step, ...]]:
    """Draw which two products are locked, and for how long, by an import that ends once it is told to."""
    return _draw(chance, intensity, handler="", words="")


def draw_stubborn_import(chance: random.Random, intensity: float) -> tuple[str, tuple[Step, ...]]:
    """Draw the same of an import that begins its turn anew when it is cancelled, so that only the end of its session ends it."""
    return _draw(chance, intensity, handler=_ANEW, words=", whoever cancels it")


def _draw(chance: random.Random, intensity: float, *, handler: str, words: str) -> tuple[str, tuple[Step, ...]]:
    skus, seconds = sorted(chance.sample(_SKUS, 2)), round(_LEAST_SECONDS + _MORE_SECONDS * intensity, 2)
    quoted = ", ".join(f"'{sku}'" for sku in skus)
    sql = _SQL.format(turns=_TURNS, skus=quoted, seconds=seconds, pause=_PAUSE_SECONDS, handler=handler)
    text = f"an import of prices locks {' and '.join(skus)} for {seconds:g} s, again and again{words}"
    return text, (LeftRunning("price_import", "price-import", sql),)
