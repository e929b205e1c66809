"""The operator's hand in the cluster: reading what a plan is made on, and patching it, every request bounded in time.

The official client brings the login, TLS and the connections; objects stay plain JSON, so that a template is written back
exactly as it was read - the client's typed models would drop fields that they do not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from runbook_lib.actions.interface import ActionContext, ChangeRefused, Permission
from runbook_lib.deadline import Deadline, DeadlineError, within
from runbook_lib.errors import (
    SourceAnswerInvalid,
    SourceError,
    SourceMissingObject,
    SourceRefused,
    SourceTimeout,
    SourceUnreachable,
)
from runbook_lib.importing import importing
from runbook_lib.models.plan import Refusal

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = [
    "AUTOSCALERS",
    "CONFIG_MAPS",
    "DAEMON_SETS",
    "DEPLOYMENTS",
    "DISRUPTION_BUDGETS",
    "NETWORK_POLICIES",
    "NODES",
    "PODS",
    "REPLICA_SETS",
    "SECRETS",
    "SERVICES",
    "STATEFUL_SETS",
    "VERTICAL_AUTOSCALERS",
    "BudgetSpent",
    "NeverSent",
    "Operator",
    "PatchRejected",
    "Resource",
    "ServerFailed",
    "TurnedAway",
    "operator",
]

Object = Mapping[str, Any]

FIELD_MANAGER = "runbook"
"""Under this name the cluster records who wrote a field."""

_NAME = "kubernetes"
# RBAC says: is forbidden: User "ci" cannot patch resource "deployments" in API group "apps".
_BY_ADMISSION = re.compile(r"admission webhook|is forbidden: (?!User )")
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object: where the API serves it, and what kubectl calls one."""

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"

    @property
    def root(self) -> str:
        """The path of its group."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str, name: str = "") -> str:
        """The path of the collection, or of one object."""
        return f"{self.root}/namespaces/{quote(namespace, safe='')}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")

    def may(self, verb: str, name: str = "", *, subresource: str = "") -> Permission:
        """The permission for a verb on it, or on a part of it (`pods/eviction`)."""
        return Permission(verb=verb, resource=self.plural, group=self.group, name=name, subresource=subresource)


DEPLOYMENTS = Resource("deployments", "deployment", "apps")
REPLICA_SETS = Resource("replicasets", "replicaset", "apps")
CONFIG_MAPS = Resource("configmaps", "configmap")
SECRETS = Resource("secrets", "secret")
PODS = Resource("pods", "pod")
SERVICES = Resource("services", "service")
STATEFUL_SETS = Resource("statefulsets", "statefulset", "apps")
DAEMON_SETS = Resource("daemonsets", "daemonset", "apps")
NETWORK_POLICIES = Resource("networkpolicies", "networkpolicy", "networking.k8s.io")
AUTOSCALERS = Resource("horizontalpodautoscalers", "hpa", "autoscaling", "v2")
VERTICAL_AUTOSCALERS = Resource("verticalpodautoscalers", "vpa", "autoscaling.k8s.io")
NODES = Resource("nodes", "node")
DISRUPTION_BUDGETS = Resource("poddisruptionbudgets", "pdb", "policy")


class PatchRejected(Exception):  # noqa: N818 - the caller turns it into a refusal
    """The cluster did not accept a write (HTTP 400, 409, 422; 403 by a quota or an admission webhook); nothing was changed."""


class BudgetSpent(Exception):  # noqa: N818 - a reason to wait, and no error
    """A disruption budget keeps the pod for now (HTTP 429); nothing was changed, and later it may let it go."""


class NeverSent(SourceUnreachable):
    """No connection came about, so that the API server has heard nothing of a write."""


class TurnedAway(SourceTimeout):
    """The API server has too much to do, and took nothing on (HTTP 429)."""


class ServerFailed(SourceAnswerInvalid):
    """The API server itself says that it failed; a proxy before it would not know what became of a write."""


def operator(context: ActionContext) -> Operator:
    """The operator's access to the service's namespace. Raises ChangeRefused when there is none."""
    connection = context.service.connections.kubernetes
    if context.api_client is None or connection is None:
        raise ChangeRefused(
            Refusal(
                by="connection",
                reason="the cluster cannot be changed: the service has no working connection to it for actions",
                mend="set connections.kubernetes in the service file, with operator_context when reading and changing differ",
            )
        )
    return Operator(context.api_client, namespace=connection.namespace, seconds=connection.timeout_seconds, sleep=context.sleep)


class Operator:
    """One identity's access to one namespace. Reads raise a SourceError; `seconds` bounds each request, `sleep` waits between."""

    def __init__(self, client: ApiClient, *, namespace: str, seconds: float, sleep: Callable[[float], None]) -> None:
        self.namespace = namespace
        self.sleep = sleep
        self._client = client
        self._seconds = seconds

    def get(self, resource: Resource, name: str) -> Object:
        """One object. Raises SourceMissingObject when there is none of this name."""
        return self._ask("GET", resource.path(self.namespace, name), what=f"get {resource.kind}/{name}")

    def exists(self, resource: Resource, name: str) -> bool:
        """Whether there is an object of this name. Asks for its metadata alone: the values of a secret stay in the cluster."""
        try:
            self._ask("GET", resource.path(self.namespace, name), what=f"get {resource.kind}/{name}", accept=_METADATA_ONLY)
        except SourceMissingObject:
            return False
        return True

    def list(self, resource: Resource, labels: Mapping[str, str] | str = "") -> Sequence[Object]:
        """The objects of the namespace that match a label selector."""
        text = labels if isinstance(labels, str) else ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        path = resource.path(self.namespace) + (f"?{urlencode({'labelSelector': text})}" if text else "")
        return list(self._ask("GET", path, what=f"list {resource.plural}").get("items") or ())

    def list_everywhere(self, resource: Resource) -> Sequence[Object]:
        """The objects of the whole cluster, which an operator of one namespace may well not see."""
        return list(self._ask("GET", f"{resource.root}/{resource.plural}", what=f"list all {resource.plural}").get("items") or ())

    def patch(self, resource: Resource, name: str, operations: Sequence[Object], *, dry_run: bool) -> Object:
        """Apply a JSON patch (RFC 6902); a dry run goes through admission and validation and is not stored.

        Raises PatchRejected when the cluster does not accept it - also when one of its `test` operations fails.
        """
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        path = f"{resource.path(self.namespace, name)}?{urlencode(query)}"
        what = f"patch {resource.kind}/{name}"
        return self._admitted("PATCH", path, what=what, body=list(operations), content_type="application/json-patch+json")

    def delete(self, resource: Resource, name: str, *, uid: str, version: str | None = None, dry_run: bool) -> None:
        """Delete an object, if it is still the one of this uid (and resourceVersion). Raises PatchRejected when it is not."""
        preconditions = {"uid": uid} | ({"resourceVersion": version} if version is not None else {})
        query = f"?{urlencode({'dryRun': 'All'})}" if dry_run else ""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        self._ask(
            "DELETE", resource.path(self.namespace, name) + query, what=f"delete {resource.kind}/{name}", body=body, write=True
        )

    def serves_evictions(self) -> bool:
        """Whether the cluster lists the eviction of pods among what it serves; True when it does not tell."""
        try:
            served = self._ask("GET", "/api/v1", what="list what the cluster serves").get("resources")
        except SourceError:
            return True
        return not served or any(one.get("name") == "pods/eviction" for one in served)

    def evict(self, pod: str, *, uid: str, dry_run: bool) -> None:
        """Ask for a pod to leave, if it is still the one of this uid; its grace period is its own.

        Raises BudgetSpent while a disruption budget keeps it, PatchRejected when it is another pod by now, and
        SourceMissingObject when there is no such pod, or the cluster serves no evictions.
        """
        query = f"?{urlencode({'dryRun': 'All'})}" if dry_run else ""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        self._ask("POST", f"{PODS.path(self.namespace, pod)}/eviction{query}", what=f"evict pod/{pod}", body=body, write=True)

    def create(self, resource: Resource, manifest: Object, *, dry_run: bool) -> Object:
        """Create an object. Raises PatchRejected when there is one of its name, or the cluster does not want it."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        path = f"{resource.path(self.namespace)}?{urlencode(query)}"
        what = f"create {resource.kind}/{manifest['metadata']['name']}"
        return self._admitted("POST", path, what=what, body=dict(manifest))

    def _admitted(self, method: str, path: str, **asked: Any) -> dict[str, Any]:
        """Write an object. What RBAC allows, a quota or an admission webhook may still reject, with the same HTTP 403."""
        try:
            return self._ask(method, path, write=True, **asked)
        except SourceRefused as refused:
            if _BY_ADMISSION.search(refused.reason):
                raise PatchRejected(refused.reason) from refused
            raise

    def allowed(self, permission: Permission) -> bool:
        """Ask a SelfSubjectAccessReview, which every authenticated identity may."""
        attributes = {"namespace": self.namespace, "verb": permission.verb, "group": permission.group}
        attributes |= {"resource": permission.resource} | ({"name": permission.name} if permission.name else {})
        attributes |= {"subresource": permission.subresource} if permission.subresource else {}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = self._ask("POST", path, what="ask for permissions", body=body)
        return (answer.get("status") or {}).get("allowed") is True

    def _ask(
        self,
        method: str,
        path: str,
        *,
        what: str,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        write: bool = False,
    ) -> dict[str, Any]:
        with importing("urllib3"):
            from urllib3 import Timeout
            from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

        client = self._client

        def send() -> Any:
            token = (client.configuration.auth_settings().get("BearerToken") or {}).get("value")
            headers = {**client.default_headers, "Accept": accept, "User-Agent": FIELD_MANAGER}
            headers |= {"Authorization": str(token)} if token else {}
            headers |= {"Content-Type": content_type} if body is not None else {}
            return client.rest_client.pool_manager.request(
                method,
                client.configuration.host + path,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=Timeout(total=self._seconds),
                retries=False,  # a write whose answer was lost is looked up, never sent again
                redirect=False,
            )

        try:
            response = within(Deadline(self._seconds), send)
        except DeadlineError as error:
            raise SourceTimeout(_NAME, f"{what}: no complete answer within {self._seconds:.3g} s") from error
        except (ConnectTimeoutError, NewConnectionError) as error:
            raise NeverSent(_NAME, f"{what}: {client.configuration.host} does not accept connections") from error
        except ReadTimeoutError as error:
            raise SourceTimeout(_NAME, f"{what}: no answer within {self._seconds:.3g} s") from error
        except HTTPError as error:
            raise SourceUnreachable(_NAME, f"{what}: {error}") from error
        return _answer(response.status, response.data, what, write=write)


def _answer(status: int, content: bytes, what: str, *, write: bool) -> dict[str, Any]:
    """The object of a 2xx; else what the API server's refusal means."""
    try:
        parsed = json.loads(content)
    except ValueError:
        parsed = None
    if 200 <= status < 300:
        if not isinstance(parsed, dict):
            raise SourceAnswerInvalid(_NAME, f"{what}: the answer is no Kubernetes object")
        return parsed
    refusal = parsed if isinstance(parsed, dict) else {}
    text = f"{what}: {refusal.get('message') or f'HTTP {status}'}"
    causes = [one for one in (refusal.get("details") or {}).get("causes") or () if one.get("reason") == "DisruptionBudget"]
    if status == 429 and causes:
        raise BudgetSpent("; ".join(str(one.get("message") or text) for one in causes))
    raise _refused(status, text, write=write, own=refusal.get("kind") == "Status")


def _refused(status: int, text: str, *, write: bool, own: bool) -> Exception:
    if status in (401, 403):
        return SourceRefused(_NAME, text)
    if status in (404, 405):  # 405: a part of an object that this cluster does not serve
        return SourceMissingObject(_NAME, text)
    if write and status in (400, 409, 422):
        return PatchRejected(text)
    if status in (429, 503, 504):
        overloaded = TurnedAway if status == 429 else SourceTimeout
        return overloaded(_NAME, f"{text} (the API server is overloaded)")
    return (ServerFailed if own else SourceAnswerInvalid)(_NAME, text)
