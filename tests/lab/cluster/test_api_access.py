"""Two identities: one reads all but secrets, the other also changes; nobody else gets in."""

import ssl
import stat
import urllib.error
import urllib.request

import pytest
import yaml

from runbook_lab.cluster.access import OPERATOR, READER, Access, Identity
from runbook_lab.cluster.errors import Forbidden, Unauthorized
from runbook_lab.cluster.rbac import Attributes, install_roles, may, require

pytestmark = pytest.mark.lab


def wants(verb, resource, group="", subresource="", namespace="shop", name=""):
    return Attributes(verb, group=group, resource=resource, subresource=subresource, namespace=namespace, name=name)


@pytest.fixture
def roles(store):
    install_roles(store)
    return store


@pytest.mark.parametrize(
    "allowed",
    [
        wants("list", "pods"),
        wants("get", "pods", subresource="log"),
        wants("watch", "deployments", "apps"),
        wants("get", "nodes"),
    ],
)
def test_the_reader_reads(roles, allowed):
    assert may(roles, Identity(READER), allowed)


@pytest.mark.parametrize(
    "refused",
    [
        wants("get", "secrets"),
        wants("list", "secrets"),
        wants("patch", "deployments", "apps"),
        wants("update", "deployments", "apps", "scale"),
        wants("delete", "pods"),
        wants("create", "pods", subresource="exec"),
        wants("create", "configmaps"),
    ],
)
def test_the_reader_changes_nothing_and_sees_no_secret(roles, refused):
    assert not may(roles, Identity(READER), refused)


@pytest.mark.parametrize(
    "allowed",
    [
        wants("get", "secrets"),
        wants("patch", "deployments", "apps"),
        wants("update", "deployments", "apps", "scale"),
        wants("delete", "pods"),
        wants("create", "pods", subresource="exec"),
        wants("update", "configmaps"),
    ],
)
def test_the_operator_changes_workloads(roles, allowed):
    assert may(roles, Identity(OPERATOR), allowed)


@pytest.mark.parametrize("refused", [wants("create", "clusterroles", "rbac.authorization.k8s.io"), wants("delete", "nodes")])
def test_the_operator_is_no_administrator(roles, refused):
    assert not may(roles, Identity(OPERATOR), refused)


def test_a_refusal_reads_as_in_kubernetes(roles):
    with pytest.raises(Forbidden) as caught:
        require(roles, Identity(READER), wants("patch", "deployments", "apps", name="orders"))

    assert caught.value.message == (
        'deployments.apps "orders" is forbidden: User "lab-reader" cannot patch resource "deployments" '
        'in API group "apps" in the namespace "shop"'
    )


def test_a_role_binding_of_the_cluster_decides(roles):
    role = {
        "metadata": {"name": "one-config"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["a"]}],
    }
    roles.create("roles", role, namespace="shop")
    binding = {
        "metadata": {"name": "one-config"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "one-config"},
        "subjects": [{"kind": "User", "name": READER}],
    }
    roles.create("rolebindings", binding, namespace="shop")

    assert may(roles, Identity(READER), wants("get", "secrets", name="a"))
    assert not may(roles, Identity(READER), wants("get", "secrets", name="b"))
    assert not may(roles, Identity(READER), wants("get", "secrets", name="a", namespace="other"))


def test_tokens_are_checked_and_never_shown(tmp_path):
    access = Access.issue(tmp_path)

    assert access.identify(f"Bearer {access.tokens[READER]}").user == READER
    for wrong in (None, "", "Bearer ", "Bearer guess", f"Basic {access.tokens[READER]}"):
        with pytest.raises(Unauthorized):
            access.identify(wrong)
    assert access.tokens[READER] not in repr(access)


def test_the_kubeconfig_is_for_its_owner_only_and_stands_on_the_reader(tmp_path):
    access = Access.issue(tmp_path)
    path = tmp_path / "kubeconfig"
    access.write_kubeconfig(path, server="https://127.0.0.1:1", namespace="shop")
    content = yaml.safe_load(path.read_text())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert content["current-context"] == READER
    assert {context["name"] for context in content["contexts"]} == {READER, OPERATOR}
    assert {context["context"]["namespace"] for context in content["contexts"]} == {"shop"}


def test_the_server_is_trusted_by_its_own_authority_only_and_refuses_the_nameless(api):
    trusting = ssl.create_default_context(cadata=api.access.certificate.authority.decode())
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{api.url}/api/v1/pods", context=trusting, timeout=10)
    assert refused.value.code == 401
    with urllib.request.urlopen(f"{api.url}/readyz", context=trusting, timeout=10) as ready:
        assert ready.read() == b"ok"
    with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
        urllib.request.urlopen(f"{api.url}/readyz", timeout=10)


def test_kubectl_is_told_who_it_is_and_what_it_may(api):
    assert "lab-reader" in api.kubectl("auth", "whoami").out
    assert api.kubectl("auth", "can-i", "delete", "pods").out.strip() == "no"
    assert api.kubectl("auth", "can-i", "delete", "pods", user=OPERATOR).out.strip() == "yes"
    assert "pods/exec" in api.kubectl("auth", "can-i", "--list", user=OPERATOR).out
    refused = api.kubectl("delete", "pod", "orders-0")
    assert refused.code == 1
    assert 'Error from server (Forbidden): pods "orders-0" is forbidden: User "lab-reader" cannot delete' in refused.err
    assert "c2VjcmV0" not in api.kubectl("get", "secret", "orders-db", "-o", "yaml").out
