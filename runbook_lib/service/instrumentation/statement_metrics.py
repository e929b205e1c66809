"""What postgres_exporter measures of single statements: the names of its collector `stat_statements`, and of those before it."""

from __future__ import annotations

from collections.abc import Iterator

from runbook_lib.service.instrumentation.catalogue import Catalogue
from runbook_lib.service.instrumentation.promql import Matchers, rate
from runbook_lib.service.models import Service

__all__ = ["statement_expressions"]

# Seconds in all, calls, and what one of the former is in seconds.
_NAMES = (
    ("pg_stat_statements_seconds_total", "pg_stat_statements_calls_total", 1.0),
    ("pg_stat_statements_total_exec_time", "pg_stat_statements_calls", 0.001),
    ("pg_stat_statements_total_time_seconds", "pg_stat_statements_calls", 1.0),
)
_DATABASE, _STATEMENT = ("datname", "database"), ("queryid", "query_id")


def statement_expressions(service: Service, catalogue: Catalogue, window: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Give name, PromQL and label of the mean duration of each statement, where it is exported for the service's database.

    The exporter's own labels say which exporter it is, not whose statements: those are told by the name of the database.
    """
    component, known = service.components.database, catalogue.names()
    if component is None:
        return
    for spent, calls, seconds in _NAMES:
        if spent in known and calls in known:
            labels = catalogue.labels(spent)
            database = next((label for label in _DATABASE if label in labels), "")
            statement = next((label for label in _STATEMENT if label in labels), "")
            if not statement:
                return
            matchers = Matchers().where(database, "=", component.name) if database else Matchers()
            above, below = (f"sum by ({statement}) ({rate(metric, matchers, window)})" for metric in (spent, calls))
            scale = f" * {seconds:g}" if seconds != 1.0 else ""
            yield "statement_latency", f"{above}{scale} / ({below} > 0)", {"statement": statement}
            return
