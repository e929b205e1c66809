"""What changes to the database need of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from runbook_lib.models.frame import Frame

__all__ = ["DatabaseOperator"]


class DatabaseOperator(Protocol):
    """The database with the identity that changes are made with. A session is a pid and when it began: pids are used again.

    Every method raises a SourceError when the database does not answer properly.
    """

    def activity(self) -> Frame:
        """Looks at all sessions; see `Database.activity` of the sources."""

    def may_end(self, pid: int, backend_start: datetime) -> bool | None:
        """Whether this identity may end the session; None when it is no longer there."""

    def end(self, pid: int, backend_start: datetime) -> bool:
        """End the session, which rolls back what it has not committed; False when it is no longer there."""

    def may_cancel(self, pid: int, backend_start: datetime, query_start: datetime) -> bool | None:
        """Whether this identity may cancel the statement that the session began then; None when it is no longer at it."""

    def cancel(self, pid: int, backend_start: datetime, query_start: datetime) -> bool:
        """Cancel that statement and no later one; False when the session is no longer at it."""

    def statement_plans(self) -> Frame:
        """The statements at work and their plans; see `Database.statement_plans` of the sources."""

    def table_definition(self, schema: str, table: str) -> Mapping[str, Any] | None:
        """A table, as `TableDefinition.of` reads it; None when there is none."""

    def pooled(self) -> bool:
        """Whether a pooler such as PgBouncer stands before the server, through which no index is made or dropped."""

    def create_index(
        self, schema: str, table: str, columns: Sequence[str], name: str, *, comment: str, progress: Callable[[str], None]
    ) -> None:
        """CREATE INDEX CONCURRENTLY, with a comment that says whose it is; progress hears how far it is.

        Refused when a pooler stands before the server. When it fails or is interrupted (KeyboardInterrupt), it may leave an
        INVALID index behind.
        """

    def drop_index(self, schema: str, name: str, oid: int) -> bool:
        """DROP INDEX CONCURRENTLY of the index of this oid; False when there is none any more. Refused like `create_index`."""
