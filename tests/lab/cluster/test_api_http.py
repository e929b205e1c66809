"""The API over HTTP: forms of answers, refusals, chunks, watches, dry runs - what no client library hides."""

import json

import httpx
import pytest

from runbook_lab.cluster.access import OPERATOR, READER
from tests.lab.cluster.conftest import MOMENT, deployment_manifest, pod_manifest

pytestmark = pytest.mark.lab

_SHOP = "/api/v1/namespaces/shop"
_ORDERS = "/apis/apps/v1/namespaces/shop/deployments/orders"
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture
def http(api):
    headers = {"Authorization": f"Bearer {api.access.tokens[OPERATOR]}", "User-Agent": "tester/1.0"}
    with httpx.Client(base_url=api.url, headers=headers, verify=_trust(api), timeout=20) as client:
        yield client


def _trust(api):
    path = api.kubeconfig.with_name("ca.crt")
    path.write_bytes(api.access.certificate.authority)
    import ssl

    return ssl.create_default_context(cafile=str(path))


def test_a_list_has_a_version_and_its_items_do_not_repeat_the_kind(http):
    listed = http.get(f"{_SHOP}/pods").json()

    assert listed["kind"] == "PodList"
    assert int(listed["metadata"]["resourceVersion"]) > 0
    assert [sorted(item) for item in listed["items"]] == [["metadata", "spec", "status"]]


def test_a_table_is_given_to_who_asks_for_it(http):
    table = http.get(f"{_SHOP}/pods", headers={"Accept": _TABLE}).json()

    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]][:5] == ["Name", "Ready", "Status", "Restarts", "Age"]
    assert table["rows"][0]["cells"][:4] == ["orders-0", "0/1", "Pending", "0"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_protobuf_alone_is_declined(http):
    refused = http.get(f"{_SHOP}/pods", headers={"Accept": "application/vnd.kubernetes.protobuf"})

    assert refused.status_code == 406
    assert refused.json()["reason"] == "NotAcceptable"
    assert (
        http.get(f"{_SHOP}/pods", headers={"Accept": "application/vnd.kubernetes.protobuf,application/json"}).status_code == 200
    )


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/api/v2/pods", "/apis/batch/v1/jobs", f"{_SHOP}/pods/orders-0/nothing", f"{_SHOP}/nodes", "/apis/apps/v9"],
)
def test_what_is_not_served_is_not_found(http, path):
    answer = http.get(path)

    assert answer.status_code == 404
    assert answer.json()["message"] == "the server could not find the requested resource"


def test_what_a_real_cluster_would_do_is_not_pretended(http):
    assert http.post(f"{_SHOP}/pods/orders-0/portforward").status_code == 400, "the pod does not run"
    assert http.post(f"{_SHOP}/pods/orders-0/attach").status_code == 400, "attaching needs an upgrade of the connection"
    apply = http.patch(f"{_SHOP}/configmaps/new", headers={"Content-Type": "application/apply-patch+yaml"}, content=b"{}")
    assert (apply.status_code, apply.json()["details"]["causes"][0]["field"]) == (422, "fieldManager")
    assert http.post(f"{_SHOP}/pods/orders-0").status_code == 405
    as_another = http.get(f"{_SHOP}/pods", headers={"Impersonate-User": "another"})
    assert (as_another.status_code, as_another.json()["reason"]) == (403, "Forbidden")
    who = 'users "another" is forbidden: User "lab-operator" cannot impersonate resource "users"'
    assert as_another.json()["message"].startswith(who)
    merge = {"Content-Type": "application/merge-patch+json"}
    assert http.patch(f"{_ORDERS}?force=true", headers=merge, json={}).status_code == 422, "only an apply may be forced"
    newer = http.get(f"{_SHOP}/pods?resourceVersion=999999")
    assert (newer.status_code, newer.json()["details"]["causes"][0]["reason"]) == (504, "ResourceVersionTooLarge")
    assert http.get(f"{_SHOP}/pods?resourceVersion=1&resourceVersionMatch=Exact").status_code == 410
    assert http.get(f"{_SHOP}/pods?watch=true&resourceVersion=now").status_code == 400


def test_an_object_goes_through_its_life(http):
    made = http.post(f"{_SHOP}/configmaps", json={"metadata": {"name": "life"}, "data": {"a": "1"}})
    assert made.status_code == 201
    assert made.json()["metadata"]["managedFields"][0]["manager"] == "tester"
    again = http.post(f"{_SHOP}/configmaps", json={"metadata": {"name": "life"}})
    assert (again.status_code, again.json()["reason"]) == (409, "AlreadyExists")
    stale = made.json()
    assert http.put(f"{_SHOP}/configmaps/life", json={**stale, "data": {"a": "2"}}).json()["data"] == {"a": "2"}
    conflict = http.put(f"{_SHOP}/configmaps/life", json={**stale, "data": {"a": "3"}})
    assert (conflict.status_code, conflict.json()["reason"]) == (409, "Conflict")
    gone = http.delete(f"{_SHOP}/configmaps/life").json()
    assert (gone["kind"], gone["status"], gone["details"]["uid"]) == ("Status", "Success", stale["metadata"]["uid"])
    missing = http.get(f"{_SHOP}/configmaps/life")
    assert (missing.status_code, missing.json()["message"]) == (404, 'configmaps "life" not found')


