"""Ending a session that others wait for: the right one, that one alone, and only by who may."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.actions.guard import propose
from runbook_lib.actions.session import TERMINATE_SESSION
from runbook_lib.errors import SourceTimeout
from runbook_lib.models.frame import Frame
from runbook_lib.models.plan import Proposal
from runbook_lib.service.connections import PostgresConnection
from runbook_lib.testing import ago, looks
from tests.unit.actions.situations import a_context, a_diagnosis, a_service, named

IMPORT = {"pid": 7, "application": "price-import", "user": "batch", "backend_start": ago(11), "query": "lock table products"}
WAITING = {"wait_event": "Lock: relation", "blocked_by": [7]}


@dataclass
class Database:
    """The operator's database: `allowed` is what it says of every session, `ended` those that were."""

    seen: Frame
    allowed: bool | None = True
    ended: list[int] = field(default_factory=list)
    fails: bool = False

    def activity(self) -> Frame:
        return self.seen

    def may_end(self, pid: int, backend_start: datetime) -> bool | None:
        assert backend_start == ago(11)
        return None if pid in self.ended else self.allowed

    def end(self, pid: int, backend_start: datetime) -> bool:
        assert backend_start == ago(11)
        if self.fails:
            raise SourceTimeout("postgres", "no answer within 5 s")
        self.ended.append(pid)
        return self.allowed is not None


def proposed(folder: Path, database: Database | None, **arguments: Any) -> Proposal:
    context = a_context(folder, database=database, diagnosis=a_diagnosis(action="terminate_session"))
    return propose(TERMINATE_SESSION, context, **arguments)


def held_up() -> Frame:
    return looks(3, others=(IMPORT,), **WAITING)


def test_the_plan_names_whom_it_ends_and_who_waits(tmp_path: Path) -> None:
    plan = proposed(tmp_path, Database(held_up())).plan
    assert plan is not None
    assert plan.title == "End database session 7 (price-import), which 3 others wait for"
    assert str(plan.target) == "session/7"
    assert "role: batch" in plan.before
    assert not plan.reversible
    assert plan.command == "psql -c 'SELECT pg_terminate_backend(7)'"


def test_the_command_names_the_server_since_a_pid_means_nothing_on_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATOR_DSN", "postgresql://ops:hunter2@db:5433/shop")
    known = a_service()
    postgres = PostgresConnection.model_validate({"dsn": "postgresql://reader@db/shop", "operator_dsn": "env:OPERATOR_DSN"})
    connections = known.connections.model_copy(update={"postgres": postgres})
    context = a_context(tmp_path, database=Database(held_up()), service=known.model_copy(update={"connections": connections}))
    plan = propose(TERMINATE_SESSION, context).plan
    assert plan is not None
    assert plan.command == "psql 'user=ops dbname=shop host=db port=5433' -c 'SELECT pg_terminate_backend(7)'"


def test_approved_it_ends_that_session_and_sees_it_gone(tmp_path: Path) -> None:
    database = Database(held_up())
    proposal = proposed(tmp_path, database)
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "executed"
    assert database.ended == [7]
    assert proposal.undo is None


def test_a_pid_may_be_given(tmp_path: Path) -> None:
    database = Database(looks(0, others=(IMPORT,)))
    plan = proposed(tmp_path, database, pid=7).plan
    assert plan is not None
    assert "which 0 others wait for" in plan.title


def test_without_anybody_who_waits_there_is_nothing_to_end(tmp_path: Path) -> None:
    proposal = proposed(tmp_path, Database(looks(3)))
    assert proposal.plan is None
    assert "no session holds a lock" in proposal.outcome.text


@pytest.mark.parametrize(
    ("holder", "reason"),
    [
        ({"pid": 0, "kind": "prepared", "query": "ROLLBACK PREPARED 'x'"}, "ROLLBACK PREPARED 'x' takes it back"),
        ({"pid": 55, "kind": "autovacuum"}, "it begins anew when it is ended"),
        ({"pid": 7, "backend_start": None}, "does not see when session 7 began"),
    ],
)
def test_what_holds_a_lock_and_is_no_session_that_can_be_told_apart_is_not_ended(
    tmp_path: Path, holder: dict[str, Any], reason: str
) -> None:
    database = Database(looks(3, others=(holder,), **{**WAITING, "blocked_by": [holder["pid"]]}))
    proposal = proposed(tmp_path, database)
    assert proposal.plan is None
    assert reason in str(proposal.outcome)
    assert database.ended == []


def test_a_pid_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "no session of pid 99" in proposed(tmp_path, Database(held_up()), pid=99).outcome.text


def test_a_service_without_a_database_is_told_the_field(tmp_path: Path) -> None:
    assert "connections.postgres" in proposed(tmp_path, None).outcome.text


