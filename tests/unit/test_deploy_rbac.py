"""The roles that we ship: they allow what the checks read and what the actions change, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runbook_lab.cluster import rbac
from runbook_lab.cluster.access import Identity
from runbook_lab.cluster.resources import BY_PLURAL
from runbook_lab.cluster.store import Store
from runbook_lib import doctor
from runbook_lib.actions import cluster as actions
from runbook_lib.sources import kubernetes as sources
from runbook_lib.sources.kubernetes_api import Kind

FILE = Path(__file__).parents[2] / "deploy" / "kubernetes-rbac.yaml"
NAMESPACE = "shop"
READER, OPERATOR = (Identity(f"system:serviceaccount:{NAMESPACE}:runbook-{name}") for name in ("reader", "operator"))
READ = {(kind.group, kind.plural, kind.namespaced) for kind in vars(sources).values() if isinstance(kind, Kind)}
TARGETS = {(one.group, one.plural) for one in vars(actions).values() if isinstance(one, actions.Resource)}
# Of these only the names of the keys are asked for, where the identity may see them at all.
HIDDEN = "secrets"


def objects() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(FILE.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def store() -> Store:
    made = Store(seed=1)
    plurals = {resource.kind: resource for resource in BY_PLURAL.values()}
    for one in objects():
        resource = plurals[one["kind"]]
        given = {**one, "metadata": {**one["metadata"], **({"namespace": NAMESPACE} if resource.namespaced else {})}}
        made.create(resource.plural, given)
    return made


def may(store: Store, who: Identity, verb: str, group: str, resource: str, sub: str | None = None, *, wide: bool = False) -> bool:
    where = "" if wide else NAMESPACE
    return rbac.may(store, who, rbac.Attributes(verb, group, resource, sub or "", where))


def test_a_reader_may_see_all_that_checks_read_and_nothing_of_secrets(store: Store) -> None:
    assert len(READ) > 10
    for group, plural, namespaced in READ:
        for verb in ("get", "list"):
            assert may(store, READER, verb, group, plural, wide=not namespaced) is (plural != HIDDEN), (verb, group, plural)
    for verb, group, resource, sub in doctor._READS:
        assert may(store, READER, verb, group, resource, sub), (verb, resource)


def test_an_operator_may_do_all_that_actions_do_and_see_what_they_look_at(store: Store) -> None:
    assert len(doctor._WRITES) > 5
    for verb, group, resource, sub in doctor._WRITES:
        assert may(store, OPERATOR, verb, group, resource, sub), (verb, resource)
        assert not may(store, READER, verb, group, resource, sub), (verb, resource)
    for group, plural in TARGETS:
        for verb in ("get", "list"):
            assert may(store, OPERATOR, verb, group, plural, wide=plural == "nodes") is (plural != HIDDEN), (verb, plural)


def test_no_role_grants_everything_or_deletes_what_no_action_deletes(store: Store) -> None:
    for role in (one for one in objects() if one["kind"].endswith("Role")):
        for rule in role["rules"]:
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}, rule
            if role["metadata"]["name"] != "runbook-operator":
                assert set(rule["verbs"]) == {"get", "list"}, rule
    assert not may(store, OPERATOR, "delete", "apps", "deployments")
    assert not may(store, OPERATOR, "patch", "apps", "deployments", wide=True)
