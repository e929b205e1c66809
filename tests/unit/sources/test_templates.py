import copy

from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.sources.templates import difference
from tests.unit.sources.objects import template


def changes(old, new):
    return {path: (before, after, kind) for path, before, after, kind in difference(old, new)}


def test_the_same_template_differs_in_nothing():
    assert difference(template(), copy.deepcopy(template())) == []


def test_environment_is_compared_by_name_and_not_by_place():
    old = template(env=[{"name": "A", "value": "1"}, {"name": "POOL_SIZE", "value": "50"}])
    new = template(env=[{"name": "POOL_SIZE", "value": "5"}, {"name": "A", "value": "1"}, {"name": "B", "value": "2"}])
    assert changes(old, new) == {
        "containers[orders].env[POOL_SIZE]": ("50", "5", "env"),
        "containers[orders].env[B]": (None, "2", "env"),
    }


def test_each_part_of_a_template_has_its_kind():
    probe = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 5}
    old = template(image="shop/orders:1", resources={"limits": {"memory": "256Mi"}}, readinessProbe=probe, args=["serve"])
    new = template(
        image="shop/orders:2",
        resources={"limits": {"memory": "64Mi"}},
        readinessProbe={**probe, "periodSeconds": 50},
        args=["serve", "--fast"],
        volumeMounts=[{"name": "tls", "mountPath": "/tls"}],
        annotations={"kubectl.kubernetes.io/restartedAt": "2026-05-04T03:11:00Z"},
    )
    assert {path: kind for path, (_, _, kind) in changes(old, new).items()} == {
        "containers[orders].image": "image",
        "containers[orders].resources.limits.memory": "resources",
        "containers[orders].readinessProbe.periodSeconds": "probe",
        "containers[orders].args": "command",
        "containers[orders].volumeMounts[tls].mountPath": "volume",
        "annotations[kubectl.kubernetes.io/restartedAt]": "annotation",
    }


def test_another_config_map_or_secret_is_named_without_any_value():
    reference = {"secretKeyRef": {"name": "orders-db", "key": "password"}}
    old = template(env=[{"name": "DB", "valueFrom": reference}])
    new = template(
        env=[{"name": "DB", "valueFrom": {"secretKeyRef": {"name": "orders-db-2", "key": "password"}}}],
        envFrom=[{"configMapRef": {"name": "orders-config-v2"}}, {"secretRef": {"name": "extra"}, "prefix": "X_"}],
    )
    assert changes(old, new) == {
        "containers[orders].env[DB]": (
            "(from secret orders-db, key password)",
            "(from secret orders-db-2, key password)",
            "env",
        ),
        "containers[orders].envFrom": (
            "configmap/orders-config",
            "configmap/orders-config-v2, secret/extra with prefix X_",
            "env",
        ),
    }


def test_a_literal_secret_is_hidden_and_its_change_told():
    old = template(
        env=[{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "DSN", "value": "postgres://a:hunter2@db/x"}],
        args=["--db-password=hunter2", "--api-token", "hunter2", "--verbose"],
    )
    new = template(
        env=[{"name": "DB_PASSWORD", "value": "hunter3"}, {"name": "DSN", "value": "postgres://a:hunter3@db/x"}],
        args=["--db-password=hunter3", "--api-token", "hunter3", "--verbose"],
    )
    found = changes(old, new)
    assert set(found) == {"containers[orders].env[DB_PASSWORD]", "containers[orders].env[DSN]", "containers[orders].args"}
    assert "hunter" not in str(found)
    assert all(after.endswith("(changed)") for _, after, _ in found.values())
    assert "--verbose" in found["containers[orders].args"][0]


def test_the_hash_that_kubernetes_adds_is_no_change():
    old, new = template(), template()
    old["metadata"]["labels"]["pod-template-hash"], new["metadata"]["labels"]["pod-template-hash"] = "1", "2"
    new["metadata"]["labels"]["version"] = "2"
    assert changes(old, new) == {"labels[version]": (None, "2", "label")}


def test_a_volume_that_says_nothing_but_its_kind_is_told():
    new = template()
    new["spec"]["volumes"].append({"name": "scratch", "emptyDir": {}})
    assert changes(template(), new) == {"volumes[scratch].emptyDir": (None, "{}", "volume")}


@given(st.dictionaries(st.text("ABC", min_size=1, max_size=2), st.text("xy", max_size=3), max_size=5),
       st.dictionaries(st.text("ABC", min_size=1, max_size=2), st.text("xy", max_size=3), max_size=5))  # fmt: skip
def test_exactly_the_variables_that_differ_are_told(old, new):
    def env(values):
        return template(env=[{"name": key, "value": value} for key, value in values.items()])

    expected = {f"containers[orders].env[{key}]" for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    assert set(changes(env(old), env(new))) == expected


def test_short_names_and_short_options_hide_their_values_too():
    old, new = [
        template(env=[{"name": "DB_PASS", "value": value}], args=["--pass", value, "-v"]) for value in ("hunter2", "hunter3")
    ]
    found = changes(old, new)
    assert "hunter" not in str(found)
    assert found["containers[orders].args"][0] == '["--pass", "(hidden)", "-v"]'
