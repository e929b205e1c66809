"""Restarting the database: its pod is deleted and made anew by its StatefulSet, or started where it was scaled away."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.actions.cluster import PODS, STATEFUL_SETS, Operator, PatchRejected, operator
from runbook_lib.actions.interface import Action, ActionContext, Change, ChangeRefused, Permission, Settling
from runbook_lib.actions.patching import ObjectPatch, binding, pointer
from runbook_lib.errors import OutcomeUnknown, SourceError, SourceMissingObject
from runbook_lib.models.plan import Plan, Refusal, Target

__all__ = ["RESTART_DATABASE"]

Object = Mapping[str, Any]

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SECONDS = 60.0  # an estimate: shutdown, start, recovery from the write-ahead log


def _pod_name(context: ActionContext) -> str | None:
    component = context.service.components.database
    return component.pod if component is not None else None


def _target(context: ActionContext) -> Target:
    return Target(kind="pod", name=_pod_name(context) or "(none)", namespace=context.namespace)


def _plan(context: ActionContext) -> Plan | Refusal:
    """Delete the primary's pod, so that its StatefulSet makes it anew; or scale a StatefulSet back up that was scaled to 0."""
    name = _pod_name(context)
    if name is None:
        mend = "set components.database.pod (such as postgres-0)"
        return Refusal(by="target", reason="the service file does not name the database's pod", mend=mend)
    cluster = operator(context)
    owner = _stateful_set(cluster, name)
    if isinstance(owner, Refusal):
        return owner
    try:
        pod: Object | None = cluster.get(PODS, name)
    except SourceMissingObject:
        pod = None
    wanted = int(owner["spec"].get("replicas", 1))
    if pod is None:
        ordinal = int(name.rpartition("-")[2])
        if wanted > ordinal:
            reason = (
                f"pod/{name} does not exist, and statefulset/{owner['metadata']['name']} makes it: there is nothing to restart"
            )
            return Refusal(by="target", reason=reason, mend="see the events of the StatefulSet for why it cannot")
        return _start(context, owner, ordinal)
    return _restart(context, owner, pod)


def _stateful_set(cluster: Operator, pod: str) -> Object | Refusal:
    """The StatefulSet that makes this pod anew: a pod that nothing makes again must not be deleted."""
    name, _, ordinal = pod.rpartition("-")
    try:
        found = cluster.get(STATEFUL_SETS, name) if name and ordinal.isdigit() else None
    except SourceMissingObject:
        found = None
    if found is not None:
        return found
    reason = f"no StatefulSet makes pod/{pod} anew, so that deleting it might be for good"
    return Refusal(by="target", reason=reason, mend="restart it as whoever runs the database does")


def _restart(context: ActionContext, owner: Object, pod: Object) -> Plan:
    name, state = str(pod["metadata"]["name"]), _ready(pod)
    return Plan(
        action="restart_database",
        title=f"Restart the database: delete pod {name}, which its StatefulSet makes anew",
        target=_target(context),
        before="\n".join([f"pod {name}: {'ready' if state else 'not ready'}", *_circumstances(context, owner, pod)]),
        after=f"a new pod {name} on the same volumes, which takes connections",
        command=f"kubectl -n {context.namespace} delete pod {name}",
        risk="high",
        affects="every service that uses this database: all connections end, and none is taken until it has recovered",
        undo="none: a restart cannot be taken back; what was committed is recovered from the write-ahead log",
        seen_by=f"pod {name} is ready, the database takes connections, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS,
        reversible=False,
        bound_to={"uid": str(pod["metadata"]["uid"])},
        arguments={"start": None},
        warnings=tuple(_warnings(owner, pod)),
    )


def _start(context: ActionContext, owner: Object, ordinal: int) -> Plan:
    name = str(owner["metadata"]["name"])
    replicas, before = max(_applied_replicas(owner), ordinal + 1), int(owner["spec"].get("replicas", 1))
    scale = f"kubectl -n {context.namespace} scale statefulset {name} --replicas"
    return Plan(
        action="restart_database",
        title=f"Start the database: scale StatefulSet {name} from {before} back to {replicas}",
        target=_target(context),
        before="\n".join([f"replicas: {before}", *_circumstances(context, owner, None)]),
        after=f"replicas: {replicas}",
        command=f"{scale}={replicas}",
        risk="high",
        affects="every service that uses this database: it takes connections again. Somebody has scaled it away: ask why",
        undo=f"none is offered: {scale}={before} would take the database down again",
        seen_by=f"pod {_pod_name(context)} is ready, the database takes connections, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS,
        reversible=False,
        bound_to=binding(STATEFUL_SETS, owner),
        arguments={"start": {"statefulset": name, "replicas": replicas, "before": before}},
        warnings=tuple(_warnings(owner, None)),
    )


def _applied_replicas(owner: Object) -> int:
    """As many as `kubectl apply` last asked for; one when nobody knows."""
    text = (owner["metadata"].get("annotations") or {}).get(_LAST_APPLIED)
    try:
        applied = json.loads(text) if text else {}
    except ValueError:
        return 1
    return int((applied.get("spec") or {}).get("replicas") or 1)


