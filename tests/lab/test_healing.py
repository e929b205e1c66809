"""`lab heal` after what people do by hand."""

import os
import signal

import pytest
import redis

pytestmark = pytest.mark.lab


def test_a_lab_that_is_well_is_left_alone(shop_lab):
    pods = shop_lab.kubectl("get", "pods", "-o", "name")
    assert shop_lab.heal() == []
    assert shop_lab.kubectl("get", "pods", "-o", "name") == pods


def test_a_session_that_holds_a_lock_is_ended(shop_lab):
    with shop_lab.session(autocommit=False) as holding:
        holding.execute("lock table orders in access exclusive mode")
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'orders'"
        shop_lab.until("orders to wait for the lock", lambda: shop_lab.sql(waiting)[0][0] > 5)
        assert any("database sessions" in text for text in shop_lab.heal())
        holding.close()


def test_changed_roles_and_settings_of_the_database_are_reset(shop_lab):
    shop_lab.sql("alter role orders connection limit 2")
    shop_lab.sql("alter role orders set statement_timeout = '20ms'")
    shop_lab.sql("alter system set work_mem = '64kB'")
    shop_lab.sql("revoke insert on orders from orders")
    shop_lab.heal()
    assert shop_lab.sql("select rolconnlimit, rolconfig from pg_roles where rolname = 'orders'") == [(-1, None)]
    assert shop_lab.sql("select count(*) from pg_file_settings where name = 'work_mem' and applied") == [(0,)]
    assert shop_lab.sql("select has_table_privilege('orders', 'orders', 'insert')") == [(True,)]


def test_sessions_that_began_under_a_changed_setting_are_ended(shop_lab):
    sessions = "select pid from pg_stat_activity where usename = 'orders'"
    shop_lab.sql("alter database shop set default_transaction_read_only = on")
    before = shop_lab.sql(sessions)
    assert any("database sessions" in text for text in shop_lab.heal())
    assert not set(before) & set(shop_lab.sql(sessions))


def test_indexes_are_those_of_the_schema_again(shop_lab):
    shop_lab.sql("drop index order_archive_customer")
    shop_lab.sql("create index order_archive_hot on order_archive (amount)")
    assert {"dropped index order_archive_hot", "created index order_archive_customer again"} <= set(shop_lab.heal())
    assert shop_lab.sql("select count(*) from pg_indexes where tablename = 'order_archive'") == [(2,)]


def test_redis_settings_and_feature_flags_are_restored(shop_lab):
    with redis.Redis.from_url(shop_lab.home.read("redis.url"), decode_responses=True) as client:
        client.hset("orders:features", "recommendations", "off")
        client.config_set("maxmemory", "1mb")
        assert {"set maxmemory of Redis to 67108864", "switched feature recommendations on"} <= set(shop_lab.heal())
        assert client.config_get("maxmemory") == {"maxmemory": "67108864"}


def test_a_redis_that_asks_for_a_password_is_replaced(shop_lab):
    with redis.Redis.from_url(shop_lab.home.read("redis.url")) as client:
        client.config_set("requirepass", "nobody knows")
    assert "replaced pod/redis-0" in shop_lab.heal()


def test_stopped_processes_go_on(shop_lab):
    pod = shop_lab.kubectl("get", "pod", "-l", "app=inventory", "-o", "jsonpath={.items[0].metadata.name}")
    # Not the host's name: another lab's pods may have the same.
    variable = f"LAB_DATA_DIR={shop_lab.home.pod_directory(pod)}"
    pids = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and has_variable(pid, variable)]  # noqa: PTH208
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert {f"continued process {pid}" for pid in pids} <= set(shop_lab.heal())


def has_variable(pid, variable):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            return variable.encode() in file.read().split(b"\0")
    except OSError:
        return False


def test_objects_edited_or_deleted_with_kubectl_are_as_the_manifests_say(shop_lab):
    shop_lab.kubectl("set", "env", "deploy/orders", "CACHE_SECONDS=1")
    shop_lab.kubectl("scale", "deploy/payments", "--replicas=1")
    shop_lab.kubectl("patch", "cm/orders-config", "--type=merge", "-p", '{"data":{"FEATURES":"none"}}')
    shop_lab.kubectl("delete", "service", "inventory")
    done = shop_lab.heal()
    assert {
        "restored deployment/orders",
        "restored deployment/payments",
        "restored configmap/orders-config",
        "created service/inventory again",
    } <= set(done)
    assert shop_lab.kubectl("get", "deploy/payments", "-o", "jsonpath={.status.availableReplicas}") == "2"


def test_pods_that_crash_are_replaced(shop_lab):
    shop_lab.kubectl("patch", "cm/orders-config", "--type=merge", "-p", '{"data":{"DATABASE_POOL_SIZE":"many"}}')
    shop_lab.kubectl("rollout", "restart", "deploy/orders")
    crashing = ("get", "pods", "-l", "app=orders", "-o", "jsonpath={..state.waiting.reason}")
    shop_lab.until("a crash loop", lambda: "CrashLoopBackOff" in shop_lab.kubectl(*crashing))
    shop_lab.heal()
    assert shop_lab.kubectl(*crashing) == ""
