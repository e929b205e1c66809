"""The cache's measures: the service's own, else those of the Redis that is known to be its own."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.service.instrumentation import Expressions, resolve
from runbook_lib.testing import service
from tests.unit.service.exporters import Place, Sample, SeriesCatalogue, counter, gauge, prometheus_of, python, redis_exporter

SERVER = {"cache_hit_ratio", "cache_evictions", "cache_expirations", "cache_memory_ratio", "cache_clients"}
OWN, FOREIGN = redis_exporter(Place("orders", "shop")), redis_exporter(Place("orders", "shop-staging"))
SERIES = [*prometheus_of(python), *OWN, *FOREIGN]


def found(series: list[Sample], *, cache: dict[str, Any] | None = None, namespace: str = "shop") -> Expressions:
    known = service("orders", connections={"kubernetes": {"namespace": namespace}})
    fields = known.model_dump(exclude_unset=True)
    return resolve(
        type(known).model_validate(fields | {"components": fields["components"] | {"cache": cache or {}}}),
        SeriesCatalogue(series),
    )


def test_the_only_redis_of_the_namespace_is_the_service_s() -> None:
    known = found(SERIES).known
    assert set(known) >= SERVER
    assert all('namespace="shop"' in known[name].promql for name in SERVER)


def test_of_two_in_the_namespace_neither_is_taken_until_the_service_file_names_it() -> None:
    second = list(redis_exporter(Place("orders", "shop"), instance="sessions:9121"))
    assert not SERVER & set(found([*SERIES, *second]).known)
    named = found([*SERIES, *second], cache={"metrics_selector": {"instance": "sessions:9121"}})
    assert 'redis_memory_used_bytes{instance="sessions:9121"}' in named.known["cache_memory_ratio"].promql


@pytest.mark.parametrize(
    "series", [prometheus_of(python), [*prometheus_of(python), *redis_exporter(Place("orders", "elsewhere"))]]
)
def test_no_redis_or_one_of_another_namespace_gives_no_measure(series: list[Sample]) -> None:
    assert not SERVER & set(found(series).known)


def test_a_maximum_under_its_older_name_is_found() -> None:
    labels = {"namespace": "shop", "instance": "redis:9121"}
    old = [gauge("redis_memory_used_bytes", 1, **labels), gauge("redis_config_maxmemory", 2, **labels)]
    assert "redis_config_maxmemory" in found([*prometheus_of(python), *old]).known["cache_memory_ratio"].promql


def test_look_ups_that_the_service_counts_itself_come_before_those_of_the_server() -> None:
    own = Place("orders", "shop").scraped
    gets = [counter("cache_gets_total", rate, **own, cache="prices", result=result) for result, rate in (("hit", 9), ("miss", 1))]
    known = found([*SERIES, *gets]).known
    assert "cache_gets_total" in known["cache_hit_ratio"].promql
    assert "redis_evicted_keys_total" in known["cache_evictions"].promql
