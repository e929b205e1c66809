"""Objects are read and checked as Kubernetes does, with its words."""

import pytest

from runbook_lab.cluster.decoding import decode
from runbook_lab.cluster.errors import BadRequest, Invalid
from runbook_lab.cluster.quantity import parse_quantity
from runbook_lab.cluster.resources import BY_PLURAL
from runbook_lab.cluster.store import Store
from runbook_lab.cluster.validation import validate
from tests.lab.cluster.conftest import deployment_manifest, pod_manifest

pytestmark = pytest.mark.lab

_DEPLOYMENTS, _CONFIG_MAPS, _PODS = BY_PLURAL["deployments"], BY_PLURAL["configmaps"], BY_PLURAL["pods"]


def completed(plural, manifest):
    return Store(seed=1).create(plural, manifest, namespace="shop")


def causes(plural, manifest, old=None):
    with pytest.raises(Invalid) as caught:
        validate(BY_PLURAL[plural], manifest, old)
    return {cause.field: cause.message for cause in caught.value.causes}


def test_unknown_fields_are_dropped_and_told_or_refused():
    typo = {"metadata": {"name": "x"}, "dta": {"a": "1"}}

    assert decode(_CONFIG_MAPS, typo).unknown == ['unknown field "dta"']
    assert "dta" not in decode(_CONFIG_MAPS, typo).object
    assert decode(_CONFIG_MAPS, typo, field_validation="Ignore").unknown == []
    with pytest.raises(BadRequest, match='strict decoding error: unknown field "dta"'):
        decode(_CONFIG_MAPS, typo, field_validation="Strict")


def test_a_value_of_the_wrong_type_names_the_field():
    with pytest.raises(BadRequest, match=r"cannot unmarshal number into Go struct field ConfigMap\.data of type string"):
        decode(_CONFIG_MAPS, {"metadata": {"name": "x"}, "data": {"a": 1}})
    with pytest.raises(BadRequest, match=r"DeploymentSpec\.spec\.replicas of type int32"):
        decode(_DEPLOYMENTS, {"spec": {"replicas": True}})


def test_an_object_of_another_kind_is_refused():
    with pytest.raises(BadRequest, match="does not match the expected API version"):
        decode(_CONFIG_MAPS, {"apiVersion": "v1", "kind": "Secret"})


def test_amounts_may_be_numbers():
    limits = {"cpu": 1, "memory": "1Gi"}
    obj = {"spec": {"containers": [{"name": "a", "image": "b", "resources": {"limits": limits}}]}}

    assert decode(_PODS, obj).object["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}


def test_what_is_right_after_defaults_passes():
    validate(_DEPLOYMENTS, completed("deployments", deployment_manifest()))
    validate(_PODS, completed("pods", pod_manifest()))


def test_a_deployment_must_select_its_own_pods():
    manifest = deployment_manifest()
    manifest["spec"]["selector"] = {"matchLabels": {"app": "other"}}

    assert (
        "`selector` does not match template `labels`"
        in causes("deployments", completed("deployments", manifest))["spec.template.metadata.labels"]
    )


def test_every_broken_rule_is_a_cause():
    manifest = deployment_manifest(replicas=-1)
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container |= {"name": "Not_A_Label", "resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "2Gi", "cpu": "x"}}}
    found = causes("deployments", completed("deployments", manifest))

    at = "spec.template.spec.containers[0]"
    assert set(found) == {"spec.replicas", f"{at}.name", f"{at}.resources.requests", f"{at}.resources.requests[cpu]"}
    assert found["spec.replicas"] == "Invalid value: -1: must be greater than or equal to 0"
    assert "must be less than or equal to memory limit of 1Gi" in found[f"{at}.resources.requests"]


def test_required_fields_are_named_by_their_path():
    manifest = deployment_manifest()
    del manifest["spec"]["template"]["spec"]["containers"][0]["name"]

    assert causes("deployments", completed("deployments", manifest))["spec.template.spec.containers[0].name"] == "Required value"


def test_selectors_and_most_of_a_pod_never_change():
    old = completed("deployments", deployment_manifest())
    changed = completed("deployments", deployment_manifest("other"))
    changed["metadata"]["name"] = "orders"
    assert "field is immutable" in causes("deployments", changed, old)["spec.selector"]

    pod = completed("pods", pod_manifest())
    with_image, with_port = completed("pods", pod_manifest()), completed("pods", pod_manifest())
    with_image["spec"]["containers"][0]["image"] = "orders:2"
    with_port["spec"]["containers"][0]["ports"] = []
    validate(_PODS, with_image, pod)
    assert "pod updates may not change fields other than" in causes("pods", with_port, pod)["spec"]


def test_an_immutable_config_map_keeps_its_data():
    old = completed("configmaps", {"metadata": {"name": "x"}, "data": {"a": "1"}, "immutable": True})

    assert "immutable" in causes("configmaps", {**old, "data": {"a": "2"}}, old)["data"]


@pytest.mark.parametrize(
    ("text", "amount"),
    [("250m", 0.25), ("1.5Gi", 1.5 * 2**30), ("1e3", 1000), ("128M", 128e6), (2, 2), ("100n", 1e-7), (".5", 0.5)],
)
def test_quantities_have_decimal_and_binary_suffixes(text, amount):
    assert float(parse_quantity(text)) == pytest.approx(amount)


@pytest.mark.parametrize("text", ["", "1GB", "m", "1 Gi", "1ki"])
def test_other_suffixes_are_no_quantities(text):
    with pytest.raises(ValueError, match="quantities must match"):
        parse_quantity(text)
