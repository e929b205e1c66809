from types import SimpleNamespace

import pytest

from runbook_lib import testing as fakes
from runbook_lib.doctor import Examination, examine, usable
from runbook_lib.errors import SourceRefused, SourceUnreachable
from runbook_lib.models.finding import SourceStatus
from runbook_lib.service import Service
from runbook_lib.sources.interface import Sources

NAMES = {
    "metrics": "prometheus",
    "cluster": "kubernetes",
    "logs": "logs",
    "database": "postgres",
    "cache": "redis",
    "http": "http",
}


def service(**connections) -> Service:
    return Service.model_validate(
        {
            "name": "orders",
            "environment": "test",
            "overview": {"purpose": "Takes orders", "owner": "Orders team", "tier": 1},
            "components": {
                "application": {
                    "deployment": "orders",
                    "selector": "app=orders",
                    "config_map": "orders-config",
                    "kubernetes_service": "orders-web",
                }
            },
            "connections": connections,
        }
    )


class Cluster:
    """A cluster that lacks the permissions of `denied`, the objects of `missing`, and has this many pods."""

    namespace = "shop"

    def __init__(self, *, denied: set[str] = frozenset(), missing: set[str] = frozenset(), pods: int = 3) -> None:
        self.denied, self.missing, self.count = denied, missing, pods

    def probe(self) -> SourceStatus:
        return SourceStatus(name="kubernetes", status="ok", seconds=0.01)

    def identity(self) -> str:
        return "system:serviceaccount:shop:reader"

    def can(self, verb, resource, *, group="", name=None, subresource=None) -> bool:
        return f"{verb} {resource}" not in self.denied

    def deployment(self, name):
        return self._read(f"deployment {name}")

    def config_map(self, name):
        return self._read(f"config map {name}")

    def service(self, name):
        return self._read(f"service {name}")

    def pods(self, selector):
        return [selector] * self.count

    def _read(self, what):
        if what in self.missing:
            raise SourceRefused("kubernetes", f"there is no {what}")
        return {}


def sources(fake=None, /, *, prometheus=None, **states: str) -> Sources:
    """Sources that answer, but for those named with another state."""

    def source(field: str):
        status = SourceStatus(name=NAMES[field], status=states.get(field, "ok"), error=states.get(field), seconds=0.01)
        return SimpleNamespace(probe=lambda: status, close=lambda: None)

    made = {field: source(field) for field in NAMES}
    if fake is not None:
        made["cluster"] = fake
    if prometheus is not None:
        made["metrics"] = prometheus
    return Sources(**made)


class Exported(dict):
    """Expressions that know these names."""

    corrections = ()

    def __init__(self, *missing: str, unanswered: tuple[str, ...] = ()) -> None:
        from runbook_lib.doctor import _FURTHER_METRICS, _SYMPTOM_METRICS

        names = {*_SYMPTOM_METRICS, *(name for names, _ in _FURTHER_METRICS for name in names)}
        super().__init__({name: object() for name in names - set(missing)})
        self.unanswered = unanswered

    def why_unknown(self, name: str) -> str:
        return "" if name in self else "; ".join(self.unanswered)


def seen(chosen=None, opened=None, *, operator=None, expressions=Exported) -> dict[str, Examination]:
    cluster = Cluster()
    found = examine(
        chosen or service(), opened or sources(cluster), operator=lambda: operator or cluster, expressions=lambda: expressions()
    )
    return {f"{one.area} {one.name}": one for one in found}


def test_a_service_of_which_everything_answers_is_usable():
    found = seen()
    assert usable(list(found.values()))
    assert {one.state for one in found.values()} == {"ok"}
    assert found["permission reading"].found == "as system:serviceaccount:shop:reader"
    assert found["object pods app=orders"].found == "3 pods"


def test_a_reference_that_does_not_resolve_is_wrong_and_names_its_field(monkeypatch):
    monkeypatch.delenv("NO_SUCH_DSN", raising=False)
    found = seen(service(postgres={"dsn": "env:NO_SUCH_DSN"}))
    assert found["reference service.connections.postgres.dsn"].state == "wrong"
    assert not usable(list(found.values()))


