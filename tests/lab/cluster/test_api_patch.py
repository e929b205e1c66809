"""The three kinds of patches change what they should, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lab.cluster.errors import BadRequest, Invalid, UnsupportedMediaType
from runbook_lab.cluster.patch import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, apply_patch, merge_patch
from runbook_lab.cluster.resources import BY_PLURAL

pytestmark = pytest.mark.lab

_DEPLOYMENTS = BY_PLURAL["deployments"]
_JSON = st.recursive(st.integers() | st.text(max_size=3), lambda inner: st.dictionaries(st.text(max_size=2), inner, max_size=3))
_MAPS = st.dictionaries(st.text(max_size=2), _JSON, max_size=3)


def deployment(env=(("A", "1"), ("B", "2"))):
    container = {"name": "orders", "image": "orders:1", "env": [{"name": name, "value": value} for name, value in env]}
    template = {"spec": {"containers": [container, {"name": "proxy", "image": "proxy:1"}], "tolerations": [{"key": "a"}]}}
    return {"metadata": {"name": "orders", "finalizers": ["x"]}, "spec": {"replicas": 3, "template": template}}


def patched(patch, kind=STRATEGIC_MERGE_PATCH, obj=None):
    return apply_patch(_DEPLOYMENTS, obj or deployment(), kind, json.dumps(patch).encode())


def containers(**change):
    return {"spec": {"template": {"spec": {"containers": [{"name": "orders", **change}]}}}}


def env_of(obj):
    entries = next(c for c in obj["spec"]["template"]["spec"]["containers"] if c["name"] == "orders")["env"]
    return [(entry["name"], entry["value"]) for entry in entries]


def test_a_strategic_patch_merges_containers_and_variables_by_name():
    result = patched(containers(env=[{"name": "B", "value": "9"}, {"name": "C", "value": "3"}]))

    assert sorted(env_of(result)) == [("A", "1"), ("B", "9"), ("C", "3")]
    names = [container["name"] for container in result["spec"]["template"]["spec"]["containers"]]
    assert sorted(names) == ["orders", "proxy"]
    assert result["spec"]["replicas"] == 3


def test_a_strategic_patch_deletes_a_member_and_replaces_a_list_on_demand():
    assert env_of(patched(containers(env=[{"name": "A", "$patch": "delete"}]))) == [("B", "2")]
    assert env_of(patched(containers(env=[{"name": "C", "value": "3"}, {"$patch": "replace"}]))) == [("C", "3")]


def test_a_strategic_patch_orders_members_as_it_says():
    patch = containers(**{"$setElementOrder/env": [{"name": "B"}, {"name": "A"}], "env": [{"name": "A", "value": "8"}]})

    assert env_of(patched(patch)) == [("B", "2"), ("A", "8")]


def test_a_strategic_patch_replaces_lists_without_a_key_and_merges_sets():
    result = patched({"metadata": {"finalizers": ["y"]}, "spec": {"template": {"spec": {"tolerations": [{"key": "b"}]}}}})

    assert result["metadata"]["finalizers"] == ["x", "y"]
    assert result["spec"]["template"]["spec"]["tolerations"] == [{"key": "b"}]
    assert patched({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"]}})["metadata"]["finalizers"] == []


def test_a_strategic_patch_keeps_only_the_keys_it_retains():
    before = deployment() | {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    result = patched({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}, obj=before)

    assert result["spec"]["strategy"] == {"type": "Recreate"}


def test_a_member_without_its_key_is_refused():
    with pytest.raises(BadRequest, match="does not contain declared merge key: name"):
        patched(containers(env=[{"value": "1"}]))


def test_null_deletes_in_both_merging_kinds():
    for kind in (MERGE_PATCH, STRATEGIC_MERGE_PATCH):
        assert "replicas" not in patched({"spec": {"replicas": None}}, kind)["spec"]


def test_a_json_patch_is_applied_as_a_whole_or_not_at_all():
    result = patched(
        [{"op": "test", "path": "/spec/replicas", "value": 3}, {"op": "remove", "path": "/spec/replicas"}], JSON_PATCH
    )
    assert "replicas" not in result["spec"]

    before = deployment()
    with pytest.raises(Invalid, match="a test of the JSON patch failed"):
        patched(
            [{"op": "remove", "path": "/spec/replicas"}, {"op": "test", "path": "/metadata/name", "value": "x"}],
            JSON_PATCH,
            before,
        )
    assert before == deployment()


def test_what_cannot_be_read_is_refused():
    with pytest.raises(UnsupportedMediaType, match="accepted media types include"):
        patched({}, "application/apply-patch+yaml")
    with pytest.raises(BadRequest, match="error decoding patch"):
        apply_patch(_DEPLOYMENTS, deployment(), MERGE_PATCH, b"{")
    with pytest.raises(BadRequest, match="cannot unmarshal a list"):
        patched([], MERGE_PATCH)


@given(obj=_MAPS, patch=_MAPS)
def test_a_merge_patch_applied_twice_changes_nothing_more(obj, patch):
    once = merge_patch(obj, patch)

    assert merge_patch(once, patch) == once


@given(obj=_MAPS, patch=_MAPS)
def test_where_there_are_no_lists_both_merging_kinds_agree(obj, patch):
    wrapped = {"metadata": {"name": "orders", "annotations": obj}}
    change = {"metadata": {"annotations": patch}}

    assert patched(change, STRATEGIC_MERGE_PATCH, wrapped) == patched(change, MERGE_PATCH, wrapped)
