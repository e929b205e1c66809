"""Contexts for actions: a clock that waiting moves, a gauge that follows a script, an audit in a temporary folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runbook_lib.actions.audit import AuditLog
from runbook_lib.actions.interface import ActionContext, Approvals, Gauge, Mode
from runbook_lib.models.cause import Cause, Diagnosis, Symptom, Verdict
from runbook_lib.service import Service

START = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
ONSET = datetime(2026, 3, 1, 3, 12, 40, tzinfo=UTC)


@dataclass
class Clock:
    now: datetime = START

    def read(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Script:
    """Values one after the other; the last one stays."""

    values: Sequence[float | None] = (0.31, 0.001)
    read: int = field(default=0)

    def __call__(self) -> float | None:
        value = self.values[min(self.read, len(self.values) - 1)]
        self.read += 1
        return value


def a_service(policy: dict[str, Any] | None = None, **application: Any) -> Service:
    return Service.model_validate(
        {
            "name": "orders",
            "environment": "test",
            "overview": {"purpose": "Takes orders.", "owner": "Orders team", "tier": 1},
            "components": {
                "application": {
                    "deployment": "orders",
                    "container": "orders",
                    "selector": "app=orders",
                    "config_map": "orders-config",
                    **application,
                },
                "database": {"name": "shop", "pool": {"maximum": 50}},
            },
            "connections": {"kubernetes": {"namespace": "shop"}},
            "policy": {"verify_within_seconds": 60, **(policy or {})},
        }
    )


def named(service: Service, **known: str) -> Service:
    """With what the service's sessions are known by: `application_name` or `user`."""
    database = service.components.database
    assert database is not None
    components = service.components.model_copy(update={"database": database.model_copy(update=known)})
    return service.model_copy(update={"components": components})


def a_diagnosis(
    *, action: str = "", confidence: float = 0.95, subject: str | None = None, breached: bool | None = True
) -> Diagnosis:
    """A symptom, and, when `action` is given, a confirmed cause that calls for it."""
    symptom = Symptom(
        name="error_rate", title="error rate", value=0.31, unit="ratio", threshold=0.05, breached=breached,
        onset_at=ONSET if breached else None,
    )  # fmt: skip
    cause = Cause(
        name="a_cause", title="A cause", verdict=Verdict.CONFIRMED, confidence=confidence, why="seen", subject=subject,
        actions=(action,),
    )  # fmt: skip
    return Diagnosis(symptoms=(symptom,), causes=(cause,) if action else (), summary="", at=START)


def an_audit(folder: Path, clock: Clock, incident: str = "incident-1") -> AuditLog:
    return AuditLog(
        folder / "orders" / incident / "audit.jsonl", redact=lambda text: text, now=clock.read, history=folder / "orders"
    )


def a_context(
    folder: Path,
    *,
    mode: Mode = "interactive",
    approve: str | Sequence[str] = "",
    clock: Clock | None = None,
    incident: str = "incident-1",
    readings: Sequence[float | None] = (0.31, 0.001),
    **fields: Any,
) -> ActionContext:
    clock = clock or Clock()
    values: dict[str, Any] = {
        "service": a_service(),
        "diagnosis": a_diagnosis(),
        "symptom": Gauge(title="error rate", unit="ratio", threshold=0.05, read=Script(readings)),
        "audit": an_audit(folder, clock, incident),
    }
    return ActionContext(
        mode=mode,
        incident=incident,
        now=clock.read,
        sleep=clock.sleep,
        operator="alice",
        approvals=Approvals.parse(approve),
        **(values | fields),
    )
