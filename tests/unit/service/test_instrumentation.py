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
    fastapi,
    gauge,
    istio,
    istio_grpc,
    milliseconds,
    node_exporter,
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


@pytest.mark.parametrize(("name", "route"), [("micrometer", "uri"), ("django", "view")])
def test_the_scraped_port_is_not_the_route(name, route):
    known = found(prometheus_of(EXPORTERS[name].export), orders()).known
    assert known["errors_by_route"].labels == {"route": route}
    assert known["latency_by_route"].labels == {"route": route}


@pytest.mark.parametrize(
    ("own", "route"), [({}, None), ({"exported_endpoint": "api/orders/{id}"}, {"route": "exported_endpoint"})]
)
def test_beside_the_scraped_port_only_the_displaced_label_is_a_route(own, route):
    one = Sample({"__name__": "http_requests_total", "status": "500", **Place("orders", "shop").scraped, **own}, 1)
    known = found([one], orders()).known
    assert (known["errors_by_route"].labels if "errors_by_route" in known else None) == route


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


def test_a_container_that_is_called_alike_is_no_owner():
    def exported(place: Place) -> list[Sample]:
        """Scraped by a Service for metrics, so that only the pod's name tells whose the series are."""
        own = {**place.scraped, "service": f"{place.name}-metrics", "job": f"{place.name}-metrics", "container": "app"}
        return [Sample({**one.labels, **own}, one.value, one.counter) for one in python(place)]

    application = {"deployment": "orders", "selector": "app=orders", "container": "app"}
    instrumented = service("orders", instrumentation={"preset": "auto"}, components={"application": application})
    series = prometheus_of(exported) + exported(Place("payments", "shop"))
    known = found(series, instrumented).known
    assert {one.labels["pod"] for one in selected(series, known["error_ratio"].promql)} == {Place("orders", "shop").pod}


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


def in_cluster(region: str, *places: Place) -> list[Sample]:
    return [Sample({**one.labels, "cluster": region}, one.value, one.counter) for place in places for one in python(place)]


@pytest.mark.parametrize("given", [{"cluster": "east"}, {"namespace": "shop"}, {"cluster": "east", "namespace": "shop"}])
def test_a_selector_that_only_says_where_leaves_the_owner_to_be_found(given):
    places = (Place("orders", "shop"), Place("payments", "shop"))
    series = in_cluster("east", *places) + in_cluster("west", *places)
    known = found(series, orders(selector=given, metrics={"pool_in_use": "mine{$selector}"})).known
    taken = selected(series, known["error_ratio"].promql)
    assert {one.labels["service"] for one in taken} == {"orders"}
    assert {one.labels["cluster"] for one in taken} <= {given.get("cluster", "west"), "east"}
    assert 'service="orders"' in known["pool_in_use"].promql


def test_a_given_namespace_wins_over_that_of_the_cluster():
    counted = found(prometheus_of(python), orders(selector={"namespace": "shop-staging"})).counted
    assert counted == 'http_requests_total{namespace="shop-staging",service="orders"}'


def test_a_silent_service_is_not_known_by_where_it_is():
    others = in_cluster("east", Place("payments", "shop"))
    assert found(others, orders("prometheus_client", selector={"cluster": "east"})).counted == ""


@pytest.mark.parametrize("given", [{"app_kubernetes_io_instance": "shop-east"}, {"team_service": "orders"}])
def test_a_selector_that_names_the_release_or_the_service_needs_no_usual_label(given):
    series = [Sample({"__name__": "http_requests_total", "status": "200", **given}, 1)]
    assert "error_ratio" in found(series, orders(selector=given)).known


def test_metrics_of_the_cluster_are_narrowed_to_its_environment_and_not_to_the_application():
    def told(region: str) -> list[Sample]:
        return [Sample({**one.labels, "cluster": region}, one.value, one.counter) for one in cluster(Place("orders", "shop"))]

    series = told("east") + told("west")
    known = found(series, orders(selector={"cluster": "east", "service": "orders"})).known
    assert {"memory_ratio", "cpu_usage", "restarts", "oom_kills", "replicas_available", "pods_ready"} <= set(known)
    for measure, expression in known.items():
        assert {sample.labels["cluster"] for sample in selected(series, expression.promql)} == {"east"}, measure


