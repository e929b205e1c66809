"""A pod made to leave, and another one waited for in its place, so that no more pods are down than the policy allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from runbook_lib.actions.cluster import DISRUPTION_BUDGETS, PODS, BudgetSpent, Operator, PatchRejected
from runbook_lib.actions.interface import ActionContext, ChangeRefused, Permission, Settling
from runbook_lib.actions.replacement import Replacement, is_leaving, is_ready
from runbook_lib.errors import ActionFailed, OutcomeUnknown, SourceError, SourceMissingObject, SourceTimeout
from runbook_lib.models.plan import Refusal
from runbook_lib.models.selectors import selects
from runbook_lib.models.window import format_duration

__all__ = ["PodDeparture", "budgets_without_room"]

Object = Mapping[str, Any]


def budgets_without_room(cluster: Operator, pod: Object) -> list[str]:
    """What keeps a pod that is ready from being taken away now: the disruption budgets that have no room left.

    Raises a SourceError when the budgets cannot be read.
    """
    if not is_ready(pod):
        return []
    labels = pod["metadata"].get("labels") or {}
    found = []
    for budget in cluster.list(DISRUPTION_BUDGETS):
        if not selects(budget["spec"].get("selector"), labels):
            continue
        status, name = budget.get("status") or {}, budget["metadata"]["name"]
        if "disruptionsAllowed" not in status:
            found.append(f"pdb/{name} does not tell yet how many pods it lets go")
        elif int(status["disruptionsAllowed"]) < 1:
            healthy, needed = status.get("currentHealthy"), status.get("desiredHealthy")
            found.append(f"pdb/{name} needs {needed} healthy pods and has {healthy}")
    return found


@dataclass
class PodDeparture:
    """Evict one pod; where the cluster serves no evictions, delete it, once its budgets were looked at.

    evicts: whether evictions are served. `replacement` is what makes the next pod. A budget that keeps the pod, and the pod that
    comes in its place, are each waited for up to policy.verify_within_seconds.
    """

    context: ActionContext
    cluster: Operator
    name: str
    uid: str
    evicts: bool
    replacement: Replacement
    _done: bool = field(default=False, init=False)

    @property
    def text(self) -> str:
        """What it does."""
        return f"{'evict' if self.evicts else 'delete'} pod/{self.name}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """Make it leave, and see it and those beside it."""
        leave = PODS.may("create", self.name, subresource="eviction") if self.evicts else PODS.may("delete", self.name)
        return [leave, PODS.may("get", self.name), PODS.may("list"), *self.replacement.permissions]

    def preview(self) -> None:
        """Send the very same request with dryRun=All. A budget without room now is waited for, later."""
        try:
            self._ask(dry_run=True)
        except BudgetSpent:
            return
        except SourceError as error:
            raise ChangeRefused(Refusal(by="the cluster", reason=error.reason)) from error

    def apply(self) -> str:
        """Make it leave once there is room for that, and wait until another one is ready."""
        started = self.context.now()
        needed = self._once_there_is_room()
        self._once_it_is_let_go()
        self._done = True
        self._once_replaced(needed)
        waited = format_duration(self.context.now() - started)
        return f"{self.text}: done, and another one is ready in its place after {waited}"

    def revert(self) -> str:
        """A pod that has left does not come back; what controls it has made another one."""
        return f"{self.text}: {self.replacement.workload} makes another one"

    def settling(self) -> Settling:
        """`apply` has waited."""
        return Settling(done=True, text=f"pod/{self.name} has left")

    def _once_there_is_room(self) -> int:
        """Wait until its leaving takes no more pods down than the policy allows; gives how many must be ready after it."""
        allowed = self.context.service.policy.pods_at_once

        def room() -> str:
            pod = self._present()
            down = self.replacement.down(beside=self.uid)
            if not is_ready(pod) or down < allowed:
                return ""
            return f"{down} other pods of {self.replacement.workload} are down, and policy.pods_at_once allows {allowed}"

        reason = self._wait(room)
        if reason:
            raise ChangeRefused(Refusal(by="policy", reason=reason, mend="see why they are not ready first"))
        return self.replacement.needed(without=self.uid)

    def _once_it_is_let_go(self) -> None:
        """Ask for it, again and again while a budget keeps it or the cluster does not answer: it is bound to the pod's uid."""
        held: list[bool] = []

        def keeps() -> str:
            try:
                self._ask(dry_run=False)
            except BudgetSpent as spent:
                held.append(True)
                return str(spent)
            except SourceTimeout as error:
                return "" if self._is_gone() else error.reason
            except SourceError as error:
                if self._is_gone():
                    return ""
                raise ActionFailed(f"{self.text}: {error.reason}") from error
            return ""

        reason = self._wait(keeps)
        if reason and held:
            mend = "try again when more pods are ready, or let the budget allow it; no budget holds a rolling restart back"
            raise ChangeRefused(Refusal(by="disruption budget", reason=f"pod/{self.name} is kept: {reason}", mend=mend))
        if reason:
            raise OutcomeUnknown(f"{self.text}: whether it was done is not known ({reason})")

    def _once_replaced(self, needed: int) -> None:
        def missing() -> str:
            try:
                return self.replacement.missing(needed, instead_of=self.uid)
            except SourceError as error:
                return f"its pods cannot be seen: {error.reason}"

        grace = timedelta(seconds=self.replacement.grace_seconds)
        reason = self._wait(missing, more=grace)
        if reason:
            raise ActionFailed(f"{self.text}: it has left, and no other one is ready in its place: {reason}")

    def _wait(self, ask: Callable[[], str], *, more: timedelta = timedelta()) -> str:
        """Ask until there is no reason to wait any more, or the time is up; gives the last reason."""
        patience = timedelta(seconds=self.context.service.policy.verify_within_seconds) + more
        deadline: datetime = self.context.now() + patience
        while reason := ask():
            if self.context.now() >= deadline:
                return f"{reason} (waited {format_duration(patience)})"
            self.context.progress(f"{self.text}: {reason}")
            self.context.sleep(self.context.poll_seconds)
        return ""

    def _ask(self, *, dry_run: bool) -> None:
        """One request, bound to the pod of the plan. Raises BudgetSpent, ChangeRefused, or a SourceError."""
        try:
            if not self.evicts:
                return self._delete(dry_run=dry_run)
            self.cluster.evict(self.name, uid=self.uid, dry_run=dry_run)
        except PatchRejected as rejected:
            raise self._another(str(rejected)) from rejected
        except SourceMissingObject:
            self._present()  # else it is the pod that is missing
            self.evicts = False
            self._ask(dry_run=dry_run)

    def _delete(self, *, dry_run: bool) -> None:
        """As an eviction does it, where there is none: look at the budgets, then delete."""
        kept = budgets_without_room(self.cluster, self._present())
        if kept:
            raise BudgetSpent("; ".join(kept))
        self.cluster.delete(PODS, self.name, uid=self.uid, dry_run=dry_run)

    def _present(self) -> Object:
        """The pod of the plan. Raises ChangeRefused when it is gone, or another one has its name."""
        try:
            pod = self.cluster.get(PODS, self.name)
        except SourceMissingObject as error:
            raise self._another("it is gone") from error
        if pod["metadata"]["uid"] != self.uid:
            raise self._another("another one has its name")
        return pod

    def _is_gone(self) -> bool:
        try:
            return is_leaving(self._present())
        except ChangeRefused:
            return True
        except SourceError:
            return False

    def _another(self, why: str) -> ChangeRefused:
        reason = f"pod/{self.name} is not the one of the plan any more ({why})"
        return ChangeRefused(
            Refusal(by="unchanged since the plan", reason=reason, mend="run the cell again and read the new plan")
        )