def test_a_patch_bound_to_a_version_is_refused_when_that_is_old(http):
    before = http.get(_ORDERS).json()["metadata"]["resourceVersion"]
    merge = {"Content-Type": "application/merge-patch+json"}
    bound = {"metadata": {"resourceVersion": before}, "spec": {"replicas": 5}}

    assert http.patch(_ORDERS, headers=merge, json=bound).status_code == 200
    assert http.patch(_ORDERS, headers=merge, json={**bound, "spec": {"replicas": 6}}).status_code == 409
    assert http.get(_ORDERS).json()["spec"]["replicas"] == 5


def test_a_namespace_must_exist_and_agree(http):
    assert http.post("/api/v1/namespaces/nowhere/configmaps", json={"metadata": {"name": "x"}}).status_code == 404
    elsewhere = http.post(f"{_SHOP}/configmaps", json={"metadata": {"name": "x", "namespace": "default"}})
    assert elsewhere.status_code == 400
    assert "namespace of the provided object does not match" in elsewhere.json()["message"]


def test_unknown_fields_warn_unless_asked_otherwise(http):
    typo = {"metadata": {"name": "typo"}, "dta": {}}

    assert http.post(f"{_SHOP}/configmaps?fieldValidation=Strict", json=typo).status_code == 400
    warned = http.post(f"{_SHOP}/configmaps", json=typo)
    assert warned.status_code == 201
    assert warned.headers["Warning"] == '299 - "unknown field \\"dta\\""'


