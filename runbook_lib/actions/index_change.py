"""Making an index, and dropping one: each bound to the table and the index that the plan saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runbook_lib.actions.database_operator import DatabaseOperator
from runbook_lib.actions.interface import ChangeRefused, Permission, Settling
from runbook_lib.errors import ActionFailed, SourceError
from runbook_lib.models.index import TableDefinition, TableIndex, quoted
from runbook_lib.models.plan import Refusal

__all__ = ["Creating", "Dropping", "definition", "not_allowed", "not_direct"]

_AGAIN = "run the cell again and read the new plan"


def definition(database: DatabaseOperator, schema: str, table: str, *, oid: int | None = None) -> TableDefinition:
    """The table as it is now. Raises ChangeRefused when it is gone, or another one has its name."""
    try:
        told = database.table_definition(schema, table)
    except SourceError as error:
        raise ChangeRefused(Refusal(by="the database", reason=error.reason)) from error
    if told is None or (oid is not None and told["oid"] != oid):
        reason = f"there is no table {schema}.{table} any more" if oid is not None else f"there is no table {schema}.{table}"
        raise ChangeRefused(
            Refusal(by="target", reason=reason, mend="look which tables there are: incident.check.table_access()")
        )
    return TableDefinition.of(told)


def not_direct(database: DatabaseOperator) -> Refusal | None:
    """Why no index can be made or dropped on this way to the database: a pooler would hand our timeouts to the application."""
    try:
        pooled = database.pooled()
    except SourceError as error:
        raise ChangeRefused(Refusal(by="the database", reason=error.reason)) from error
    if not pooled:
        return None
    reason = "a pooler stands before the server, which would hand the timeouts of an index's build to the application"
    return Refusal(by="the database", reason=reason, mend="name the server itself in connections.postgres.operator_dsn")


def not_allowed(table: TableDefinition) -> Refusal | None:
    """Why this role may make no index of the table: only its owner may, and who is a member of that role."""
    if not table.owned:
        reason = f"only {table.owner}, who owns {table}, and its members may create or drop its indexes; {table.role} is none"
        mend = f"GRANT {quoted(table.owner)} TO {quoted(table.role)}, or let {table.owner} run the command of the plan"
        return Refusal(by="the database", reason=reason, mend=mend)
    if not table.creates:
        reason = f"{table.role} may create nothing in schema {table.schema}"
        mend = f"GRANT CREATE ON SCHEMA {quoted(table.schema)} TO {quoted(table.owner)}"
        return Refusal(by="the database", reason=reason, mend=mend)
    return None


@dataclass(frozen=True, kw_only=True)
class Creating:
    """Make an index that was not there; what a failed attempt leaves behind is taken away.

    leftover: name and oid of an INVALID index in its place, to be dropped first.
    """

    database: DatabaseOperator
    schema: str
    table: str
    oid: int
    columns: Sequence[str]
    name: str
    comment: str
    leftover: tuple[str, int] | None
    progress: Callable[[str], None]

    @property
    def text(self) -> str:
        """What it does."""
        return f"create index {self.name} on {self.schema}.{self.table}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """None of the cluster's."""
        return []

    def preview(self) -> None:
        """See that the table is the same, that this role may, and that nobody was faster."""
        table = definition(self.database, self.schema, self.table, oid=self.oid)
        refusal = not_direct(self.database) or not_allowed(table)
        if refusal is not None:
            raise ChangeRefused(refusal)
        known = self.leftover[1] if self.leftover else None
        other = next((one for one in table.indexes if one.columns == tuple(self.columns) and not one.partial), None)
        if other is not None and other.oid != known:
            state = "is being built" if other.building else "is there" if other.valid else "is there, and INVALID"
            raise ChangeRefused(Refusal(by="unchanged since the plan", reason=f"index {other.name} {state} now", mend=_AGAIN))

    def apply(self) -> str:
        """Drop what was left behind, then make it."""
        before = self._without_leftover()
        try:
            self.database.create_index(
                self.schema, self.table, self.columns, self.name, comment=self.comment, progress=self._told
            )
        except (SourceError, KeyboardInterrupt) as error:
            reason = error.reason if isinstance(error, SourceError) else "it was interrupted"
            raise ActionFailed(f"{before}{self.text}: {reason}; {self._cleaned()}") from error
        made = self._index()
        if made is None or not made.valid:
            raise ActionFailed(f"{before}{self.text}: it ended without an error, and the index cannot be used; {self._cleaned()}")
        return f"{before}{self.text}: done (oid {made.oid})"

    def revert(self) -> str:
        """Drop it, if it is the one that was made."""
        made = self._index()
        if made is None or made.comment != self.comment:
            return f"{self.text}: nothing to take back"
        self.database.drop_index(self.schema, self.name, made.oid)
        return f"{self.text}: taken back"

    def settling(self) -> Settling:
        """In use as soon as it is valid."""
        try:
            made = self._index()
        except (ChangeRefused, SourceError) as error:
            return Settling(done=False, text=f"the index cannot be seen: {error}")
        valid = made is not None and made.valid
        return Settling(done=valid, text=f"index {self.name} is {'valid' if valid else 'not there, or INVALID'}")

    def _told(self, text: str) -> None:
        self.progress(f"{self.text}: {text}")

    def _index(self) -> TableIndex | None:
        return definition(self.database, self.schema, self.table, oid=self.oid).index(self.name)

    def _without_leftover(self) -> str:
        if self.leftover is None:
            return ""
        name, oid = self.leftover
        self._told(f"dropping {name}, which is INVALID")
        try:
            dropped = self.database.drop_index(self.schema, name, oid)
        except SourceError as error:
            raise ActionFailed(f"drop the INVALID index {name}: {error.reason}") from error
        return f"drop the INVALID index {name}: {'done' if dropped else 'it was gone'}; "

    def _cleaned(self) -> str:
        """Take away what a failed attempt left, and say so."""
        by_hand = f"look at {self.name} by hand: DROP INDEX CONCURRENTLY {quoted(self.schema)}.{quoted(self.name)}"
        try:
            left = self._index()
            if left is None:
                return "it left nothing behind"
            if left.valid or left.building:
                return f"index {self.name} {'is there and valid' if left.valid else 'is still being built'}; {by_hand}"
            self.database.drop_index(self.schema, self.name, left.oid)
        except (ChangeRefused, SourceError) as error:
            return f"whether it left an INVALID index behind is not known ({error}); {by_hand}"
        return "the INVALID index that it left behind was dropped"


