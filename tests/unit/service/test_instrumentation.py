"""A service's measures are found whatever its exporter calls them, and nobody else's are taken for them."""

from __future__ import annotations

import re

import pytest

from runbook_lib.errors import ConfigurationError
from runbook_lib.service.instrumentation import MEASURES, PRESETS, Expressions, Matchers, resolve
from runbook_lib.service.models import Service
from runbook_lib.testing import service
from tests.unit.service.exporters import (
    EXPORTERS,
    REQUESTS,
    Place,
    Sample,
    SeriesCatalogue,
    cluster,
    gauge,
    prometheus_of,
    python,
)

SELECTED = re.compile(r"([a-zA-Z_:]\w*)\{((?:[^{}\"]|\"(?:[^\"\\]|\\.)*\")*)\}")
MATCHER = re.compile(r'(\w+)(=~|!=|!~|=)"((?:[^"\\]|\\.)*)"')


def orders(preset: str = "auto", **instrumentation: object) -> Service:
    return service("orders", instrumentation={"preset": preset, **instrumentation})


def found(series: list[Sample], instrumented: Service) -> Expressions:
    return resolve(instrumented, SeriesCatalogue(series))


def selected(series: list[Sample], promql: str) -> list[Sample]:
    """The series that an expression takes in."""
    taken = []
    for metric, inside in SELECTED.findall(promql):
        matchers = Matchers(tuple((label, how, value.replace("\\\\", "\\")) for label, how, value in MATCHER.findall(inside)))
        labels = SeriesCatalogue(series).matching(matchers.where("__name__", "=", metric))
        taken += [sample for sample in series if sample.labels in labels]
    return taken


@pytest.mark.parametrize("preset", ["auto", "named"])
@pytest.mark.parametrize("name", EXPORTERS)
def test_what_an_exporter_exports_is_found_by_its_preset_and_by_itself(name, preset):
    exporter = EXPORTERS[name]
    expressions = found(prometheus_of(exporter.export), orders(exporter.preset if preset == "named" else "auto"))
    wanted = REQUESTS | exporter.more | {"latency_quantile"}
    assert wanted - set(expressions.known) == set()
    assert PRESETS[exporter.preset].title in expressions.chosen[0]


@pytest.mark.parametrize("name", EXPORTERS)
def test_series_of_another_namespace_and_of_a_namesake_are_left_alone(name):
    exporter = EXPORTERS[name]
    series = prometheus_of(exporter.export)
    own = [sample.labels for sample in exporter.export(Place("orders", "shop"))]
    for measure, expression in found(series, orders()).known.items():
        taken = selected(series, expression.promql_for())
        assert taken, f"{measure} takes in nothing: {expression.promql}"
        assert [sample.labels for sample in taken if sample.labels not in own] == [], measure


@pytest.mark.parametrize("name", EXPORTERS)
def test_labels_are_told_by_our_names(name):
    expressions = found(prometheus_of(EXPORTERS[name].export), orders())
    for measure, expression in expressions.known.items():
        assert set(expression.labels) <= set(MEASURES[measure].labels), measure
        assert all(re.search(rf"by \((le, )?{theirs}\)", expression.promql) for theirs in expression.labels.values())


@pytest.mark.parametrize("name", ["envoy", "ingress_nginx"])
def test_the_pods_of_a_proxy_are_not_taken_for_the_services_own(name):
    known = found(prometheus_of(EXPORTERS[name].export), orders()).known
    assert {"error_ratio_by_pod", "error_ratio_by_version"} & set(known) == set()


@pytest.mark.parametrize(
    ("owner", "value"),
    [
        ("service", "orders"), ("app", "orders"), ("job", "orders"), ("job", "shop/orders"), ("container", "orders"),
        ("app_kubernetes_io_name", "orders"), ("pod", "orders-6c8b7d9f5b-x7k2p"), ("kubernetes_pod_name", "orders-5d8f-abcde"),
    ],
)  # fmt: skip
def test_the_owner_is_known_by_any_of_the_usual_labels(owner, value):
    series = [Sample({"__name__": "http_requests_total", "status": "200", owner: value}, 1)]
    assert "error_ratio" in found(series, orders()).known