def test_a_role_that_may_not_is_told_the_grant(tmp_path: Path) -> None:
    proposal = proposed(tmp_path, Database(held_up(), allowed=False))
    assert proposal.outcome.status == "refused"
    assert "pg_signal_backend to the role" in proposal.outcome.text


def test_a_session_that_ended_by_itself_is_left_alone(tmp_path: Path) -> None:
    database = Database(held_up())
    proposal = proposed(tmp_path, database)
    database.allowed = None
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "refused"
    assert "ended by itself" in outcome.text
    assert not database.ended


def test_a_lost_answer_is_not_called_done(tmp_path: Path) -> None:
    database = Database(held_up())
    proposal = proposed(tmp_path, database)
    database.fails = True
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "failed"
    assert "not known" in outcome.text


OWN = {**WAITING, "pid": 100, "application": "orders-1"}
BILLING = {"application": "billing", "user": "billing", "database": "billing", "backend_start": ago(11)}
MONTH_END = {**BILLING, "pid": 99, "state": "idle in transaction"}


def waiting_for_billing(count: int) -> list[dict[str, Any]]:
    return [{**BILLING, "pid": 200 + one, "wait_event": "Lock: relation", "blocked_by": [99]} for one in range(count)]


@pytest.mark.parametrize("mode", ["interactive", "alert"])
def test_what_more_of_somebody_else_s_sessions_wait_for_is_left_to_them(tmp_path: Path, mode: Any) -> None:
    seen = looks(0, others=(OWN, IMPORT, MONTH_END, *waiting_for_billing(5)))
    database, service = Database(seen), named(a_service({"auto_approve": ["terminate_session"]}), application_name="orders*")
    context = a_context(
        tmp_path, mode=mode, service=service, database=database, diagnosis=a_diagnosis(action="terminate_session")
    )
    plan = propose(TERMINATE_SESSION, context).plan
    assert plan is not None
    assert plan.title == "End database session 7 (price-import), which 1 others wait for"
    assert "database: shop" in plan.before
    assert database.ended == ([7] if mode == "alert" else [])


@pytest.mark.parametrize("known", [{"application_name": "orders*"}, {"user": "orders_app"}, {}])
def test_where_only_others_wait_nothing_is_ended_unless_a_person_names_it(tmp_path: Path, known: dict[str, str]) -> None:
    seen = looks(1, others=(MONTH_END, *waiting_for_billing(5)))
    context = a_context(tmp_path, service=named(a_service(), **known), database=Database(seen))
    refused = propose(TERMINATE_SESSION, context)
    assert refused.plan is None
    assert "one of orders waits for" in refused.outcome.text
    assert "terminate_session(pid=…)" in refused.outcome.text
    plan = propose(TERMINATE_SESSION, context, pid=99).plan
    assert plan is not None
    assert str(plan.target) == "session/99"


@pytest.mark.parametrize("mode", ["papermill", "alert"])
def test_with_nobody_watching_a_pid_in_somebody_else_s_database_is_refused(tmp_path: Path, mode: Any) -> None:
    database = Database(looks(0, others=(OWN, IMPORT, MONTH_END)))
    context = a_context(
        tmp_path,
        mode=mode,
        approve="terminate_session",
        service=a_service({"auto_approve": ["terminate_session"]}),
        database=database,
        diagnosis=a_diagnosis(action="terminate_session"),
    )
    outcome = propose(TERMINATE_SESSION, context, pid=99).outcome
    assert outcome.status == "refused"
    assert "database billing, where orders has no session" in outcome.text
    assert database.ended == []


def test_the_session_that_the_diagnosis_names_goes_before_one_that_more_wait_for(tmp_path: Path) -> None:
    migration = {**IMPORT, "pid": 8, "application": "migration"}
    others = [{**OWN, "pid": 101 + one, "blocked_by": [8]} for one in range(3)]
    database = Database(looks(0, others=(OWN, IMPORT, migration, *others)))

    def target(subject: str | None) -> str:
        diagnosis = a_diagnosis(action="terminate_session", subject=subject)
        plan = propose(TERMINATE_SESSION, a_context(tmp_path, database=database, diagnosis=diagnosis)).plan
        assert plan is not None
        return str(plan.target)

    assert target("pid 7 (price-import, active)") == "session/7"
    assert target(None) == "session/8"
    assert target("pid 12 (gone by now, active)") == "session/8"


def test_a_service_without_a_database_component_has_no_session_to_wait(tmp_path: Path) -> None:
    known = a_service()
    service = known.model_copy(update={"components": known.components.model_copy(update={"database": None})})
    context = a_context(tmp_path, service=service, database=Database(held_up()))
    assert propose(TERMINATE_SESSION, context).plan is None
    assert propose(TERMINATE_SESSION, context, pid=7).plan is not None