def test_an_invalid_object_gets_all_its_causes(http):
    manifest = deployment_manifest("broken", replicas=-1)
    del manifest["spec"]["template"]["spec"]["containers"][0]["image"]
    refused = http.post("/apis/apps/v1/namespaces/shop/deployments", json=manifest).json()

    assert (refused["code"], refused["reason"], refused["details"]["kind"]) == (422, "Invalid", "Deployment")
    fields = {cause["field"] for cause in refused["details"]["causes"]}
    assert fields == {"spec.replicas", "spec.template.spec.containers[0].image"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_dry_run_answers_and_changes_nothing(http, method):
    before = http.get(_ORDERS).json()
    path = _ORDERS.rpartition("/")[0] if method == "POST" else _ORDERS
    body = {"POST": deployment_manifest("new"), "PUT": before | {"spec": before["spec"] | {"replicas": 9}}}.get(method)
    patch = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
    content = json.dumps(body or {"spec": {"replicas": 9}}) if method != "DELETE" else None
    answer = http.request(method, f"{path}?dryRun=All", headers={"Content-Type": "application/json"} | patch, content=content)

    assert answer.status_code in (200, 201)
    assert http.get(_ORDERS).json() == before
    assert len(http.get(path.removesuffix("/orders")).json()["items"]) == 1
    assert http.request(method, f"{path}?dryRun=Some", headers=patch, content=content).status_code == 422


def test_a_dry_run_still_refuses(http):
    merge = {"Content-Type": "application/merge-patch+json"}

    assert http.patch(f"{_ORDERS}?dryRun=All", headers=merge, json={"spec": {"replicas": -1}}).status_code == 422


def test_lists_come_in_chunks_that_expire(http, api):
    for name in ("a", "b", "c"):
        http.post(f"{_SHOP}/configmaps", json={"metadata": {"name": name}})
    first = http.get(f"{_SHOP}/configmaps?limit=3").json()
    http.post(f"{_SHOP}/configmaps", json={"metadata": {"name": "later"}})
    second = http.get(f"{_SHOP}/configmaps", params={"limit": 3, "continue": first["metadata"]["continue"]}).json()

    names = [item["metadata"]["name"] for page in (first, second) for item in page["items"]]
    assert names == ["a", "b", "c", "orders-config"], "as it was when the list began"
    assert first["metadata"]["remainingItemCount"] == 1
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    expired = http.get(f"{_SHOP}/configmaps?limit=3&continue=unknown")
    assert (expired.status_code, expired.json()["reason"]) == (410, "Expired")


def _events(http, path, **params):
    with http.stream("GET", path, params={"watch": "true", "timeoutSeconds": "1", **params}) as stream:
        return [json.loads(line) for line in stream.iter_lines()]


def test_a_watch_gives_what_is_there_then_ends_when_its_time_is_over(http):
    events = _events(http, f"{_SHOP}/pods")

    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [("ADDED", "orders-0")]


def test_a_watch_from_a_version_gives_only_what_came_after(http):
    version = http.get(f"{_SHOP}/configmaps").json()["metadata"]["resourceVersion"]
    http.post(f"{_SHOP}/configmaps", json={"metadata": {"name": "new", "labels": {"seen": "yes"}}})
    http.patch(
        f"{_SHOP}/configmaps/new",
        headers={"Content-Type": "application/merge-patch+json"},
        json={"metadata": {"labels": {"seen": None}}},
    )
    http.delete(f"{_SHOP}/configmaps/new")

    all_of_it = _events(http, f"{_SHOP}/configmaps", resourceVersion=version)
    assert [event["type"] for event in all_of_it] == ["ADDED", "MODIFIED", "DELETED"]
    selected = _events(http, f"{_SHOP}/configmaps", resourceVersion=version, labelSelector="seen=yes")
    assert [event["type"] for event in selected] == ["ADDED", "DELETED"], "what no longer matches is gone for the watcher"


def test_a_watch_of_forgotten_history_says_so_inside_the_stream(http, api):
    def forget():
        for number in range(2_100):
            api.store.create("events", {"metadata": {"name": f"e{number}"}}, namespace="shop")

    api.in_loop(forget)
    events = _events(http, f"{_SHOP}/events", resourceVersion="1")

    assert [(event["type"], event["object"]["code"], event["object"]["reason"]) for event in events] == [
        ("ERROR", 410, "Expired")
    ]


def test_initial_events_end_with_a_bookmark(http):
    events = _events(
        http, f"{_SHOP}/pods", sendInitialEvents="true", allowWatchBookmarks="true", resourceVersionMatch="NotOlderThan"
    )

    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_an_unknown_field_selector_is_a_bad_request(http):
    refused = http.get(f"{_SHOP}/pods?fieldSelector=spec.nothing=1")

    assert (refused.status_code, refused.json()["message"]) == (400, "field label not supported: spec.nothing")


def test_the_scale_is_read_and_written_apart(http):
    assert http.get(f"{_ORDERS}/scale").json()["spec"] == {"replicas": 3}
    assert http.get(f"{_ORDERS}/scale", headers={"Accept": _TABLE}).json()["rows"][0]["cells"][:3] == ["orders", 3, 0]
    scaled = http.put(f"{_ORDERS}/scale", json={"spec": {"replicas": 1}})
    assert scaled.json()["kind"] == "Scale"
    assert http.get(_ORDERS).json()["spec"]["replicas"] == 1
    assert http.put(f"{_ORDERS}/scale", json={"spec": {"replicas": -1}}).status_code == 422


def test_a_collection_is_deleted_by_its_labels(http):
    for name, keep in (("a", "no"), ("b", "no"), ("c", "yes")):
        http.post(f"{_SHOP}/configmaps", json={"metadata": {"name": name, "labels": {"keep": keep}}})
    assert http.delete(f"{_SHOP}/configmaps?labelSelector=keep=no").status_code == 200

    names = [item["metadata"]["name"] for item in http.get(f"{_SHOP}/configmaps").json()["items"]]
    assert names == ["c", "orders-config"]


def test_discovery_agrees_with_itself_in_both_forms(http):
    aggregated = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"}
    one = http.get("/apis", headers=aggregated)
    assert "as=APIGroupDiscoveryList" in one.headers["Content-Type"]
    for group in one.json()["items"]:
        for version in group["versions"]:
            plain = http.get(f"/apis/{group['metadata']['name']}/{version['version']}").json()["resources"]
            assert {entry["name"] for entry in plain if "/" not in entry["name"]} == {
                entry["resource"] for entry in version["resources"]
            }


def test_every_openapi_document_is_served_and_closed(http):
    for path in http.get("/openapi/v3").json()["paths"].values():
        document = http.get(path["serverRelativeURL"]).text
        schemas = json.loads(document)["components"]["schemas"]
        references = {part.split('"')[0] for part in document.split('"#/components/schemas/')[1:]}
        assert references <= schemas.keys()


def test_metrics_have_the_units_of_the_metrics_server(http):
    item = http.get("/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods").json()["items"][0]

    assert item["containers"] == [{"name": "orders", "usage": {"cpu": "250000000n", "memory": "65536Ki"}}]
    assert item["timestamp"] == MOMENT.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_logs_say_which_containers_there_are(http, api):
    two = pod_manifest("two")
    two["spec"]["containers"].append({"name": "proxy", "image": "proxy:1"})
    api.in_loop(lambda: api.store.create("pods", two, namespace="shop"))

    assert http.get(f"{_SHOP}/pods/orders-0/log?tailLines=2").text == "line 4\nline 5\n"
    unclear = http.get(f"{_SHOP}/pods/two/log")
    assert unclear.status_code == 400
    assert "a container name must be specified for pod two, choose one of: [orders proxy]" in unclear.json()["message"]
    assert http.get(f"{_SHOP}/pods/orders-0/log?previous=true").status_code == 400


def test_the_reader_may_not_write_by_any_method(api):
    headers = {"Authorization": f"Bearer {api.access.tokens[READER]}"}
    with httpx.Client(base_url=api.url, headers=headers, verify=_trust(api)) as reader:
        for method, path in (
            ("POST", f"{_SHOP}/configmaps"),
            ("PUT", _ORDERS),
            ("PATCH", _ORDERS),
            ("DELETE", _ORDERS),
            ("DELETE", f"{_SHOP}/pods"),
        ):
            assert reader.request(method, path).status_code == 403
