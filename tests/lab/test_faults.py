"""Each fault shows where a real one would - metrics, logs, database, cluster - in time, and `lab heal` undoes it."""

import json
import urllib.request

import pytest

pytestmark = pytest.mark.lab

_SYMPTOM_SECONDS = 45


def more_than_five_percent_fail(lab):
    return (lab.measured.error_ratio() or 0) > 0.05


def wait_for_symptom(lab):
    lab.until("an error ratio above 5 %", lambda: more_than_five_percent_fail(lab), seconds=_SYMPTOM_SECONDS)


def heals(lab):
    done = lab.heal()
    assert done
    assert lab.measured.error_ratio() == 0
    assert not lab.measured.alert_fires()
    return done


def test_lost_connections_fill_the_pool_until_requests_time_out(shop_lab):
    (told,) = shop_lab.fault("db_pool_exhausted", "--seed", "3")
    assert (told["name"], told["seed"]) == ("db_pool_exhausted", 3)
    wait_for_symptom(shop_lab)
    idle = "select count(*) from pg_stat_activity where application_name = 'orders' and state = 'idle in transaction'"
    shop_lab.until("a full pool", lambda: shop_lab.sql(idle)[0][0] >= 13)
    full = 'sum(db_pool_connections_in_use{service="orders"}) / sum(db_pool_connections_max{service="orders"}) > 0.8'
    shop_lab.until("a full pool in the metrics", lambda: shop_lab.measured.value(full) is not None)
    assert shop_lab.measured.value('sum(rate(db_pool_timeouts_total{service="orders"}[20s])) > 0') is not None
    assert "PoolTimeout: couldn't get a connection after 0.50 sec" in shop_lab.logs()
    shop_lab.until("the alert", shop_lab.measured.alert_fires, seconds=30)
    assert sum(text.startswith("replaced pod/orders-") for text in heals(shop_lab)) == 3


def test_restarting_the_pods_ends_the_loss_of_connections(shop_lab):
    shop_lab.fault("db_pool_exhausted", "--seed", "4", "--intensity", "1")
    wait_for_symptom(shop_lab)
    shop_lab.kubectl("rollout", "restart", "deploy/orders")
    shop_lab.kubectl("rollout", "status", "deploy/orders", "--timeout=60s")
    shop_lab.until("recovery", lambda: not more_than_five_percent_fail(shop_lab), seconds=45)


def test_slow_payments_time_out_until_the_breaker_is_opened(shop_lab):
    shop_lab.fault("downstream_timeout", "--seed", "3")
    wait_for_symptom(shop_lab)
    timeouts = 'sum(rate(downstream_requests_total{service="orders",downstream="payments",outcome="timeout"}[20s])) > 0'
    assert shop_lab.measured.value(timeouts) is not None
    assert shop_lab.measured.value('sum(rate(http_requests_total{service="orders",status="504"}[20s])) > 0') is not None
    assert "no answer within 2 s" in shop_lab.logs()
    token = shop_lab.home.read("admin.token")
    addresses = shop_lab.kubectl("get", "pods", "-l", "app=orders", "-o", "jsonpath={.items[*].status.podIP}").split()
    for address in addresses:
        url = f"http://{address}:8080/admin/circuit-breaker/open?name=payments"
        request = urllib.request.Request(url, method="POST", headers={"Authorization": f"Bearer {token}"})
        urllib.request.urlopen(request, timeout=5).close()
    shop_lab.until("orders without payments", lambda: not more_than_five_percent_fail(shop_lab), seconds=45)
    unpaid = "select count(*) from orders where status = 'unpaid' and created_at > now() - interval '10 seconds'"
    assert shop_lab.sql(unpaid)[0][0] > 0
    assert any("closed the circuit breaker of payments" in text for text in heals(shop_lab))


