"""slow_query: what customers look up is found without an index, in a table that is read from a slow disk.

An index is there or it is not: the intensity changes nothing here.
"""

from __future__ import annotations

import random

from runbook_lab.faults.declaration import Executed, Step

_INDEX = "order_archive_customer"
# What migrations do to an index: they tidy up, or replace it by one for somebody else's statement.
_DROP = f"DROP INDEX CONCURRENTLY {_INDEX}"
_WAYS = {
    "drops the index by which a customer's earlier orders are found": (_DROP,),
    "replaces the index on the customer of earlier orders by one on their date": (
        "CREATE INDEX CONCURRENTLY order_archive_placed_on ON order_archive (placed_on)",
        _DROP,
    ),
}


def draw_missing_index(chance: random.Random, _: float) -> tuple[str, tuple[Step, ...]]:
    """Draw what the migration does instead."""
    way = chance.choice(list(_WAYS))
    return f"a migration {way}", (Executed("postgres", "migration", _WAYS[way]),)