@pytest.mark.parametrize(
    "pod", ["orders-worker-6c8b7d9f5b-x7k2p", "orders-worker-x7k2p", "orders-0", "orders", "preorders-6c8b7d9f5b-x7k2p"]
)
def test_pods_of_a_service_whose_name_begins_alike_are_others(pod):
    series = [Sample({"__name__": "http_requests_total", "status": "200", "pod": pod}, 1)]
    assert found(series, orders()).known == {}


@pytest.mark.parametrize(
    "pod", ["orders-6c8b7d9f5b-x7k2p", "orders-bcdfghjkl-zzzzz", "orders-1873645321-abcde", "orders-7d9e-0a1b2"]
)
def test_a_deployments_pods_are_known_by_the_form_of_their_names(pod):
    series = [Sample({"__name__": "http_requests_total", "status": "200", "pod": pod}, 1)]
    assert "error_ratio" in found(series, orders()).known


def test_the_given_selector_is_taken_as_it_is():
    expressions = found(prometheus_of(python), orders(selector={"service": "orders", "namespace": "shop-staging"}))
    assert 'namespace="shop-staging"' in expressions.known["error_ratio"].promql
    assert 'namespace="shop"' not in expressions.known["error_ratio"].promql


def test_the_given_selector_narrows_even_where_the_owner_is_known_by_other_labels():
    series = [
        Sample({"__name__": "http_requests_total", "status": "200", "pod": "orders-6c8b7d9f5b-x7k2p", "cluster": cluster}, 1)
        for cluster in ("east", "west")
    ]
    promql = found(series, orders(selector={"cluster": "east", "app": "orders"})).known["error_ratio"].promql
    assert 'cluster="east"' in promql
    nowhere = found(series, orders(selector={"cluster": "north", "app": "orders"}))
    assert nowhere.known == {}


def test_metrics_of_the_cluster_are_narrowed_to_its_environment_and_not_to_the_application():
    def told(region: str) -> list[Sample]:
        return [Sample({**one.labels, "cluster": region}, one.value, one.counter) for one in cluster(Place("orders", "shop"))]

    series = told("east") + told("west")
    known = found(series, orders(selector={"cluster": "east", "service": "orders"})).known
    assert {"memory_ratio", "cpu_usage", "restarts", "oom_kills", "replicas_available", "pods_ready"} <= set(known)
    for measure, expression in known.items():
        assert {sample.labels["cluster"] for sample in selected(series, expression.promql)} == {"east"}, measure


def test_metrics_of_the_cluster_leave_pause_containers_and_pod_totals_out():
    series = prometheus_of(cluster)
    known = found(series, orders()).known
    taken = selected(series, known["memory_working_set"].promql)
    assert [(one.labels["container"], one.labels["pod"]) for one in taken] == [("orders", "orders-6c8b7d9f5b-x7k2p")]


def test_labels_that_the_scrape_displaced_are_found_by_their_new_names():
    moved = {"namespace": "exported_namespace", "pod": "exported_pod", "container": "exported_container"}
    series = [
        Sample({moved.get(label, label): value for label, value in one.labels.items()}, one.value, one.counter)
        for one in cluster(Place("orders", "shop"))
        if one.labels["__name__"].startswith("kube_")
    ]
    series = [Sample({**one.labels, "namespace": "monitoring", "pod": "ksm-0"}, one.value, one.counter) for one in series]
    known = found(series, orders()).known
    assert 'exported_namespace="shop"' in known["restarts"].promql
    assert known["restarts"].labels == {"pod": "exported_pod"}
    assert all(selected(series, expression.promql) for expression in known.values())


def test_without_a_cluster_nothing_of_a_cluster_is_looked_for():
    plain = service("orders", connections={"prometheus": {"url": "http://prometheus.invalid"}})
    known = found(prometheus_of(cluster) + prometheus_of(python), plain).known
    assert "error_ratio" in known
    assert not {"memory_ratio", "restarts", "replicas_available"} & set(known)