def test_leaked_memory_fails_requests_and_ends_in_an_oom_kill(shop_lab):
    shop_lab.fault("memory_leak", "--seed", "3")
    wait_for_symptom(shop_lab)
    assert "MemoryError: cannot allocate" in shop_lab.logs()
    near = 'max(container_memory_working_set_bytes{container="orders"}) / (128 * 1024 * 1024) > 0.9'
    assert shop_lab.measured.value(near) is not None

    def is_killed():
        pods = json.loads(shop_lab.kubectl("get", "pods", "-l", "app=orders", "-o", "json"))["items"]
        states = [pod["status"]["containerStatuses"][0]["lastState"] for pod in pods]
        return any(state.get("terminated", {}).get("reason") == "OOMKilled" for state in states)

    shop_lab.until("an OOM kill", is_killed, seconds=90)
    killed = 'kube_pod_container_status_last_terminated_reason{container="orders",reason="OOMKilled"} == 1'
    shop_lab.until("the OOM kill in the metrics", lambda: shop_lab.measured.value(f"count({killed})") is not None, seconds=20)
    heals(shop_lab)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("code", "KeyError: 'loyalty'"),
        ("pool", "PoolTimeout"),
        ("address", "POST http://"),
        ("config_map", "PoolTimeout"),
    ],
)
def test_a_bad_deployment_is_a_real_revision_and_fails_in_its_own_way(shop_lab, kind, error):
    template = ("get", "deploy/orders", "-o", "jsonpath={.metadata.annotations['deployment\\.kubernetes\\.io/revision']}")
    before = int(shop_lab.kubectl(*template))
    shop_lab.fault("bad_deployment", "--kind", kind, "--seed", "3")
    wait_for_symptom(shop_lab)
    assert error in shop_lab.logs()
    assert int(shop_lab.kubectl(*template)) == before + 1
    heals(shop_lab)
    assert shop_lab.kubectl("get", "deploy/orders", "-o", "jsonpath={..image}") == "lab/orders:1.4.2"
    assert shop_lab.kubectl("get", "cm/orders-config", "-o", "jsonpath={.data.DATABASE_POOL_SIZE}") == "5"


def test_undoing_the_rollout_ends_a_bad_deployment(shop_lab):
    shop_lab.fault("bad_deployment", "--kind", "address", "--seed", "5")
    wait_for_symptom(shop_lab)
    shop_lab.kubectl("rollout", "undo", "deploy/orders")
    shop_lab.until("recovery", lambda: not more_than_five_percent_fail(shop_lab), seconds=60)


def test_two_faults_go_in_together_and_are_healed_together(shop_lab):
    told = shop_lab.fault("db_pool_exhausted", "downstream_timeout", "--seed", "7")
    assert [fault["name"] for fault in told] == ["db_pool_exhausted", "downstream_timeout"]
    shop_lab.until("both", lambda: {"PoolTimeout", "no answer within"} <= seen_in(shop_lab.logs()), seconds=_SYMPTOM_SECONDS)
    heals(shop_lab)


def seen_in(text):
    return {words for words in ("PoolTimeout", "no answer within") if words in text}


@pytest.mark.parametrize("kind", ["full", "flushed", "ttl"])
def test_a_cache_that_is_missed_makes_orders_wait_until_it_is_healed(shop_lab, kind):
    shop_lab.fault("cache_miss", "--kind", kind, "--seed", "3")
    misses = 'sum(rate(cache_misses_total{service="orders"}[20s])) > 5'
    shop_lab.until("misses", lambda: shop_lab.measured.value(misses) is not None, seconds=_SYMPTOM_SECONDS)
    shop_lab.until("the alert", lambda: shop_lab.measured.alert_fires("high_latency"), seconds=90)
    assert shop_lab.measured.error_ratio() == 0
    assert ("OOM command not allowed" in shop_lab.logs()) == (kind == "full")
    heals(shop_lab)
    shop_lab.until("hits only", lambda: shop_lab.measured.value(misses) is None, seconds=30)