@dataclass(frozen=True, kw_only=True)
class Dropping:
    """Drop the index of this oid, and none that has its name by now."""

    database: DatabaseOperator
    schema: str
    table: str
    name: str
    oid: int

    @property
    def text(self) -> str:
        """What it does."""
        return f"drop index {self.name}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """None of the cluster's."""
        return []

    def preview(self) -> None:
        """See that it is still there, and that this role may."""
        table = definition(self.database, self.schema, self.table)
        found = table.index(self.name)
        if found is None or found.oid != self.oid:
            reason = f"index {self.name} is not the one of the plan any more"
            raise ChangeRefused(Refusal(by="unchanged since the plan", reason=reason, mend="look at it by hand"))
        refusal = not_direct(self.database) or (None if table.owned else not_allowed(table))
        if refusal is not None:
            raise ChangeRefused(refusal)

    def apply(self) -> str:
        """Drop it."""
        try:
            dropped = self.database.drop_index(self.schema, self.name, self.oid)
        except (SourceError, KeyboardInterrupt) as error:
            reason = error.reason if isinstance(error, SourceError) else "it was interrupted"
            raise ActionFailed(f"{self.text}: whether it was done is not known ({reason}); look at it by hand") from error
        return f"{self.text}: {'done' if dropped else 'it was gone already'}"

    def revert(self) -> str:
        """It is made again by the action that made it."""
        return f"{self.text}: create_index makes it again"

    def settling(self) -> Settling:
        """Gone at once."""
        try:
            found = definition(self.database, self.schema, self.table).index(self.name)
        except (ChangeRefused, SourceError) as error:
            return Settling(done=False, text=f"the index cannot be seen: {error}")
        return Settling(done=found is None or found.oid != self.oid, text=f"index {self.name} is {'there' if found else 'gone'}")
