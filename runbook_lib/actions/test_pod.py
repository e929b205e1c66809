"""A test pod: one request to the service from a pod beside it, which is removed whatever happens."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runbook_lib.actions.cluster import PODS, SERVICES, Operator, PatchRejected, operator
from runbook_lib.actions.interface import Action, ActionContext, Change, ChangeRefused, Permission, Settling
from runbook_lib.actions.replacement import has_ended
from runbook_lib.errors import ActionFailed, SourceError, SourceMissingObject
from runbook_lib.models.plan import Plan, Refusal, Target

__all__ = ["RUN_TEST_POD"]

Object = Mapping[str, Any]

LABEL = "runbook/test-pod"
"""On every test pod, with the service's name: what is found with it and has ended is a leftover."""

_CONTAINER = "test"
_PATIENCE_SECONDS = 5  # for one answer
_STARTS_WITHIN_SECONDS = 30.0  # scheduling, and pulling a small image
_LIFETIME_SECONDS = 60  # the cluster itself ends the pod then, should nobody be left to remove it
_NOBODY = 65534
# Alpine's and busybox' wget, else curl; both say on stderr what went wrong, which the cluster keeps as the last words.
_REQUEST = (
    'if command -v wget >/dev/null; then exec wget -q -T {patience} -O /dev/null "$0"; fi; '
    'exec curl -sS -f -m {patience} -o /dev/null "$0"'
)


def _target(context: ActionContext) -> Target:
    return Target(kind="pod", name=_name(context), namespace=context.namespace)


def _name(context: ActionContext) -> str:
    """Of its own for each incident and minute, so that two engineers do not remove each other's."""
    return f"runbook-test-{context.incident.rpartition('-')[2].lower()}-{context.now():%H%M%S}"


def _plan(context: ActionContext, url: str | None = None, *, image: str | None = None) -> Plan | Refusal:
    """Ask the service's health, or `url`, from a pod of its own. image: one with sh, and wget or curl."""
    cluster = operator(context)
    asked = url or _health(context, cluster)
    if isinstance(asked, Refusal):
        return asked
    name, image = _name(context), image or context.service.policy.test_pod_image
    manifest = _manifest(context, name, image, asked)
    left = _leftovers(cluster, context)
    return Plan(
        action="run_test_pod",
        title=f"Ask {asked} from a test pod",
        target=Target(kind="pod", name=name, namespace=context.namespace),
        before="\n".join(f"pod {one['metadata']['name']}: left by an earlier test" for one in left) or "(no test pod)",
        after="(no test pod): it is removed as soon as it has its answer, and by the cluster after a minute at the latest",
        command=f"kubectl -n {context.namespace} run {name} --rm -i --restart=Never --image={shlex.quote(image)} "
        f"--labels={LABEL}={context.service.name} -- wget -q -T {_PATIENCE_SECONDS} -O- {shlex.quote(asked)}",
        risk="low",
        affects="nobody: one request, and 10m of CPU and 16Mi of memory for some seconds",
        undo="none is needed: the pod is removed",
        seen_by=f"what it was told, or an error, within {_STARTS_WITHIN_SECONDS:.0f} s",
        seconds_until_effect=_STARTS_WITHIN_SECONDS,
        reversible=False,
        evidence=True,
        arguments={"manifest": manifest, "url": asked},
    )


def _health(context: ActionContext, cluster: Operator) -> str | Refusal:
    """The health path behind the service's own name, as its callers in the cluster use it."""
    application = context.service.components.application
    mend = 'say what to ask: run_test_pod(url="http://orders:8080/health")'
    if application.kubernetes_service is None:
        return Refusal(by="target", reason="the service file names no kubernetes_service", mend=mend)
    found = cluster.get(SERVICES, application.kubernetes_service)
    ports = list(found["spec"].get("ports") or ())
    if not ports:
        return Refusal(by="target", reason=f"service/{application.kubernetes_service} has no port", mend=mend)
    port = next((one for one in ports if str(one.get("name", "")).startswith("http")), ports[0])
    scheme = "https" if port.get("name") == "https" else "http"
    return f"{scheme}://{application.kubernetes_service}:{port['port']}{application.health_path}"


def _manifest(context: ActionContext, name: str, image: str, url: str) -> dict[str, Any]:
    """A pod that any namespace takes: unprivileged as the restricted Pod Security Standard asks, with requests and limits."""
    container = {
        "name": _CONTAINER,
        "image": image,
        "command": ["sh", "-c", _REQUEST.format(patience=_PATIENCE_SECONDS), url],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {LABEL: context.service.name, "app.kubernetes.io/managed-by": "runbook"},
            # Where Istio puts its proxy into the pod, a request before that is up would fail. Nobody else reads it.
            "annotations": {"proxy.istio.io/config": '{"holdApplicationUntilProxyStarts": true}'},
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _LIFETIME_SECONDS,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": _NOBODY, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        },
    }


def _leftovers(cluster: Operator, context: ActionContext) -> list[Object]:
    """Test pods of this service that have ended and that nobody removed."""
    return [pod for pod in cluster.list(PODS, {LABEL: context.service.name}) if _has_ended(pod)]


def _has_ended(pod: Object) -> bool:
    """Whether the test has. A mesh's proxy beside it runs on, and keeps the pod's phase at Running."""
    return has_ended(pod) or bool(_end(pod))


