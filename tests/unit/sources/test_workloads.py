from runbook_lib.sources.workloads import autoscaler_of, budget_of, deployment_facts, managed_by, names_read, references
from tests.unit.sources.objects import deployment, template


def test_a_deployment_is_told_with_what_its_template_reads():
    facts = deployment_facts(deployment())
    assert (facts["replicas"], facts["ready"], facts["updated"], facts["available"]) == (3, 2, 2, 1)
    assert (facts["revision"], facts["generation"], facts["observed_generation"]) == (3, 7, 7)
    assert facts["selector"] == "app=orders"
    assert facts["config_maps"] == ["orders-config"]
    assert facts["secrets"] == ["orders-tls"]
    assert facts["images"] == {"orders": "shop/orders:1.4.2"}
    assert facts["strategy"]["type"] == "RollingUpdate"
    assert facts["conditions"][0]["reason"] == "ReplicaSetUpdated"
    assert facts["paused"] is False


def test_a_deployment_scaled_to_nothing_wants_nothing():
    assert deployment_facts(deployment(replicas=0))["replicas"] == 0


def test_names_are_found_in_environment_volumes_and_projections():
    spec = template(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "single", "key": "a"}}}])["spec"]
    spec["volumes"].append(
        {"name": "p", "projected": {"sources": [{"configMap": {"name": "projected"}}, {"secret": {"name": "s"}}]}}
    )
    spec["initContainers"] = [{"name": "migrate", "envFrom": [{"secretRef": {"name": "migration"}}]}]
    assert names_read(spec, "configMap") == ["orders-config", "projected", "single"]
    assert names_read(spec, "secret") == ["migration", "orders-tls", "s"]


def test_what_pods_need_to_start_is_told_with_its_keys_and_whether_it_may_be_missing():
    secret = {"secretKeyRef": {"name": "orders-db", "key": "password"}}
    spec = template(env=[{"name": "A", "valueFrom": secret}, {"name": "B", "valueFrom": secret}])["spec"]
    spec["volumes"] = [{"name": "v", "configMap": {"name": "pages", "optional": True, "items": [{"key": "a"}, {"key": "b"}]}}]
    assert [tuple(one.values()) for one in references(spec)] == [
        ("configmap", "orders-config", None, False),
        ("configmap", "pages", "a", True),
        ("configmap", "pages", "b", True),
        ("secret", "orders-db", "password", False),
    ]


def test_a_gitops_controller_is_recognised_by_its_marks():
    assert managed_by({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/orders"}}) == "Argo CD"
    assert managed_by({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}) == "Flux"
    assert managed_by({"managedFields": [{"manager": "argocd-controller"}]}) == "Argo CD"
    assert managed_by({"labels": {"app.kubernetes.io/managed-by": "Helm"}}) == ""


def test_the_autoscaler_is_that_of_this_deployment():
    def autoscaler(name, target):
        spec = {"scaleTargetRef": {"kind": "Deployment", "name": target}, "minReplicas": 2, "maxReplicas": 10}
        return {"metadata": {"name": name}, "spec": spec, "status": {"currentReplicas": 3, "desiredReplicas": 4}}

    found = autoscaler_of([autoscaler("a", "payments"), autoscaler("b", "orders")], "orders")
    assert found is not None
    assert (found["name"], found["min_replicas"], found["max_replicas"], found["desired_replicas"]) == ("b", 2, 10, 4)
    assert autoscaler_of([autoscaler("a", "payments")], "orders") is None


def test_of_two_budgets_the_stricter_one_counts():
    def budget(name, allowed, **labels):
        return {
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels}, "minAvailable": "50%"},
            "status": {"disruptionsAllowed": allowed},
        }

    budgets = [budget("wide", 2, app="orders"), budget("strict", 0, app="orders"), budget("other", 0, app="payments")]
    assert budget_of(budgets, {"app": "orders"}) == {
        "name": "strict",
        "disruptions_allowed": 0,
        "min_available": "50%",
        "max_unavailable": None,
    }
    assert budget_of(budgets, {"app": "redis"}) is None