def test_milliseconds_become_seconds():
    assert found(prometheus_of(EXPORTERS["milliseconds"].export), orders()).known["latency_quantile"].promql.endswith("* 0.001")
    assert "*" not in found(prometheus_of(python), orders()).known["latency_quantile"].promql


def test_a_summary_is_asked_for_the_quantile_that_it_has():
    latency = found(prometheus_of(EXPORTERS["go"].export), orders()).known["latency_quantile"]
    assert latency.promql_for(quantile="0.99").startswith("max (http_request_duration_seconds{")
    assert 'quantile="0.99"' in latency.promql_for(quantile="0.99")
    assert 'quantile="0.95"' in latency.promql_for()


def test_a_native_histogram_is_counted_and_asked_for_quantiles():
    series = [
        Sample({"__name__": "http_request_duration_seconds", "code": code, **Place("orders", "shop").scraped}, 1)
        for code in ("200", "500")
    ]
    known = found(series, orders()).known
    assert "histogram_count(rate(http_request_duration_seconds{" in known["error_ratio"].promql
    assert known["latency_quantile"].promql.startswith("histogram_quantile($quantile, sum (rate(http_request_duration_seconds{")


def test_the_counter_is_preferred_to_a_duration_that_does_not_say_how_requests_ended():
    assert "http_server_requests_total" in found(prometheus_of(EXPORTERS["ruby"].export), orders()).counted
    without = [sample for sample in prometheus_of(python) if "duration" in sample.labels["__name__"]]
    known = found(without, orders()).known
    assert "request_rate" in known
    assert "error_ratio" not in known


def test_a_maximum_that_means_no_limit_is_no_pool_size():
    series = [*prometheus_of(python), gauge("go_sql_in_use_connections", 3, **Place("orders", "shop").scraped)]
    series.append(gauge("go_sql_max_open_connections", 0, **Place("orders", "shop").scraped))
    known = found(series, orders()).known
    assert known["pool_size"].promql.endswith("> 0)")
    assert ">" not in known["pool_in_use"].promql


def test_a_silent_service_is_known_by_its_named_preset_and_selector():
    others = [sample for sample in prometheus_of(python) if sample.labels["service"] != "orders"]
    instrumented = orders("prometheus_client", selector={"service": "orders", "namespace": "shop"})
    known = found(others, instrumented).known
    assert 'service="orders",namespace="shop"' in known["error_ratio"].promql
    assert found(others, orders("auto", selector={"service": "orders"})).known == {}


def test_pools_calls_and_breakers_are_found_whatever_counts_the_requests():
    known = found(prometheus_of(EXPORTERS["micrometer"].export), orders("prometheus_client")).known
    assert {"pool_in_use", "breaker_state", "downstream_error_ratio"} <= set(known)
    assert "error_ratio" not in known


def test_what_was_found_and_what_was_not_is_told():
    requests, missing = found(prometheus_of(python), orders()).chosen
    assert requests.startswith("Requests are counted by http_requests_total (Prometheus client libraries")
    assert 'namespace="shop"' in requests
    assert missing.startswith("Not exported: ")
    assert "breaker_state" in missing


@pytest.mark.parametrize(
    ("rate_window", "scrape_interval", "seconds"),
    [("auto", None, 300), ("auto", 15.0, 300), ("auto", 120.0, 480), ("20s", 120.0, 20), ("1m30s", None, 90)],
)
def test_the_rate_window_is_five_minutes_and_never_below_four_scrapes(rate_window, scrape_interval, seconds):
    expressions = resolve(
        orders(rate_window=rate_window), SeriesCatalogue(prometheus_of(python)), scrape_interval_seconds=scrape_interval
    )
    assert expressions.rate_window_seconds == seconds
    assert f"[{seconds}s]" in expressions.known["error_ratio"].promql


