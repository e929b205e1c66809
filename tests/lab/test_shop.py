"""The lab as `runbook lab up` leaves it: stock kubectl, real servers, and a shop in which nothing fails."""

import json
import urllib.request

import psycopg
import pytest
import redis

pytestmark = pytest.mark.lab


def test_stock_kubectl_sees_the_shop(shop_lab):
    pods = json.loads(shop_lab.kubectl("get", "pods", "-o", "json"))["items"]
    apps = sorted(pod["metadata"]["labels"]["app"] for pod in pods)
    assert apps == ["inventory", "loadgen", *["orders"] * 3, *["payments"] * 2, "postgres", "redis"]
    assert shop_lab.kubectl("get", "deploy/orders", "-o", "jsonpath={.status.availableReplicas}") == "3"
    assert "DATABASE_POOL_SIZE" in shop_lab.kubectl("describe", "configmap", "orders-config")
    assert "orders listens on" in shop_lab.kubectl("logs", "-l", "app=orders", "--tail=-1")
    assert shop_lab.kubectl("top", "pods", "-l", "app=orders", "--no-headers").count("Mi") == 3
    assert "successfully rolled out" in shop_lab.kubectl("rollout", "status", "deploy/orders", "--timeout=30s")


def test_psql_and_redis_cli_run_in_their_pods(shop_lab):
    counted = shop_lab.kubectl("exec", "postgres-0", "--", "psql", "-U", "postgres", "-d", "shop", "-Atc", "select 1 + 1")
    assert counted.strip() == "2"
    address = shop_lab.kubectl("get", "pod", "redis-0", "-o", "jsonpath={.status.podIP}")
    assert shop_lab.kubectl("exec", "redis-0", "--", "redis-cli", "-h", address, "ping").strip() == "PONG"


def test_orders_are_taken_and_nothing_fails(shop_lab):
    before = shop_lab.sql("select count(*) from orders")[0][0]
    shop_lab.until("more orders", lambda: shop_lab.sql("select count(*) from orders")[0][0] > before + 20, seconds=20)
    assert shop_lab.measured.error_ratio() == 0
    assert not shop_lab.measured.alert_fires()


@pytest.mark.parametrize(
    "query",
    [
        'sum(rate(http_requests_total{service="orders",namespace="shop",status="200"}[20s])) > 5',
        'count(db_pool_connections_max{service="orders"} == 5) == 3',
        'count(circuit_breaker_state{service="orders",downstream="payments"} == 0) == 3',
        'sum(rate(downstream_requests_total{service="orders",downstream="payments",outcome="ok"}[20s])) > 1',
        'count(container_memory_working_set_bytes{namespace="shop",container="orders"} > 10e6) >= 3',
        'kube_deployment_status_replicas_available{deployment="orders"} == 3',
        'count(kube_pod_container_resource_limits{resource="memory",container="orders"} == 128 * 1024 * 1024) == 3',
    ],
)
def test_prometheus_has_the_names_that_real_shops_and_clusters_have(shop_lab, query):
    shop_lab.until(query, lambda: shop_lab.measured.value(query) is not None, seconds=20)


def test_the_addresses_in_the_home_lead_to_the_servers_and_hold_no_password(shop_lab):
    home = shop_lab.home
    assert home.read("postgres.password") not in home.read("postgres.dsn")
    with psycopg.connect(home.read("postgres.dsn"), password=home.read("postgres.password")) as connection:
        assert connection.execute("show transaction_read_only").fetchone() == ("on",)
    with redis.Redis.from_url(home.read("redis.url")) as client:
        assert client.ping()
    for name in ("orders", "payments", "inventory"):
        with urllib.request.urlopen(home.read(f"{name}.url") + "/health", timeout=5) as response:
            assert response.status == 200


def test_status_tells_what_answers_and_which_faults_are_in(shop_lab, tmp_path):
    found = json.loads(shop_lab.runbook("lab", "status", "--json").stdout)
    assert found["state"] == "ready"
    assert all(found["parts"].values())
    assert found["faults"] == []
    nowhere = shop_lab.runbook("lab", "status", "--home", str(tmp_path), check=False)
    assert nowhere.returncode == 1
    assert "down" in nowhere.stdout


def test_a_watch_that_somebody_interrupts_leaves_no_trace_in_the_lab_s_log(shop_lab):
    log = shop_lab.home.logs / "supervisor.log"
    shop_lab.kubectl("get", "pods", "-w", "--request-timeout=2s", check=False)
    shop_lab.kubectl("delete", "pod", "-l", "app=inventory")
    shop_lab.kubectl("rollout", "status", "deploy/inventory", "--timeout=30s")
    assert "Traceback" not in log.read_text()