def _circumstances(context: ActionContext, owner: Object, pod: Object | None) -> list[str]:
    """What one must know before touching a database: its volumes, its replicas, its backup."""
    component = context.service.components.database
    claims = _claims(owner, pod)
    ready = int((owner.get("status") or {}).get("readyReplicas") or 0)
    return [
        f"volumes: {', '.join(claims) or 'none'}",
        f"replicas: {ready} of {owner['spec'].get('replicas', 1)} ready"
        + (f"; {component.configuration}" if component is not None and component.configuration else ""),
        f"backup: {component.backup if component is not None and component.backup else 'not told in the service file'}",
    ]


def _claims(owner: Object, pod: Object | None) -> list[str]:
    """The persistent volume claims that outlive the pod."""
    templates = [str(one["metadata"]["name"]) for one in owner["spec"].get("volumeClaimTemplates") or ()]
    volumes = (pod["spec"] if pod is not None else {}).get("volumes") or ()
    named = [str(one["persistentVolumeClaim"]["claimName"]) for one in volumes if one.get("persistentVolumeClaim")]
    return named or templates


def _warnings(owner: Object, pod: Object | None) -> list[str]:
    warnings = []
    if not _claims(owner, pod):
        warnings.append("the pod has no persistent volume claim: what it keeps in its own file system may be lost with it")
    if pod is not None and _ready(pod):
        warnings.append("the pod is ready: a restart ends every session of a database that runs")
    if int(owner["spec"].get("replicas", 1)) > 1:
        warnings.append("there are replicas: see whether a failover is better than a restart of the primary")
    return warnings


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """A restart cannot be taken back; a database that was started can be scaled away again."""
    del context
    if plan.arguments["start"] is None:
        return Refusal(by="undo", reason="a restart cannot be taken back")
    return Refusal(by="undo", reason="a database is not scaled away by a button", mend=plan.undo)


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    cluster = operator(context)
    pod = _Pod(cluster, plan.target.name, lambda: context.connection_budget() is not None)
    start = plan.arguments["start"]
    if start is None:
        return [_PodDeletion(pod, plan.bound_to["uid"])]
    path = pointer("spec", "replicas")
    return [
        ObjectPatch(
            cluster,
            STATEFUL_SETS,
            start["statefulset"],
            plan.bound_to,
            [{"op": "replace", "path": path, "value": start["replicas"]}],
            [{"op": "replace", "path": path, "value": start["before"]}],
            f"scale statefulset/{start['statefulset']} to {start['replicas']}",
            effect=pod.settling,
            watches=[PODS.may("get", pod.name)],
        )
    ]


@dataclass(frozen=True)
class _Pod:
    """The database's pod, as one waits for it. `answers`: whether the database takes connections."""

    cluster: Operator
    name: str
    answers: Callable[[], bool]

    def settling(self, *, other_than: str = "") -> Settling:
        """Ready, not the one of before, and taking connections."""
        try:
            found = self.cluster.get(PODS, self.name)
        except SourceMissingObject:
            return Settling(done=False, text=f"pod/{self.name} is not there yet")
        except SourceError as error:
            return Settling(done=False, text=f"pod/{self.name} cannot be seen: {error.reason}")
        if found["metadata"]["uid"] == other_than:
            return Settling(done=False, text=f"pod/{self.name} is ending")
        if not _ready(found):
            return Settling(done=False, text=f"pod/{self.name} is not ready yet")
        if not self.answers():
            return Settling(done=False, text=f"pod/{self.name} is ready, and the database takes no connections yet")
        return Settling(done=True, text=f"pod/{self.name} is ready, and the database takes connections")


@dataclass(frozen=True)
class _PodDeletion:
    """Delete the pod of the plan, and no other of its name; wait for the next one."""

    pod: _Pod
    uid: str

    @property
    def text(self) -> str:
        """What it does."""
        return f"delete pod/{self.pod.name}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """Delete and see it."""
        return [PODS.may("delete", self.pod.name), PODS.may("get", self.pod.name)]

    def preview(self) -> None:
        """Send the very same deletion with dryRun=All."""
        try:
            self._delete(dry_run=True)
        except SourceError as error:
            raise ChangeRefused(Refusal(by="the cluster", reason=error.reason)) from error

    def apply(self) -> str:
        """Delete it."""
        try:
            self._delete(dry_run=False)
        except SourceError as error:
            raise OutcomeUnknown(f"{self.text}: whether it was done is not known ({error.reason})") from error
        return f"{self.text}: done"

    def revert(self) -> str:
        """A deleted pod does not come back; the StatefulSet makes the next one."""
        return f"{self.text}: its StatefulSet makes it anew"

    def settling(self) -> Settling:
        """Once another pod of this name is ready and takes connections."""
        return self.pod.settling(other_than=self.uid)

    def _delete(self, *, dry_run: bool) -> None:
        try:
            self.pod.cluster.delete(PODS, self.pod.name, uid=self.uid, dry_run=dry_run)
        except (PatchRejected, SourceMissingObject) as rejected:
            reason = f"pod/{self.pod.name} is not the one of the plan any more ({rejected})"
            raise ChangeRefused(
                Refusal(by="unchanged since the plan", reason=reason, mend="run the cell again and read the new plan")
            ) from rejected


RESTART_DATABASE = Action(
    name="restart_database",
    title="Restart the database's pod",
    risk="high",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