def test_a_resolved_secret_is_not_shown(monkeypatch):
    monkeypatch.setenv("ORDERS_PASSWORD", "hunter2")
    found = seen(service(postgres={"dsn": "host=db", "password": "env:ORDERS_PASSWORD"}))
    assert found["reference service.connections.postgres.password"].state == "ok"
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("state", ["unreachable", "timeout", "refused", "invalid_answer"])
def test_a_source_that_does_not_answer_is_wrong_with_its_mend(state):
    found = seen(opened=sources(Cluster(), database=state))
    assert found["connection postgres"].state == "wrong"
    assert found["connection postgres"].mend


def test_a_source_that_is_not_configured_is_a_note():
    found = seen(opened=sources(Cluster(), cache="not_configured"))
    assert found["connection redis"].state == "note"
    assert usable(list(found.values()))


def test_with_a_dead_cluster_or_prometheus_nothing_else_is_asked_of_them():
    found = seen(opened=sources(cluster="unreachable", metrics="unreachable"))
    assert {one.area for one in found.values()} == {"connection"}


def test_a_missing_permission_is_a_note_that_says_who_needs_what():
    found = seen(opened=sources(Cluster(denied={"get pods"})), operator=Cluster(denied={"patch deployments"}))
    assert (
        found["permission get pods/log"].mend
        == "give system:serviceaccount:shop:reader the verb get on pods/log in namespace shop"
    )
    assert found["permission patch deployments.apps"].state == "note"
    assert usable(list(found.values()))


def test_an_object_that_is_not_there_is_wrong():
    found = seen(opened=sources(Cluster(missing={"deployment orders"})))
    assert found["object deployment orders"].mend == "correct components.application.deployment"
    assert not usable(list(found.values()))


def test_a_service_that_is_not_there_is_wrong():
    found = seen(opened=sources(Cluster(missing={"service orders-web"})))
    assert found["object service orders-web"].mend == "correct components.application.kubernetes_service"


def test_what_actions_need_beside_the_deployment_is_looked_at_too():
    found = seen(operator=Cluster(denied={"create pods"}))
    assert found["permission create pods/eviction"].state == "note"
    assert found["permission delete networkpolicies.networking.k8s.io"].state == "ok"


def test_no_pods_are_a_note_since_the_service_may_be_down():
    assert seen(opened=sources(Cluster(pods=0)))["object pods app=orders"].state == "note"


def test_metrics_of_the_symptom_must_be_there_and_others_are_missed():
    found = seen(expressions=lambda: Exported("error_ratio", "pool_size"))
    assert found["metric error_ratio"].state == "wrong"
    assert found["metric the connection pool"].state == "note"
    assert "instrumentation.metrics.pool_size" in found["metric the connection pool"].mend


def test_a_prometheus_that_dies_in_between_is_told():
    def dead():
        raise SourceUnreachable("prometheus", "connection refused")

    assert seen(expressions=dead)["metric instrumentation"].state == "wrong"


def test_metrics_that_were_not_found_while_a_store_did_not_answer_are_told_as_that():
    found = seen(expressions=lambda: Exported("error_ratio", "pool_size", unanswered=("store-1 is down",)))
    assert found["metric error_ratio"].found.startswith("not found, while not all of Prometheus answered")
    assert "not exported" not in found["metric the connection pool"].found


def test_a_rate_window_that_had_to_be_raised_is_told():
    exported = Exported()
    exported.corrections = ("rates are taken over 240 s.",)
    raised = seen(expressions=lambda: exported)["metric rate window"]
    assert (raised.state, raised.found) == ("note", "rates are taken over 240 s.")


def test_calls_that_the_metrics_name_otherwise_are_told_with_the_names_there_are():
    shop = fakes.service()
    metrics = fakes.FakeMetrics({"downstream_rate": fakes.line(1.0, downstream="inventory:8080")})
    found = seen(shop, sources(Cluster(), prometheus=metrics), expressions=metrics.expressions)
    assert found["metric calls to inventory"].state == "ok"
    assert found["metric calls to payments"].state == "note"
    assert found["metric calls to payments"].found == "no calls named payments are measured; there are: inventory:8080"
    assert "`label`" in found["metric calls to payments"].mend