def test_an_override_has_its_placeholders_filled_and_the_unit_of_its_measure():
    own = 'sum by (pod) (busy{$selector,namespace="$namespace",pod=~"$pods"}) + rate(x[$window]) + 0 * $quantile'
    expression = found(prometheus_of(python), orders(metrics={"pool_in_use": own})).known["pool_in_use"]
    assert '{namespace="shop",service="orders",namespace="shop",pod=~"orders-' in expression.promql
    assert "[300s]" in expression.promql
    assert expression.promql_for(quantile="0.5").endswith("0 * 0.5")
    assert (expression.unit, dict(expression.labels)) == ("connections", {"pod": "pod"})


def test_an_override_wins_over_what_was_found_and_takes_the_given_selector():
    instrumented = orders(selector={"service": "orders"}, metrics={"error_ratio": "mine{$selector}"})
    known = found(prometheus_of(python), instrumented).known
    assert known["error_ratio"].promql == 'mine{service="orders"}'
    assert "http_requests_total" in known["request_rate"].promql


@pytest.mark.parametrize(
    ("instrumentation", "message"),
    [
        ({"preset": "micrometre"}, "instrumentation.preset: there is no preset 'micrometre'; did you mean micrometer?"),
        ({"preset": "statsd"}, "there are auto, prometheus_client, micrometer"),
        ({"metrics": {"pool_used": "x"}}, "instrumentation.metrics.pool_used: there is no measure of this name"),
        ({"metrics": {"error_ration": "x"}}, "did you mean error_ratio?"),
        ({"metrics": {"error_ratio": "x{$selektor}"}}, "there is no placeholder $selektor; there are $selector, $window"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(instrumentation, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        found(prometheus_of(python), service("orders", instrumentation=instrumentation))


def test_every_preset_is_held_against_an_exporter():
    assert {exporter.preset for exporter in EXPORTERS.values()} == set(PRESETS)


def test_a_service_is_found_with_few_questions():
    catalogue = SeriesCatalogue([*prometheus_of(python), *prometheus_of(cluster)])
    resolve(orders(), catalogue)
    assert catalogue.asked < 250  # each different one goes to Prometheus once


def summary_of(*quantiles: str) -> list[Sample]:
    """A summary of the response time with these quantiles, its sum and its count."""
    own = {**Place("orders", "shop").scraped, "code": "200"}
    name = "http_request_duration_seconds"
    values = [gauge(name, 0.1, **own, quantile=quantile) for quantile in quantiles]
    return [*values, *(Sample({"__name__": f"{name}_{part}", **own}, 1) for part in ("count", "sum"))]


@pytest.mark.parametrize(
    ("has", "asked", "taken"),
    [
        (("0.5", "0.95", "0.99"), "0.95", "0.95"),
        (("0.5", "0.9", "0.99"), "0.95", "0.99"),
        (("0.5", "0.9"), "0.95", "0.9"),
        (("0.50", "0.950"), "0.95", "0.950"),
        (("0.5", "1"), "0.99", "1"),
    ],
)
def test_a_summary_without_the_quantile_gives_the_next_one_that_it_has(has, asked, taken):
    latency = found(summary_of(*has), orders()).known["latency_quantile"]
    assert f'quantile="{taken}"' in latency.promql_for(quantile=asked)


def test_sum_and_count_alone_give_an_average_and_no_percentile():
    known = found(summary_of(), orders()).known
    assert "latency_quantile" not in known
    assert known["latency_mean"].promql.startswith("sum (rate(http_request_duration_seconds_sum{")


def test_the_average_of_milliseconds_is_in_seconds_and_that_of_a_native_histogram_by_its_functions():
    assert found(prometheus_of(EXPORTERS["milliseconds"].export), orders()).known["latency_mean"].promql.endswith("* 0.001")
    native = [Sample({"__name__": "http_request_duration_seconds", "code": "200", **Place("orders", "shop").scraped}, 1)]
    assert "sum (histogram_sum(rate(" in found(native, orders()).known["latency_mean"].promql
