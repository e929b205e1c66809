"""Cancelling a statement: the one that was meant, while its session is still at it, and its session stays."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from runbook_lib.actions.guard import propose
from runbook_lib.actions.statement import CANCEL_STATEMENT
from runbook_lib.models.frame import Frame
from runbook_lib.models.plan import Proposal
from runbook_lib.testing import ago, looks
from tests.unit.actions.situations import a_context, a_diagnosis, a_service, named

REPORT = {
    "pid": 7, "application": "reports", "user": "batch", "backend_start": ago(11), "query_start": ago(3), "state_seconds": 180.0,
    "query": "select count(*) from orders",
}  # fmt: skip
WAITING = {"wait_event": "Lock: relation", "blocked_by": [7]}


@dataclass
class Database:
    """The operator's database: `allowed` is what it says of every statement, `cancelled` those that were."""

    seen: Frame
    allowed: bool | None = True
    cancelled: list[int] = field(default_factory=list)

    def activity(self) -> Frame:
        return self.seen

    def may_cancel(self, pid: int, backend_start: datetime, query_start: datetime) -> bool | None:
        assert (backend_start, query_start) == (ago(11), ago(3))
        return None if pid in self.cancelled else self.allowed

    def cancel(self, pid: int, backend_start: datetime, query_start: datetime) -> bool:
        assert (backend_start, query_start) == (ago(11), ago(3))
        self.cancelled.append(pid)
        return self.allowed is not None


def proposed(folder: Path, database: Database | None, **arguments: Any) -> Proposal:
    context = a_context(folder, database=database, diagnosis=a_diagnosis(action="cancel_statement"))
    return propose(CANCEL_STATEMENT, context, **arguments)


def test_the_statement_that_others_wait_for_is_chosen(tmp_path: Path) -> None:
    longer = REPORT | {"pid": 8, "state_seconds": 900.0}
    plan = proposed(tmp_path, Database(looks(3, others=(REPORT, longer), **WAITING))).plan
    assert plan is not None
    assert plan.title == "Cancel the statement of database session 7 (reports), 3 min old, which 3 others wait for"
    assert plan.command == "psql -c 'SELECT pg_cancel_backend(7)'"
    assert plan.risk == "low"


def test_without_anybody_who_waits_it_is_the_one_that_takes_longest(tmp_path: Path) -> None:
    plan = proposed(tmp_path, Database(looks(3, others=(REPORT,)))).plan
    assert plan is not None
    assert str(plan.target) == "session/7"
    assert plan.risk == "medium"
    assert "statement: select count(*) from orders" in plan.before


def test_approved_it_cancels_and_sees_that_the_session_is_at_it_no_more(tmp_path: Path) -> None:
    database = Database(looks(3, others=(REPORT,)))
    proposal = proposed(tmp_path, database)
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert database.cancelled == [7]
    assert proposal.undo is None


def test_short_statements_are_nobodys_fault(tmp_path: Path) -> None:
    assert "no statement has taken 5 s" in proposed(tmp_path, Database(looks(3))).outcome.text


def test_an_idle_session_is_at_no_statement_and_the_other_action_is_named(tmp_path: Path) -> None:
    idle = REPORT | {"state": "idle in transaction"}
    outcome = proposed(tmp_path, Database(looks(3, others=(idle,), **WAITING))).outcome
    assert outcome.status == "refused"
    assert "terminate_session(pid=7)" in outcome.text


def test_a_statement_that_has_ended_since_the_plan_is_left_alone(tmp_path: Path) -> None:
    database = Database(looks(3, others=(REPORT,)))
    proposal = proposed(tmp_path, database)
    database.allowed = None
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "refused"
    assert not database.cancelled


def test_a_role_that_may_not_is_told_the_grant(tmp_path: Path) -> None:
    proposal = proposed(tmp_path, Database(looks(3, others=(REPORT,)), allowed=False))
    assert "pg_signal_backend to the role" in proposal.outcome.text


BACKUP = REPORT | {"pid": 55, "application": "pg_dump", "user": "backup", "database": "billing", "state_seconds": 5000.0}


def of_orders(folder: Path, database: Database, **fields: Any) -> Proposal:
    service = named(a_service({"auto_approve": ["cancel_statement"]}), application_name="orders*")
    return propose(CANCEL_STATEMENT, a_context(folder, service=service, database=database, **fields))


def test_the_longest_statement_is_the_service_s_own(tmp_path: Path) -> None:
    own = REPORT | {"application": "orders-1"}
    near = BACKUP | {"pid": 56, "database": "shop"}
    plan = of_orders(tmp_path, Database(looks(0, others=(own, BACKUP, near)))).plan
    assert plan is not None
    assert str(plan.target) == "session/7"


def test_with_nobody_watching_a_backup_is_left_alone(tmp_path: Path) -> None:
    quick = {"application": "orders-1", "pid": 100}
    database = Database(looks(0, others=(quick, BACKUP, BACKUP | {"pid": 56, "database": "shop"})))
    for subject in (None, "pid 55 (pg_dump)"):
        diagnosis = a_diagnosis(action="cancel_statement", subject=subject)
        outcome = of_orders(tmp_path, database, mode="alert", diagnosis=diagnosis).outcome
        assert outcome.status == "refused"
        assert "of its own no statement has taken 5 s" in outcome.text
    assert database.cancelled == []


def test_a_statement_of_somebody_else_that_the_diagnosis_names_is_cancelled_in_the_pause_of_its_locks(tmp_path: Path) -> None:
    own = REPORT | {"pid": 100, "application": "orders-1", "state_seconds": 900.0}
    database = Database(looks(0, others=(own, REPORT)))
    diagnosis = a_diagnosis(action="cancel_statement", subject="pid 7 (reports, active)")
    assert of_orders(tmp_path, database, mode="alert", diagnosis=diagnosis).outcome.status == "executed"
    assert database.cancelled == [7]