@pytest.mark.parametrize("named_by", ["node", "instance"])
def test_the_nodes_of_another_cluster_are_left_out(named_by):
    series = [one for region in ("east", "west") for one in node_exporter(region, node=named_by == "node")]
    known = found(series, orders(selector={"cluster": "east", "service": "orders"})).known
    assert {"node_cpu_ratio", "tcp_retransmit_ratio"} <= set(known)
    for measure in ("node_cpu_ratio", "tcp_retransmit_ratio"):
        taken = selected(series, known[measure].promql)
        assert {sample.labels["cluster"] for sample in taken} == {"east"}, measure
    names = 'max by (instance, nodename) (node_uname_info{cluster="east"})'
    assert (names in known["node_cpu_ratio"].promql) is (named_by == "instance")


def test_metrics_of_the_cluster_are_not_looked_for_under_the_release_of_the_application():
    release, others = {"app_kubernetes_io_instance": "orders"}, {"app_kubernetes_io_instance": "prometheus"}
    own = [Sample({**one.labels, **release}, one.value, one.counter) for one in python(Place("orders", "shop"))]
    told = [Sample({**one.labels, **others}, one.value, one.counter) for one in cluster(Place("orders", "shop"))]
    known = found(own + told, orders(selector=release)).known
    assert {"memory_limit", "cpu_limit", "replicas_available", "pods_ready"} <= set(known)
    assert [measure for measure, expression in known.items() if not selected(own + told, expression.promql_for())] == []


def test_metrics_of_the_cluster_leave_pause_containers_and_pod_totals_out():
    series = prometheus_of(cluster)
    known = found(series, orders()).known
    taken = selected(series, known["memory_working_set"].promql)
    assert {(one.labels["container"], one.labels["pod"]) for one in taken} == {("orders", "orders-6c8b7d9f5b-x7k2p")}


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


def told_in_words(*codes: str) -> list[Sample]:
    """Requests whose status is a word, with a code beside it where there are codes."""
    ended = zip(("success", "error"), codes or ("", ""), strict=True)
    own = {"__name__": "http_requests_total", **Place("orders", "shop").scraped}
    return [Sample({**own, "status": word, **({"code": code} if code else {})}, 1) for word, code in ended]


def test_a_status_in_words_is_passed_over_for_the_code_beside_it():
    assert 'code=~"5.."' in found(told_in_words("200", "500"), orders()).known["error_ratio"].promql


def test_a_status_in_words_alone_is_no_status_and_that_is_told():
    expressions = found(told_in_words(), orders())
    assert "request_rate" in expressions.known
    assert {"error_ratio", "errors_by_status", "requests_by_status"} & set(expressions.known) == set()
    assert "How they ended is not known: status of http_requests_total holds no status codes" in expressions.chosen[1]


def test_calls_that_never_got_an_answer_have_a_status():
    series = prometheus_of(EXPORTERS["micrometer"].export)
    unanswered = [one for one in series if "client" not in one.labels["__name__"] or one.labels["status"] == "CLIENT_ERROR"]
    assert "downstream_error_ratio" in found(unanswered, orders()).known


@pytest.mark.parametrize("measure", ["error_ratio", "errors_by_status", "downstream_errors"])
def test_a_failed_call_of_grpc_is_found_behind_istios_status_200(measure):
    series = prometheus_of(istio_grpc)
    failed = found(series, orders()).known[measure].promql.partition(" or 0 * ")[0]
    codes = {(one.labels["response_code"], one.labels["grpc_response_status"]) for one in selected(series, failed)}
    assert codes == {("200", "13"), ("0" if measure.startswith("downstream") else "503", "14")}


def test_the_errors_of_grpc_are_told_by_both_codes_and_those_of_http_by_theirs():
    promql = found(prometheus_of(istio_grpc), orders()).known["errors_by_status"].promql
    assert 'response_code=~"5.."}[300s]) or label_join(rate(' in promql
    assert '[300s]), "response_code", " gRPC ", "response_code", "grpc_response_status")' in promql
    assert "label_join" not in found(prometheus_of(istio), orders()).known["errors_by_status"].promql


@pytest.mark.parametrize("name", ["micrometer", "opentelemetry", "istio"])
def test_a_call_that_is_turned_away_has_failed_and_a_request_that_is_turned_away_has_not(name):
    known = found(prometheus_of(EXPORTERS[name].export), orders()).known
    for measure, failing in (("downstream_errors", {"401", "403", "407", "408", "429", "500"}), ("error_ratio", {"500"})):
        codes = re.search(r'=~?"([^"]*5\.\.[^"]*)"', known[measure].promql)[1]
        some = ("200", "400", "401", "403", "404", "407", "408", "409", "422", "429", "500")
        assert {code for code in some if re.fullmatch(codes, code)} == failing, measure


