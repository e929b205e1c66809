"""Server-side apply: who manages which field, and what that means for the next one who applies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lab.cluster.apply import apply_configuration
from runbook_lab.cluster.errors import ApplyConflict, BadRequest, TypedPatchError
from runbook_lab.cluster.field_set import both, either, without
from runbook_lab.cluster.resources import BY_PLURAL
from runbook_lab.cluster.store import Store

_CONFIG_MAPS, _DEPLOYMENTS = BY_PLURAL["configmaps"], BY_PLURAL["deployments"]
_NOW = "2026-01-02T03:04:05Z"


class Cluster:
    """A store to which several managers apply."""

    def __init__(self, resource):
        self.store, self.resource, self.object = Store(seed=1), resource, None

    def apply(self, manager, *, force=False, **parts):
        config = {"metadata": {"name": "it", "namespace": "shop"}, **parts}
        new, managed = apply_configuration(
            self.resource, self.object, config, manager=manager, subresource=None, force=force, now=_NOW
        )
        write = self.store.create if self.object is None else self.store.update
        self.object = write(self.resource.plural, new, manager=manager, managed=managed)
        return self.object

    def update(self, manager, edit):
        edit(self.object)
        self.object = self.store.update(self.resource.plural, self.object, manager=manager)

    def managed(self, manager):
        entries = self.object["metadata"]["managedFields"]
        return next((entry["fieldsV1"] for entry in entries if entry["manager"] == manager), None)


@pytest.fixture
def config():
    return Cluster(_CONFIG_MAPS)


@pytest.fixture
def workload():
    return Cluster(_DEPLOYMENTS)


def spec(*containers, replicas=2):
    template = {"metadata": {"labels": {"app": "it"}}, "spec": {"containers": [*containers]}}
    return {"replicas": replicas, "selector": {"matchLabels": {"app": "it"}}, "template": template}


def containers(obj):
    return {entry["name"]: entry for entry in obj["spec"]["template"]["spec"]["containers"]}


def test_another_managers_value_is_changed_only_by_force(config):
    config.apply("team", data={"a": "1", "b": "1"})
    with pytest.raises(ApplyConflict) as refused:
        config.apply("other", data={"a": "2"})
    assert refused.value.message == 'Apply failed with 1 conflict: conflict with "team": .data.a'
    assert refused.value.status()["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "team"', "field": ".data.a"}
    ]

    assert config.apply("other", data={"a": "2"}, force=True)["data"] == {"a": "2", "b": "1"}
    assert config.managed("team") == {"f:data": {"f:b": {}}}


def test_what_is_applied_no_more_is_removed_unless_somebody_else_manages_it(config):
    config.apply("team", data={"mine": "1", "ours": "1"})
    config.apply("other", data={"ours": "1"})

    assert config.apply("team", data={})["data"] == {"ours": "1"}
    assert config.apply("other", data={"new": "1"})["data"] == {"new": "1"}


def test_who_changes_a_field_by_an_update_manages_it_and_is_named_with_the_version(workload):
    workload.apply("team", spec=spec({"name": "web", "image": "web:1"}))
    workload.update("kubectl-edit", lambda obj: obj["spec"].update(replicas=5))
    workload.update("kubectl-set", lambda obj: containers(obj)["web"].update(image="web:2"))
    with pytest.raises(ApplyConflict) as refused:
        workload.apply("team", spec=spec({"name": "web", "image": "web:1"}))

    assert refused.value.message == (
        'Apply failed with 2 conflicts: conflicts with "kubectl-edit" using apps/v1:\n- .spec.replicas\n'
        'conflicts with "kubectl-set" using apps/v1:\n- .spec.template.spec.containers[name="web"].image'
    )


def test_containers_variables_and_ports_have_managers_of_their_own(workload):
    workload.apply("team", spec=spec({"name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}]}))
    added = {"name": "web", "env": [{"name": "B", "value": "2"}], "ports": [{"containerPort": 80}]}
    workload.apply("other", spec=spec(added, {"name": "proxy", "image": "proxy:1"}))
    found = containers(workload.object)
    assert found["web"]["image"] == "web:1"
    assert [entry["name"] for entry in found["web"]["env"]] == ["A", "B"]
    assert 'k:{"containerPort":80,"protocol":"TCP"}' in str(workload.managed("other"))

    workload.apply("other", spec=spec({"name": "web", "ports": [{"containerPort": 80}]}))
    found = containers(workload.object)
    assert set(found) == {"web"}
    assert [entry["name"] for entry in found["web"]["env"]] == ["A"]


def test_a_default_has_no_manager_and_comes_back_when_a_field_is_let_go(workload):
    workload.apply("team", spec=spec({"name": "web", "image": "web:1"}, replicas=4))
    without_replicas = spec({"name": "web", "image": "web:1"})
    del without_replicas["replicas"]

    assert workload.apply("team", spec=without_replicas)["spec"]["replicas"] == 1
    assert "f:replicas" not in str(workload.managed("team"))
    assert "f:strategy" not in str(workload.managed("team"))


def test_applying_the_same_again_changes_nothing(workload):
    first = workload.apply("team", spec=spec({"name": "web", "image": "web:1"}))
    assert workload.apply("team", spec=spec({"name": "web", "image": "web:1"})) == first


def test_a_client_may_hand_the_fields_of_one_manager_to_another_or_to_nobody(config):
    config.apply("team", data={"a": "1"})
    config.update("patch", lambda obj: obj["metadata"]["managedFields"][0].update(manager="heir"))
    assert (config.managed("team"), config.managed("heir")) == (None, {"f:data": {"f:a": {}}})
    config.update("patch", lambda obj: obj["metadata"].pop("managedFields"))
    assert config.managed("heir"), "who knows nothing of managers leaves them as they are"
    config.update("patch", lambda obj: obj["metadata"].update(managedFields=[{}]))
    assert config.object["metadata"]["managedFields"] == []


def test_a_list_whose_members_cannot_be_told_apart_is_refused(workload):
    with pytest.raises(TypedPatchError, match=r'containers: duplicate entries for key \[name="web"\]'):
        workload.apply("team", spec=spec({"name": "web"}, {"name": "web"}))
    with pytest.raises(TypedPatchError, match='element 0: associative list with keys has an element that omits key field "name"'):
        workload.apply("team", spec=spec({"image": "web:1"}))
    with pytest.raises(BadRequest, match=r"metadata\.managedFields must be nil"):
        workload.apply("team", metadata={"managedFields": []})


_DATA = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"))


@given(st.lists(st.tuples(st.sampled_from(["team", "other", "third"]), _DATA), min_size=1, max_size=8))
def test_any_sequence_of_forced_applies_leaves_what_somebody_still_wants(applies):
    cluster, owners, values = Cluster(_CONFIG_MAPS), {}, {}
    for manager, data in applies:
        for key, value in data.items():
            owners[key] = {manager} | (owners.get(key, set()) if values.get(key) == value else set())
        values |= data
        for key in [key for key in values if key not in data]:
            if manager in owners[key]:
                owners[key].discard(manager)
                if not owners[key]:
                    del owners[key], values[key]
        cluster.apply(manager, data=data, force=True)

        assert cluster.object.get("data", {}) == values
        for name in {"team", "other", "third"}:
            managed = (cluster.managed(name) or {}).get("f:data", {})
            assert {key.removeprefix("f:") for key in managed} == {key for key, by in owners.items() if name in by}


_SETS = st.recursive(
    st.just({}), lambda inner: st.dictionaries(st.sampled_from(["f:a", "f:b", 'k:{"n":1}', "."]), inner, max_size=3), max_leaves=6
).map(lambda tree: either(tree, tree))


@given(_SETS, _SETS)
def test_field_sets_add_up(left, right):
    assert either(without(left, right), both(left, right)) == either(left, {})
    assert both(without(left, right), right) == {}
    assert without(either(left, right), right) == without(left, right)
