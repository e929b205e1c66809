"""A Kubernetes API on loopback, as small as the actions need it.

Objects, JSON patches, dry runs, access reviews, and a deployment controller that rolls out at once, or, when told to, not at all.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes.client import ApiClient, Configuration

NAMESPACE = "shop"
BAD_ENV = [{"name": "PAYMENTS_URL", "value": "http://payments:9999"}]
ORDERS = {"image": "orders:2", "envFrom": [{"configMapRef": {"name": "orders-config"}}, {"secretRef": {"name": "orders-db"}}]}


def template(**container: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "orders"}}, "spec": {"containers": [{"name": "orders", **ORDERS, **container}]}}


class Cluster:
    """The state. `denied` holds `verb resource`; `fails`: `METHOD plural` to `lost` (no answer), `late` (no answer, and
    done only by what is in `held`), `admission`, `429`, `500`.

    `evictions`: whether it serves them. `leaving` holds the pods that were made to leave, in order, and `asked` the options of
    each request for that. `becomes`: the status of a pod that somebody makes.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.denied: set[str] = set()
        self.fails: dict[str, str] = {}
        self.held: list[Callable[[], None]] = []
        self.stuck = False
        self.evictions = True
        self.leaving: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.becomes: dict[str, Any] = {"phase": "Pending"}
        self._version = 100
        self._uid = 0

    def put(self, plural: str, name: str, **fields: Any) -> dict[str, Any]:
        self._uid += 1
        metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{self._uid}", "generation": 1} | fields.pop("metadata", {})
        self.objects[plural, name] = {"metadata": metadata, **fields}
        self.touch(plural, name)
        return self.objects[plural, name]

    def touch(self, plural: str, name: str) -> None:
        self._version += 1
        self.objects[plural, name]["metadata"]["resourceVersion"] = str(self._version)

    def store(self, plural: str, name: str, changed: dict[str, Any]) -> None:
        """Keep an object as it was changed, and let the deployment controller see it."""
        if changed.get("spec") != self.objects[plural, name].get("spec"):
            changed["metadata"]["generation"] += 1
        self.objects[plural, name] = changed
        self.touch(plural, name)
        if plural == "deployments":
            self.reconcile()

    def writes(self) -> list[str]:
        """The writes that were meant: no reviews, no dry runs."""
        return [f"{method} {path}" for method, path in self.requests if method == "PATCH" and "dryRun" not in path]

    def deploy(self, revision: int, spec_template: dict[str, Any], *, created: str, cause: str = "") -> None:
        """Roll a template out as `revision`, as the controller would."""
        deployment = self.objects["deployments", "orders"]
        deployment["spec"]["template"] = copy.deepcopy(spec_template)
        deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = str(revision)
        if cause:
            deployment["metadata"]["annotations"]["kubernetes.io/change-cause"] = cause
        self._replica_set(revision, spec_template, created=created, cause=cause)
        self._roll(deployment)

    def _replica_set(self, revision: int, spec_template: dict[str, Any], *, created: str, cause: str = "") -> None:
        labelled = copy.deepcopy(spec_template)
        labelled["metadata"]["labels"]["pod-template-hash"] = f"hash{revision}"
        annotations = {"deployment.kubernetes.io/revision": str(revision)} | (
            {"kubernetes.io/change-cause": cause} if cause else {}
        )
        owner = self.objects["deployments", "orders"]["metadata"]["uid"]
        references = [{"kind": "Deployment", "name": "orders", "uid": owner, "controller": True}]
        metadata = {
            "annotations": annotations,
            "ownerReferences": references,
            "creationTimestamp": created,
            "labels": {"app": "orders"},
        }
        self.put("replicasets", f"orders-{revision}", metadata=metadata, spec={"template": labelled})

    def reconcile(self) -> None:
        """After a change of the template: a new revision, an old one taken into use again when its template is the same."""
        deployment = self.objects["deployments", "orders"]
        present = deployment["spec"]["template"]
        annotations = deployment["metadata"]["annotations"]
        revision = int(annotations["deployment.kubernetes.io/revision"])
        for (plural, _), one in self.objects.items():
            if plural == "replicasets":
                kept = copy.deepcopy(one["spec"]["template"])
                kept["metadata"]["labels"].pop("pod-template-hash")
                if kept == present:
                    if one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] != str(revision):
                        one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = str(revision + 1)
                        annotations["deployment.kubernetes.io/revision"] = str(revision + 1)
                    self._roll(deployment)
                    return
        annotations["deployment.kubernetes.io/revision"] = str(revision + 1)
        self._replica_set(revision + 1, present, created="2026-03-01T05:00:00Z")
        self._roll(deployment)

    def _roll(self, deployment: dict[str, Any]) -> None:
        replicas = deployment["spec"]["replicas"]
        revision = deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        owner = next(
            name
            for (plural, name), one in self.objects.items()
            if plural == "replicasets" and one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == revision
        )
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": replicas + (1 if self.stuck else 0),
            "updatedReplicas": 1 if self.stuck else replicas,
            "availableReplicas": replicas,
        }
        if self.stuck:
            self._pod(f"{owner}-bad", owner, {"waiting": {"reason": "CrashLoopBackOff"}})
            return
        for key in [key for key in self.objects if key[0] == "pods"]:
            del self.objects[key]
        for index in range(replicas):
            self._pod(f"{owner}-{index}", owner, {"running": {}})

    def budget(self, allowed: int) -> dict[str, Any]:
        """A disruption budget for orders with room for so many."""
        status = {"disruptionsAllowed": allowed, "currentHealthy": 3, "desiredHealthy": 3 - allowed}
        return self.put("poddisruptionbudgets", "orders", spec={"selector": {"matchLabels": {"app": "orders"}}}, status=status)

    def let_go(self, name: str) -> None:
        """A pod leaves, and its controller makes another one, which is ready unless the cluster is stuck."""
        pod = self.objects.pop(("pods", name))
        self.leaving.append(name)
        if "ownerReferences" not in pod["metadata"]:
            return
        owner = pod["metadata"]["ownerReferences"][0]["name"]
        ready = {"waiting": {"reason": "ImagePullBackOff"}} if self.stuck else {"running": {}}
        self._pod(f"{owner}-next-{len(self.leaving)}", owner, ready)

    def _pod(self, name: str, owner: str, state: dict[str, Any]) -> None:
        replica_set = self.objects.get(("replicasets", owner), {"metadata": {"uid": "-"}})
        references = [{"kind": "ReplicaSet", "name": owner, "uid": replica_set["metadata"]["uid"], "controller": True}]
        ready = "True" if "running" in state else "False"
        status = {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [
                {"name": "orders", "state": state, "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}
            ],
        }
        spec = {"containers": [{"name": "orders", "ports": [{"containerPort": 8080}]}]}
        self.put("pods", name, metadata={"ownerReferences": references, "labels": {"app": "orders"}}, spec=spec, status=status)


def a_shop() -> Cluster:
    """Orders on revision 14, whose pool is too small; 12 and 13 served before."""
    cluster = Cluster()
    cluster.put(
        "deployments",
        "orders",
        metadata={"annotations": {"deployment.kubernetes.io/revision": "0"}, "labels": {"app": "orders"}},
        spec={"replicas": 3, "selector": {"matchLabels": {"app": "orders"}}, "template": template()},
    )
    cluster.put("configmaps", "orders-config", data={"DATABASE_POOL_SIZE": "10", "PAYMENTS_URL": "http://payments:8080"})
    cluster.put("secrets", "orders-db", data={"PASSWORD": "c2VjcmV0"})
    cluster.deploy(12, template(image="orders:1"), created="2026-02-27T10:00:00Z", cause="release 1")
    cluster.deploy(13, template(), created="2026-02-28T10:00:00Z", cause="release 2")
    cluster.deploy(14, template(image="orders:3"), created="2026-03-01T03:10:00Z", cause="release 3")
    return cluster


@contextmanager
def serving(cluster: Cluster) -> Iterator[ApiClient]:
    """The API over HTTP, and the official client for it."""

    class Handler(_Handler):
        state = cluster

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{server.server_port}"
    configuration.api_key = {"authorization": "Bearer operator-token"}
    client = ApiClient(configuration)
    try:
        yield client
    finally:
        client.rest_client.pool_manager.clear()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: Cluster
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet

    def do_GET(self) -> None:
        self.state.requests.append(("GET", self.path))
        url = urlsplit(self.path)
        if url.path == "/api/v1":
            served = ["pods", *(["pods/eviction"] if self.state.evictions else [])]
            return self._answer(200, {"kind": "APIResourceList", "resources": [{"name": name} for name in served]})
        _, plural, name = _parts(url.path)
        if f"GET {plural}" in self.state.fails:
            return self._status(500, "the store is away")
        if name:
            found = self.state.objects.get((plural, name))
            return self._answer(200, found) if found else self._status(404, f'{plural} "{name}" not found')
        wanted = dict(part.split("=") for part in parse_qs(url.query).get("labelSelector", [""])[0].split(",") if part)
        items = [
            one
            for (kind, _), one in self.state.objects.items()
            if kind == plural and wanted.items() <= (one["metadata"].get("labels") or {}).items()
        ]
        return self._answer(200, {"kind": "List", "items": items})

    def do_DELETE(self) -> None:
        self.state.requests.append(("DELETE", self.path))
        _, plural, name = _parts(urlsplit(self.path).path)
        self._leave(plural, name, self._body())

    def _evict(self, name: str) -> None:
        self.state.requests.append(("POST", self.path))
        body, how = self._body(), self.state.fails.get("POST eviction", "")
        if not self.state.evictions:
            return self._status(405 if how == "405" else 404, "the server could not find the requested resource")
        spent = [one for (kind, _), one in self.state.objects.items() if kind == "poddisruptionbudgets"]
        if any(one["status"]["disruptionsAllowed"] < 1 for one in spent):
            causes = [{"reason": "DisruptionBudget", "message": "The disruption budget orders needs 3 healthy pods and has 3"}]
            content = {"kind": "Status", "code": 429, "message": "Cannot evict pod", "details": {"causes": causes}}
            return self._answer(429, content)
        return self._leave("pods", name, body["deleteOptions"])

    def _leave(self, plural: str, name: str, options: dict[str, Any]) -> None:
        self.state.asked.append(options)
        found = self.state.objects.get((plural, name))
        if found is None:
            return self._status(404, f'{plural} "{name}" not found')
        if found["metadata"]["uid"] != options["preconditions"]["uid"]:
            return self._status(409, "the UID in the precondition does not match the UID in record")
        if "dryRun=All" not in self.path:
            self.state.let_go(name)
        return self._answer(200, {"kind": "Status", "code": 200})

    def do_POST(self) -> None:
        if urlsplit(self.path).path.endswith("/eviction"):
            return self._evict(_parts(urlsplit(self.path).path)[2])
        if _parts(urlsplit(self.path).path)[1] == "pods":
            return self._make(self._body())
        asked = self._body()["spec"]["resourceAttributes"]
        resource = "/".join(part for part in (asked["resource"], asked.get("subresource")) if part)
        allowed = f"{asked['verb']} {resource}" not in self.state.denied
        return self._answer(201, {"kind": "SelfSubjectAccessReview", "status": {"allowed": allowed}})

    def _make(self, pod: dict[str, Any]) -> None:
        """A pod that is made, or one for a rehearsal alone."""
        self.state.requests.append(("POST", self.path))
        if self.state.fails.get("POST pods") == "quota":
            return self._status(403, 'pods "orders" is forbidden: exceeded quota: team, requested: limits.cpu=1')
        if "dryRun=All" in self.path:
            return self._answer(201, pod)
        name = pod["metadata"]["name"]
        made = self.state.put("pods", name, **{**pod, "status": copy.deepcopy(self.state.becomes)})
        return self._answer(201, made)

    def do_PATCH(self) -> None:
        self.state.requests.append(("PATCH", self.path))
        url = urlsplit(self.path)
        _, plural, name = _parts(url.path)
        dry, how = "dryRun=All" in url.query, self.state.fails.get(f"PATCH {plural}", "")
        if how == "admission":
            return self._status(403, 'admission webhook "validation.gatekeeper.sh" denied the request: quota exceeded')
        if how in ("429", "500") and not dry:
            return self._status(int(how), "the store is away")
        found = self.state.objects[plural, name]
        try:
            changed = _patched(found, self._body())
        except (KeyError, ValueError) as error:
            return self._status(422, f"the server rejected our request due to an error in our request: {error}")
        if not dry:
            write = partial(self.state.store, plural, name, changed)
            if how == "late":
                self.state.held.append(write)
            else:
                write()
            if how in ("late", "lost"):
                self.close_connection = True
                return None
        return self._answer(200, changed)

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _status(self, code: int, message: str) -> None:
        self._answer(code, {"kind": "Status", "code": code, "message": message})

    def _answer(self, code: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


def _parts(path: str) -> tuple[str, str, str]:
    if "/namespaces/" not in path:
        return "", path.rpartition("/")[2], ""
    namespace, _, rest = path.partition("/namespaces/")[2].partition("/")
    plural, _, name = rest.removesuffix("/eviction").partition("/")
    return namespace, plural, name


def _patched(found: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """RFC 6902, as far as actions use it: on mappings and list elements."""
    result = copy.deepcopy(found)
    for operation in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        target: Any = result
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        match operation["op"]:
            case "test":
                if target.get(last) != operation["value"]:
                    raise ValueError(f"testing value {operation['path']} failed: test failed")
            case "remove":
                del target[last]
            case "replace":
                target[last]  # must be there
                target[last] = operation["value"]
            case "add":
                target[last] = operation["value"]
    return result