def test_a_maximum_that_means_no_limit_is_no_pool_size():
    series = [*prometheus_of(python), gauge("go_sql_in_use_connections", 3, **Place("orders", "shop").scraped)]
    series.append(gauge("go_sql_max_open_connections", 0, **Place("orders", "shop").scraped))
    known = found(series, orders()).known
    assert known["pool_size"].promql.endswith("> 0)")
    assert ">" not in known["pool_in_use"].promql


@pytest.mark.parametrize(("names", "by"), [(["main"], "pod"), (["main", "readonly"], "pod, pool")])
def test_several_pools_of_a_pod_are_told_apart_and_a_single_one_needs_no_name(names, by):
    own = Place("orders", "shop").scraped
    parts = ("active", "max", "pending")
    series = [gauge(f"hikaricp_connections_{part}", 1, **own, pool=name) for name in names for part in parts]
    series.append(gauge("hikaricp_connections_active", 1, **Place("payments", "shop").scraped, pool="another"))
    known = found(series, orders()).known
    for measure in ("pool_in_use", "pool_size", "pool_waiting"):
        assert known[measure].promql.startswith(f"sum by ({by}) (")
        assert set(known[measure].labels) == set(by.split(", "))


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
    [("auto", None, 300), ("auto", 15.0, 300), ("auto", 120.0, 480), ("20s", 5.0, 20), ("2m", 60.0, 120), ("1m30s", None, 90)],
)
def test_the_rate_window_is_five_minutes_and_never_below_four_scrapes(rate_window, scrape_interval, seconds):
    expressions = resolve(
        orders(rate_window=rate_window), SeriesCatalogue(prometheus_of(python)), scrape_interval_seconds=scrape_interval
    )
    assert expressions.rate_window_seconds == seconds
    assert f"[{seconds}s]" in expressions.known["error_ratio"].promql


def test_the_finer_histogram_of_fastapi_is_read_wherever_no_route_is_asked_for():
    known = found(prometheus_of(fastapi), orders()).known
    finer = {name for name, expression in known.items() if "http_request_duration_highr_seconds" in expression.promql}
    assert finer == {"latency_quantile", "latency_mean", "latency_by_pod"}
    assert "http_request_duration_seconds_bucket" in known["latency_by_route"].promql


@pytest.mark.parametrize(("export", "ends"), [(python, 0.2), (milliseconds, 0.2), (istio, 0.2)])
def test_where_the_buckets_end_is_known_in_seconds(export, ends):
    known = found(prometheus_of(export), orders()).known
    assert known["latency_quantile"].ends == pytest.approx(ends)


def test_a_rate_window_without_two_scrapes_is_raised_and_that_is_told():
    expressions = resolve(orders(rate_window="1m"), SeriesCatalogue(prometheus_of(python)), scrape_interval_seconds=60.0)
    assert "[240s]" in expressions.known["error_ratio"].promql
    told = "instrumentation.rate_window 1m is shorter than 2 scrapes, which come every 60 s: rates are taken over 240 s."
    assert expressions.corrections == (told,)
    assert told in expressions.chosen


def test_a_pod_counts_as_ready_once_however_many_scrapes_tell_of_it():
    ready = found(prometheus_of(cluster), orders()).known["pods_ready"]
    assert ready.promql.startswith("sum(max by (pod) (kube_pod_status_ready{")


def test_the_cpu_of_a_container_counts_once_however_many_scrapes_tell_of_it():
    used = found(prometheus_of(cluster), orders()).known["cpu_usage"]
    assert used.promql.startswith("sum by (pod) (max by (pod, container, cpu) (rate(container_cpu_usage_seconds_total{")
    assert used.labels == {"pod": "pod"}


def test_an_override_has_its_placeholders_filled_and_the_unit_of_its_measure():
    own = 'sum by (pod) (busy{$selector,namespace="$namespace",pod=~"$pods"}) + rate(x[$window]) + 0 * $quantile'
    expression = found(prometheus_of(python), orders(metrics={"pool_in_use": own})).known["pool_in_use"]
    assert '{namespace="shop",service="orders",namespace="shop",pod=~"orders-' in expression.promql
    assert "[300s]" in expression.promql
    assert expression.promql_for(quantile="0.5").endswith("0 * 0.5")
    assert (expression.unit, dict(expression.labels)) == ("connections", {"pod": "pod", "pool": "pool"})


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


def counted_only(beside: str) -> list[Sample]:
    """A service that counts its requests and does not measure how long they take, and what stands in front of it."""
    counts = [one for one in prometheus_of(python) if "duration" not in one.labels["__name__"]]
    return [*counts, *prometheus_of(EXPORTERS[beside].export)]