def _end(pod: Object) -> Object:
    """How the test's own container ended; empty as long as it has not."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    state = next((one.get("state") or {} for one in statuses if one.get("name") == _CONTAINER), {})
    return state.get("terminated") or {}


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    return [_Test(context, operator(context), plan.arguments["manifest"], plan.arguments["url"])]


@dataclass
class _Test:
    """Create the pod, wait for its end, and remove it - also when the waiting is broken off."""

    context: ActionContext
    cluster: Operator
    manifest: Object
    url: str
    _told: str = field(default="", init=False)

    @property
    def name(self) -> str:
        """The pod's."""
        return str(self.manifest["metadata"]["name"])

    @property
    def text(self) -> str:
        """What it does."""
        return f"ask {self.url} from pod/{self.name}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """Create, look at and remove it; nothing of it has a name that was known before."""
        return [PODS.may(verb) for verb in ("create", "get", "list", "delete")]

    def preview(self) -> None:
        """Let admission look at the very same pod with dryRun=All: quotas, policies, the Pod Security Standard."""
        try:
            self.cluster.create(PODS, self.manifest, dry_run=True)
        except (PatchRejected, SourceError) as error:
            raise ChangeRefused(Refusal(by="the cluster", reason=_reason(error))) from error

    def apply(self) -> str:
        """Create it and hear what it was told. However that ends, the pod goes, and so do leftovers of earlier ones."""
        for pod in _leftovers(self.cluster, self.context):
            self._remove(str(pod["metadata"]["name"]), str(pod["metadata"]["uid"]))
        try:
            uid = str(self.cluster.create(PODS, self.manifest, dry_run=False)["metadata"]["uid"])
        except PatchRejected as rejected:
            raise ChangeRefused(Refusal(by="the cluster", reason=str(rejected))) from rejected
        except SourceError as error:  # the answer is lost: the pod may be there, and ends by itself within its lifetime
            raise ActionFailed(f"{self.text}: {error.reason}; should the pod be there, the next test removes it") from error
        try:
            self._told = self._answer()
        finally:
            removed = self._remove(self.name, uid)
        return f"{self._told}; {removed}"

    def revert(self) -> str:
        """There is nothing to take back."""
        return f"{self.text}: nothing to take back"

    def settling(self) -> Settling:
        """It had its answer before it was removed."""
        return Settling(done=True, text=self._told)

    def _answer(self) -> str:
        """What came of the request, in words."""
        started = self.context.now()
        while True:
            try:
                pod = self.cluster.get(PODS, self.name)
            except SourceMissingObject:
                return f"pod/{self.name} was removed by somebody else before it had an answer"
            except SourceError as error:
                return f"what pod/{self.name} was told is not known: {error.reason}"
            if _has_ended(pod):
                return self._verdict(pod)
            if (self.context.now() - started).total_seconds() > _STARTS_WITHIN_SECONDS:
                return f"pod/{self.name} had no answer within {_STARTS_WITHIN_SECONDS:.0f} s: {_why_waiting(pod)}"
            self.context.progress(f"waiting for pod/{self.name}")
            self.context.sleep(1.0)

    def _verdict(self, pod: Object) -> str:
        ended = _end(pod)
        if ended.get("exitCode") == 0:
            took = _seconds(ended)
            return f"pod/{self.name} was answered by {self.url}" + (f" within {took:.0f} s" if took is not None else "")
        words = " ".join(str(ended.get("message") or (pod.get("status") or {}).get("reason") or "it says nothing").split())
        return f"pod/{self.name} was not answered by {self.url}: {words} (exit {ended.get('exitCode', 'unknown')})"

    def _remove(self, name: str, uid: str) -> str:
        try:
            self.cluster.delete(PODS, name, uid=uid, dry_run=False)
        except (SourceMissingObject, PatchRejected):
            return "the pod is gone"
        except SourceError as error:
            ends = f"it ends after {_LIFETIME_SECONDS} s, and the next test removes it"
            return f"the pod could not be removed ({error.reason}): {ends}"
        return "the pod is removed"


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, SourceError) else str(error)


def _why_waiting(pod: Object) -> str:
    """Why it does not run: the container's own state, else the scheduler's words."""
    status = pod.get("status") or {}
    waiting = [one["state"]["waiting"] for one in status.get("containerStatuses") or () if "waiting" in (one.get("state") or {})]
    told = [*waiting, *(one for one in status.get("conditions") or () if one.get("status") == "False")]
    words = next((f"{one.get('reason', '')}: {one.get('message', '')}".strip(": ") for one in told if one.get("reason")), "")
    return words or f"its phase is {status.get('phase', 'unknown')}"


def _seconds(ended: Object) -> float | None:
    try:
        began, end = (datetime.fromisoformat(str(ended[key])) for key in ("startedAt", "finishedAt"))
    except (KeyError, ValueError):
        return None
    return (end - began).total_seconds()


def _undo(context: ActionContext, plan: Plan) -> Refusal:
    del context, plan
    return Refusal(by="undo", reason="the test pod is removed already; there is nothing to undo")


RUN_TEST_POD = Action(
    name="run_test_pod",
    title="Ask the service from a test pod",
    risk="low",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
    evidence=True,
)
