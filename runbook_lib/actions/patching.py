"""A change to one Kubernetes object: a JSON patch that carries the state it was planned on as its own precondition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runbook_lib.actions.cluster import (
    AUTOSCALERS,
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    NeverSent,
    Operator,
    PatchRejected,
    Resource,
    ServerFailed,
    TurnedAway,
)
from runbook_lib.actions.interface import ChangeRefused, Permission, Settling
from runbook_lib.actions.rollout_status import rollout_settling
from runbook_lib.errors import ActionFailed, OutcomeUnknown, SourceError, SourceMissingObject, SourceRefused
from runbook_lib.models.plan import Refusal

__all__ = ["ObjectPatch", "binding", "pointer"]

Operation = Mapping[str, Any]

_MISSING = object()
_LEVELS = ("minReplicas", "maxReplicas")  # of an autoscaler's spec
_LOOKS, _SECONDS_BETWEEN_LOOKS = 6, 2.0  # an admission webhook is given ten seconds by default, and the API server waits for it


def binding(resource: Resource, found: Mapping[str, Any]) -> dict[str, str]:
    """What a plan on this object is bound to: which object it is, and the version of what people write into it.

    The resourceVersion moves with every status: of what has one, no plan would ever be fresh while pods crash, or while an
    autoscaler looks at its metrics. There it is the generation; autoscalers have none, so it is what plans on them change.
    """
    uid = {"uid": str(found["metadata"]["uid"])}
    if resource is AUTOSCALERS:
        return uid | {name: str(found["spec"][name]) for name in _LEVELS if name in found["spec"]}
    version = "generation" if resource in (DEPLOYMENTS, STATEFUL_SETS) else "resourceVersion"
    return uid | {version: str(found["metadata"][version])}


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901) to these keys."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


@dataclass
class ObjectPatch:
    """Patch one object. `operations` and `inverse` (RFC 6902) are each other's undoing; `bound_to` is of `binding`.

    awaits_rollout: it has taken effect once the deployment's rollout is through. effect: another way to see that; `watches` are
    the permissions which that takes.
    """

    operator: Operator
    resource: Resource
    name: str
    bound_to: Mapping[str, str]
    operations: Sequence[Operation]
    inverse: Sequence[Operation]
    text: str
    awaits_rollout: bool = field(default=False, kw_only=True)
    effect: Callable[[], Settling] | None = field(default=None, kw_only=True)
    watches: Sequence[Permission] = field(default=(), kw_only=True)
    _left_as: dict[str, str] | None = field(default=None, init=False)
    _unknown: bool = field(default=False, init=False)

    @property
    def permissions(self) -> Sequence[Permission]:
        """Patch and read the object; see the pods of a rollout."""
        needed = [self.resource.may("get", self.name), self.resource.may("patch", self.name), *self.watches]
        return [*needed, REPLICA_SETS.may("list"), PODS.may("list")] if self.awaits_rollout else needed

    def preview(self) -> None:
        """Send the very same patch with dryRun=All."""
        try:
            self._patch(self.operations, self.bound_to, dry_run=True)
        except SourceError as error:
            raise ChangeRefused(self._not_possible(error)) from error

    def apply(self) -> str:
        """Send the patch. When its answer is lost, look whether it arrived; raises OutcomeUnknown when that cannot be seen."""
        self._unknown = True
        try:
            found = self._sent()
        except KeyboardInterrupt as interrupt:
            raise OutcomeUnknown(f"{self._not_known} (it was interrupted)") from interrupt
        except (ChangeRefused, ActionFailed) as error:
            self._unknown = isinstance(error, OutcomeUnknown)
            raise
        self._unknown = False
        self._left_as = binding(self.resource, found)
        return f"{self.text}: done"

    def revert(self) -> str:
        """Send the inverse patch, bound to the object as `apply` left it, or as it is found where that is not known."""
        if self._unknown:
            self._left_as = self._arrived_meanwhile()
        if self._left_as is None:
            return f"{self.text}: nothing to take back"
        try:
            self._patch(self.inverse, self._left_as, dry_run=False)
        except ChangeRefused as refused:
            raise ActionFailed(f"{self.text} could not be taken back: {refused.refusal.reason}") from refused
        except SourceError as error:
            raise ActionFailed(f"{self.text} could not be taken back: {error.reason}") from error
        self._left_as, self._unknown = None, False
        return f"{self.text}: taken back"

    def settling(self) -> Settling:
        """A stored object has taken effect, unless it was told otherwise."""
        if self.effect is not None:
            return self.effect()
        if not self.awaits_rollout:
            return Settling(done=True, text=f"{self.resource.kind}/{self.name} is stored")
        try:
            return rollout_settling(self.operator, self.name)
        except SourceError as error:
            return Settling(done=False, text=f"the rollout cannot be seen: {error.reason}")

    def _patch(self, operations: Sequence[Operation], bound_to: Mapping[str, str], *, dry_run: bool) -> Mapping[str, Any]:
        tests = [_test(key, value) for key, value in bound_to.items()]
        try:
            return self.operator.patch(self.resource, self.name, [*tests, *operations], dry_run=dry_run)
        except PatchRejected as rejected:
            raise ChangeRefused(self._why(rejected, bound_to)) from rejected

    def _why(self, rejected: PatchRejected, bound_to: Mapping[str, str]) -> Refusal:
        """Whether the object moved, or the cluster does not want this change. The message does not tell: look again."""
        try:
            now = binding(self.resource, self.operator.get(self.resource, self.name))
        except SourceError:
            now = dict(bound_to)
        moved = [f"{key} {value} is now {now.get(key, 'not set')}" for key, value in bound_to.items() if now.get(key) != value]
        if not moved:
            return Refusal(by="the cluster", reason=str(rejected), mend="see what its admission rules want")
        return Refusal(
            by="unchanged since the plan",
            reason=f"{self.resource.kind}/{self.name} was changed since the plan was made ({', '.join(moved)})",
            mend="run the cell again and read the new plan",
        )

    def _not_possible(self, error: SourceError) -> Refusal:
        mend = "give the operator's role the permission" if isinstance(error, SourceRefused) else "try again in a moment"
        return Refusal(by="the cluster", reason=error.reason, mend=mend)

    @property
    def _not_known(self) -> str:
        return f"{self.text}: whether it was done is not known"

    def _sent(self) -> Mapping[str, Any]:
        try:
            return self._patch(self.operations, self.bound_to, dry_run=False)
        except (SourceRefused, SourceMissingObject, NeverSent, TurnedAway) as error:
            raise ChangeRefused(self._not_possible(error)) from error
        except SourceError as error:
            return self._after_lost_answer(error)

    def _after_lost_answer(self, lost: SourceError) -> Mapping[str, Any]:
        """Look for some seconds whether the write arrived: the API server may be at it long after nobody waits for its answer."""
        unseen: SourceError | None = None
        for look in range(_LOOKS):
            if look:
                self.operator.sleep(_SECONDS_BETWEEN_LOOKS)
            try:
                found = self.operator.get(self.resource, self.name)
            except SourceError as error:
                unseen = error
                continue
            unseen = None
            if self._as_planned(found):
                return found
            if binding(self.resource, found) != dict(self.bound_to):
                why = f"{self.text}: the object changed, and not as planned ({lost.reason}); look at it by hand"
                raise ActionFailed(why) from lost
        if isinstance(lost, ServerFailed) and unseen is None:
            raise ActionFailed(f"{self.text}: not done ({lost.reason})") from lost
        since = unseen.reason if unseen is not None else "it was not seen to arrive, and may still"
        raise OutcomeUnknown(f"{self._not_known} ({lost.reason}; {since})") from lost

    def _arrived_meanwhile(self) -> dict[str, str]:
        """What to bind the way back to, once the write is there after all."""
        try:
            found = self.operator.get(self.resource, self.name)
        except SourceError as error:
            raise ActionFailed(f"{self.text} could not be taken back: {error.reason}") from error
        if not self._as_planned(found):
            raise ActionFailed(f"{self.text} could not be taken back: it was not seen to arrive, and may still")
        return binding(self.resource, found)

    def _as_planned(self, found: Mapping[str, Any]) -> bool:
        """Whether somebody has written to the object since the plan, and it is as the patch makes it."""
        moved = binding(self.resource, found) != dict(self.bound_to)
        return moved and all(_at(found, one["path"]) == one.get("value", _MISSING) for one in self.operations)


def _test(key: str, value: str) -> Operation:
    """What `binding` gave, as a JSON patch tests it; that compares types too, and generations and levels are numbers."""
    path = pointer("spec" if key in _LEVELS else "metadata", key)
    return {"op": "test", "path": path, "value": int(value) if key in ("generation", *_LEVELS) else value}


def _at(found: Any, path: str) -> Any:
    """The value at a JSON pointer."""
    for part in path.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (KeyError, IndexError, ValueError, TypeError):
            return _MISSING
    return found
