"""Deleting the network policy that closes a way, with its manifest kept to put it back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runbook_lib.actions.cluster import NETWORK_POLICIES, Operator, PatchRejected, operator
from runbook_lib.actions.interface import Action, ActionContext, Change, ChangeRefused, Permission, Settling
from runbook_lib.actions.keepers import taken_back
from runbook_lib.actions.patching import binding
from runbook_lib.errors import ActionFailed, SourceError, SourceMissingObject
from runbook_lib.models.network_policy import policy_types
from runbook_lib.models.plan import Plan, Refusal, Target
from runbook_lib.models.selectors import selector_text

__all__ = ["DELETE_NETWORK_POLICY"]

Object = Mapping[str, Any]

_SECONDS = 10.0  # until the network plugin of every node has heard of it
_KEPT = ("labels", "annotations")  # of the metadata: the rest is the cluster's own


def _blamed(context: ActionContext) -> str | None:
    """The policy that a confirmed cause names."""
    for cause in context.diagnosis.roots if context.diagnosis else ():
        match = re.fullmatch(r"networkpolicy/(\S+)", cause.subject or "")
        if match:
            return match[1]
    return None


def _target(context: ActionContext) -> Target:
    return Target(kind="networkpolicy", name=_blamed(context) or "(none)", namespace=context.namespace)


def _opened(found: Object) -> str:
    """What becomes possible without it."""
    told = {
        "Ingress": "what only this policy kept out can reach them",
        "Egress": "they can reach what only this policy kept from them",
    }
    return "; ".join(told[one] for one in policy_types(found["spec"]) if one in told)


def _plan(context: ActionContext, policy: str | None = None) -> Plan | Refusal:
    """Delete the policy that the diagnosis names, or the one given."""
    name = policy or _blamed(context)
    if name is None:
        mend = 'name it: delete_network_policy(policy="...")'
        return Refusal(by="target", reason="no confirmed cause names a network policy", mend=mend)
    found = operator(context).get(NETWORK_POLICIES, name)
    manifest = _manifest(found)
    selected = selector_text(found["spec"].get("podSelector")) or "all pods of the namespace"
    return Plan(
        action="delete_network_policy",
        title=f"Delete network policy {name}",
        target=Target(kind="networkpolicy", name=name, namespace=context.namespace),
        before=_yaml(manifest),
        after="(deleted)",
        command=f"kubectl -n {context.namespace} delete networkpolicy {name}",
        risk="high",
        affects=f"{selected}: {_opened(found)}, until it is put back",
        undo=f"kubectl -n {context.namespace} apply -f {name}.yaml  # the manifest that the plan shows",
        seen_by="requests arrive, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS,
        bound_to=binding(NETWORK_POLICIES, found),
        arguments={"manifest": manifest, "create": False},
        warnings=(
            "a policy protects something: put it back with a rule that allows this way as soon as the service is up",
            *taken_back("networkpolicy", found, what="the deletion"),
        ),
    )


def _manifest(found: Object) -> dict[str, Any]:
    """What it takes to create it again."""
    metadata = found["metadata"]
    kept = {key: dict(metadata[key]) for key in _KEPT if metadata.get(key)}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": metadata["name"], **kept},
        "spec": json.loads(json.dumps(found["spec"])),
    }


def _yaml(manifest: Object) -> str:
    import yaml

    text: str = yaml.safe_dump(dict(manifest), sort_keys=False, width=120)
    return text


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """Create it again as it was, unless there is one of this name again."""
    manifest = plan.arguments["manifest"]
    name = plan.target.name
    if operator(context).exists(NETWORK_POLICIES, name):
        return Refusal(by="undo", reason=f"there is a networkpolicy/{name} again", mend="look at it by hand")
    return Plan(
        action="delete_network_policy",
        title=f"Put network policy {name} back",
        target=plan.target,
        before="(deleted)",
        after=_yaml(manifest),
        command=plan.undo,
        risk="high",
        affects=plan.affects,
        undo=plan.command,
        seen_by="the policy is stored",
        seconds_until_effect=_SECONDS,
        arguments={"manifest": manifest, "create": True},
    )


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    cluster, manifest = operator(context), plan.arguments["manifest"]
    if plan.arguments["create"]:
        return [_Creation(cluster, manifest)]
    return [_Deletion(cluster, manifest, plan.bound_to)]


@dataclass
class _Deletion:
    """Delete a policy, if it is still the one of the plan."""

    cluster: Operator
    manifest: Object
    bound_to: Mapping[str, str]
    _deleted: bool = field(default=False, init=False)

    @property
    def name(self) -> str:
        """The policy's."""
        return str(self.manifest["metadata"]["name"])

    @property
    def text(self) -> str:
        """What it does."""
        return f"delete networkpolicy/{self.name}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """Delete it, and create it again."""
        return [NETWORK_POLICIES.may("delete", self.name), NETWORK_POLICIES.may("create")]

    def preview(self) -> None:
        """Send the very same deletion with dryRun=All."""
        try:
            self._delete(dry_run=True)
        except SourceError as error:
            raise ChangeRefused(Refusal(by="the cluster", reason=error.reason)) from error

    def apply(self) -> str:
        """Delete it. When the answer is lost, look whether it is gone."""
        try:
            self._delete(dry_run=False)
        except SourceError as error:
            if not self._gone():
                raise ActionFailed(f"{self.text}: {error.reason}") from error
        self._deleted = True
        return f"{self.text}: done"

    def revert(self) -> str:
        """Create it again."""
        if not self._deleted:
            return f"{self.text}: nothing to take back"
        return _Creation(self.cluster, self.manifest).apply()

    def settling(self) -> Settling:
        """It is gone from the store; the network plugins follow."""
        return Settling(done=True, text=f"networkpolicy/{self.name} is deleted")

    def _delete(self, *, dry_run: bool) -> None:
        uid, version = self.bound_to["uid"], self.bound_to["resourceVersion"]
        try:
            self.cluster.delete(NETWORK_POLICIES, self.name, uid=uid, version=version, dry_run=dry_run)
        except (PatchRejected, SourceMissingObject) as rejected:
            reason = f"networkpolicy/{self.name} was changed or deleted since the plan was made ({rejected})"
            raise ChangeRefused(
                Refusal(by="unchanged since the plan", reason=reason, mend="run the cell again and read the new plan")
            ) from rejected

    def _gone(self) -> bool:
        try:
            return not self.cluster.exists(NETWORK_POLICIES, self.name)
        except SourceError:
            return False


@dataclass
class _Creation:
    """Create a policy from its manifest."""

    cluster: Operator
    manifest: Object

    @property
    def text(self) -> str:
        """What it does."""
        return f"create networkpolicy/{self.manifest['metadata']['name']}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """Create one."""
        return [NETWORK_POLICIES.may("create")]

    def preview(self) -> None:
        """Send the very same object with dryRun=All."""
        try:
            self.cluster.create(NETWORK_POLICIES, self.manifest, dry_run=True)
        except PatchRejected as rejected:
            raise ChangeRefused(Refusal(by="the cluster", reason=str(rejected))) from rejected
        except SourceError as error:
            raise ChangeRefused(Refusal(by="the cluster", reason=error.reason)) from error

    def apply(self) -> str:
        """Create it."""
        try:
            self.cluster.create(NETWORK_POLICIES, self.manifest, dry_run=False)
        except (PatchRejected, SourceError) as error:
            raise ActionFailed(f"{self.text}: {error}") from error
        return f"{self.text}: done"

    def revert(self) -> str:
        """What was there before the undo is gone: there is nothing to go back to."""
        return f"{self.text}: nothing to take back"

    def settling(self) -> Settling:
        """A stored policy is heard of by the network plugins within seconds."""
        return Settling(done=True, text=f"{self.text}: stored")


DELETE_NETWORK_POLICY = Action(
    name="delete_network_policy",
    title="Delete the network policy that closes the way",
    risk="high",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
