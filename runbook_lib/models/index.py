"""A table with its indexes, and the index that a statement lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["IndexAdvice", "TableColumn", "TableDefinition", "TableIndex", "index_name", "quoted"]

_NAME_BYTES = 63  # PostgreSQL cuts off what is longer
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_RESERVED = """
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create current_catalog
current_date current_role current_time current_timestamp current_user default deferrable desc distinct do else end except
false fetch for foreign from grant group having in initially intersect into lateral leading limit localtime localtimestamp
not null offset on only or order placing primary references returning select session_user some symmetric system_user table
then to trailing true union unique user using variadic when where window with authorization binary collation concurrently
cross current_schema freeze full ilike inner is isnull join left like natural notnull outer overlaps right similar
tablesample verbose
"""  # what SQL takes for its own word, if it stands without quotes
_OVERHEAD_BYTES = 20.0  # of an entry in a B-tree: item pointer, header, alignment, and the pages above the leaves
_FILL = 0.9  # of a leaf page, when the index is new
_USUAL_WIDTH = 16.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TableColumn:
    """A column: its type as SQL writes it, and what the planner knows of its values; None where it does not know or may not tell.

    distinct: how many different values. top_share: the share of rows that have the most common one. width: bytes of a value.
    """

    type: str
    distinct: float | None = None
    top_share: float | None = None
    width: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TableIndex:
    """An index. columns: its key, None for an expression. valid: statements may use it. building: it is being made at present."""

    name: str
    oid: int
    columns: tuple[str | None, ...]
    valid: bool = True
    partial: bool = False
    method: str = "btree"
    building: bool = False
    comment: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableDefinition:
    """A table as the catalog has it. rows, bytes: as of its last VACUUM or ANALYZE.

    owned: `role` may change it as its owner may. creates: it may create something in the schema. taken: names of the schema that
    begin as an index of ours would.
    """

    schema: str
    name: str
    oid: int
    rows: float
    bytes: int
    columns: Mapping[str, TableColumn]
    indexes: tuple[TableIndex, ...]
    kind: str = "r"
    partition: bool = False
    owner: str = ""
    role: str = ""
    owned: bool = False
    creates: bool = False
    taken: frozenset[str] = frozenset()

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> TableDefinition:
        """From what the database source answers."""
        columns = {str(name): TableColumn(**facts) for name, facts in dict(told.get("columns") or {}).items()}
        indexes = [
            TableIndex(**{**facts, "columns": tuple(facts["columns"] or ()), "comment": facts.get("comment") or ""})
            for facts in told.get("indexes") or ()
        ]
        rest = {key: told[key] for key in told if key not in ("columns", "indexes", "taken")}
        return cls(columns=columns, indexes=tuple(indexes), taken=frozenset(told.get("taken") or ()), **rest)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """Its name as SQL takes it."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def index(self, name: str) -> TableIndex | None:
        """Its index of this name."""
        return next((one for one in self.indexes if one.name == name), None)

    def serving(self, column: str) -> TableIndex | None:
        """A whole and valid index by which this column is looked up."""
        usable = (one for one in self.indexes if one.valid and not one.partial and one.method in ("btree", "hash"))
        return next((one for one in usable if one.columns[:1] == (column,)), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexAdvice:
    """An index that a running statement lacks.

    condition: what it would find. matching_rows: how many rows the planner expects to match; NaN when EXPLAIN was not to be had.
    seen: in how many looks the statement was at work. leftover: an INVALID index in its place, which helps nobody and must go.
    """

    table: TableDefinition
    columns: tuple[str, ...]
    name: str
    statement: str
    condition: str
    matching_rows: float
    seen: int
    explained: bool = True
    leftover: TableIndex | None = None

    @property
    def subject(self) -> str:
        """Table and columns in a word."""
        return f"{self.table} ({', '.join(self.columns)})"

    @property
    def sql(self) -> str:
        """The statement that creates it."""
        return create_sql(self.table, self.columns, self.name)

    @property
    def bytes(self) -> float:
        """About how large it will be."""
        widths = (self.table.columns[column].width for column in self.columns)
        entry = sum(_USUAL_WIDTH if width is None else width for width in widths) + _OVERHEAD_BYTES
        return self.table.rows * entry / _FILL


def create_sql(table: TableDefinition, columns: Sequence[str], name: str) -> str:
    """The statement that creates an index without holding up those who write."""
    return f"CREATE INDEX CONCURRENTLY {quoted(name)} ON {table.sql} ({', '.join(quoted(column) for column in columns)})"


def quoted(name: str) -> str:
    """An identifier as SQL takes it, in quotes where it needs them."""
    return name if _PLAIN.fullmatch(name) and name not in _RESERVED.split() else '"' + name.replace('"', '""') + '"'


def index_name(table: TableDefinition, columns: Sequence[str]) -> str:
    """`idx_<table>_<columns>`, short enough for PostgreSQL; numbered where something else has that name already.

    The name of an INVALID index of the same table and columns is free: that one is dropped first.
    """
    free = {one.name for one in table.indexes if not one.valid and not one.building and one.columns == tuple(columns)}
    wanted = "_".join(("idx", table.name, *columns))
    for number in range(1, 100):
        suffix = "" if number == 1 else f"_{number}"
        cut = wanted.encode()[: _NAME_BYTES - len(suffix)].decode(errors="ignore") + suffix
        if cut not in table.taken - free and (cut in free or table.index(cut) is None):
            return cut
    return f"idx_{table.oid}_{'_'.join(columns)}"[:_NAME_BYTES]
