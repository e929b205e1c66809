"""What a service exports of its pools of database connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runbook_lib.service.instrumentation.catalogue import Catalogue
from runbook_lib.service.instrumentation.choosing import POD_LABELS, Finder
from runbook_lib.service.instrumentation.presets import Part, Pool, Preset, Requests
from runbook_lib.service.instrumentation.promql import Matchers, rate, vector

__all__ = ["pool_expressions"]

_POOL_LABELS = ("pool", "name", "db_name", "pool_name", "db_client_connection_pool_name")
Found = Iterator[tuple[str, str, dict[str, str]]]


def pool_expressions(finder: Finder, presets: Mapping[str, Preset], catalogue: Catalogue, window: str) -> Found:
    """Give name, PromQL and the labels (ours to theirs) of each measure of the first pools that are the service's, else nothing.

    Raises SourceError when Prometheus cannot be asked.
    """
    for pool in (pool for preset in presets.values() for pool in preset.pools):
        matchers = finder.owner(pool.in_use.metric, Requests())
        if matchers is None or pool.size.metric not in catalogue.names(matchers):
            continue
        labels = catalogue.labels(pool.in_use.metric, matchers)
        if any(label not in labels for label, _, _ in pool.in_use.where):
            continue
        ours = {
            "pod": next((label for label in POD_LABELS if label in labels), ""),
            "pool": next((label for label in _POOL_LABELS if label in labels), ""),
        }
        if ours["pool"] and len(catalogue.values(ours["pool"], pool.in_use.metric, matchers)) < 2:
            ours["pool"] = ""  # the only one needs no name
        given = {name: label for name, label in ours.items() if label}
        yield from _pool_parts(pool, matchers, given, catalogue.names(matchers), window)
        return


def _pool_parts(pool: Pool, matchers: Matchers, ours: dict[str, str], names: frozenset[str], window: str) -> Found:
    by = f" by ({', '.join(ours.values())})" if ours else ""
    gauges: tuple[tuple[str, Part | None], ...] = (
        ("pool_in_use", pool.in_use),
        ("pool_size", pool.size),
        ("pool_waiting", pool.waiting),
    )
    for name, part in gauges:
        if part and part.metric in names:
            # A maximum of 0 (Go) or -1 (JDBC) says that there is none.
            limited = " > 0" if part is pool.size else ""
            yield name, f"sum{by} ({vector(part.metric, matchers.also(Matchers(part.where)))}{limited})", ours
    if pool.timeouts and pool.timeouts.metric in names:
        yield "pool_timeouts", f"sum{by} ({rate(pool.timeouts.metric, matchers, window)})", ours