@pytest.mark.parametrize(
    ("beside", "duration", "by_pod"),
    [
        ("istio", "istio_request_duration_milliseconds", True),
        ("ingress_nginx", "nginx_ingress_controller_request_duration_seconds", False),
        ("opentelemetry", "http_server_request_duration_seconds", True),
    ],
)
def test_a_service_that_only_counts_is_timed_by_what_stands_in_front_of_it(beside, duration, by_pod):
    series = counted_only(beside)
    expressions = found(series, orders())
    known = expressions.known
    assert "http_requests_total{" in known["error_ratio"].promql
    assert f"{duration}_bucket{{" in known["latency_quantile"].promql
    assert f"{duration}_sum{{" in known["latency_mean"].promql
    assert ("latency_by_pod" in known) == by_pod
    assert expressions.chosen[1].startswith(f"Their duration is that of {duration} (")
    own = [one.labels for one in EXPORTERS[beside].export(Place("orders", "shop"))]
    assert all(one.labels in own for one in selected(series, known["latency_quantile"].promql_for()))


def test_sum_and_count_of_the_service_itself_give_the_average_where_a_mesh_gives_the_percentile():
    known = found([*summary_of(), *prometheus_of(EXPORTERS["istio"].export)], orders()).known
    assert "http_request_duration_seconds_sum" in known["latency_mean"].promql
    assert "istio_request_duration_milliseconds_bucket" in known["latency_quantile"].promql


def test_the_duration_of_grpc_calls_is_not_that_of_http_requests():
    assert "latency_quantile" not in found(counted_only("grpc_go"), orders()).known


def test_the_average_of_milliseconds_is_in_seconds_and_that_of_a_native_histogram_by_its_functions():
    assert found(prometheus_of(EXPORTERS["milliseconds"].export), orders()).known["latency_mean"].promql.endswith("* 0.001")
    native = [Sample({"__name__": "http_request_duration_seconds", "code": "200", **Place("orders", "shop").scraped}, 1)]
    assert "sum (histogram_sum(rate(" in found(native, orders()).known["latency_mean"].promql


def asked_for(*routes: str, **labels: str) -> list[Sample]:
    """Requests by route, as a Prometheus client counts them."""
    own = {"__name__": "http_requests_total", "service": "orders", "namespace": "shop", "code": "200", **labels}
    return [Sample({**own, "path": route}, 1.0) for route in routes]


PROBES = ("/health", "/healthz", "/readyz", "/metrics", "/actuator/health/liveness", "/q/health/ready", "/-/healthy")


def test_requests_of_probes_are_none_of_customers():
    series = asked_for("/orders", "/health-insurance", "/live", "/orders/health", "", *PROBES)
    expressions = found(series, orders())
    for measure in ("request_rate", "error_ratio", "requests_by_status"):
        taken = {one.labels["path"] for one in selected(series, expressions.known[measure].promql)}
        assert taken == {"/orders", "/health-insurance", "/live", "/orders/health", ""}
    assert "path!~" in expressions.counted


def test_where_there_is_nothing_but_probes_they_are_counted():
    assert "path" not in found(asked_for(*PROBES), orders()).counted


@pytest.mark.parametrize(
    ("routes", "left"),
    [
        ((), {"/orders", "/health", "/internal/sync"}),
        (("/internal/.*",), {"/orders", "/health"}),
        (None, {"/orders", "/internal/sync"}),
    ],
)
def test_the_service_file_says_which_routes_count_as_no_requests(routes, left):
    series = asked_for("/orders", "/health", "/internal/sync")
    taken = selected(series, found(series, orders(probe_routes=routes)).counted)
    assert {one.labels["path"] for one in taken} == left


def test_its_own_health_path_is_a_probe_as_it_is_written():
    application = {"deployment": "orders", "selector": "app=orders", "health_path": "/internal/up.json"}
    series = asked_for("/orders", "/internal/up.json", "/internal/up-json")
    taken = selected(series, found(series, service("orders", components={"application": application})).counted)
    assert {one.labels["path"] for one in taken} == {"/orders", "/internal/up-json"}


def test_a_service_of_grpc_with_its_probes_on_http_is_counted_by_its_calls():
    call = {"__name__": "grpc_server_handled_total", "service": "orders", "namespace": "shop", "grpc_code": "OK"}
    expressions = found([*asked_for(*PROBES), Sample({**call, "grpc_method": "Place"}, 1.0)], orders())
    assert expressions.counted.startswith("grpc_server_handled_total")
    assert found([*asked_for("/orders"), Sample(call, 1.0)], orders()).counted.startswith("http_requests_total")
