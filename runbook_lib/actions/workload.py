"""What a plan must know of a deployment: how its pods are replaced, who else writes to it, what guards its pods."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from runbook_lib.actions.cluster import AUTOSCALERS, DISRUPTION_BUDGETS, Operator
from runbook_lib.actions.interface import ActionContext
from runbook_lib.actions.keepers import taken_back
from runbook_lib.errors import SourceError
from runbook_lib.models.plan import Risk
from runbook_lib.models.selectors import selector_text, selects

__all__ = ["Workload", "owned_by", "revision_of", "surroundings"]

Object = Mapping[str, Any]

_REVISION = "deployment.kubernetes.io/revision"
_PROGRESS_SECONDS = 600  # the API's default of progressDeadlineSeconds
_NEVER = 2**31 - 1  # what stands there for no deadline


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment as the API gives it, and what follows from it."""

    found: Object

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.found["metadata"]["name"])

    @property
    def generation(self) -> int:
        """Counts the changes to its spec."""
        return int(self.found["metadata"].get("generation") or 0)

    @property
    def revision(self) -> int | None:
        """The revision of its present template; None before the controller has seen it."""
        return revision_of(self.found)

    @property
    def replicas(self) -> int:
        """Pods wanted; one when nobody says (the API's default)."""
        replicas = self.found["spec"].get("replicas")
        return 1 if replicas is None else int(replicas)

    @property
    def template(self) -> dict[str, Any]:
        """The pod template."""
        return dict(self.found["spec"]["template"])

    @property
    def paused(self) -> bool:
        """No rollout starts while it is."""
        return bool(self.found["spec"].get("paused"))

    @property
    def progress_deadline(self) -> timedelta:
        """How long a rollout may stand still before the controller calls it failed; the API's default where it never does."""
        seconds = int(self.found["spec"].get("progressDeadlineSeconds") or _PROGRESS_SECONDS)
        return timedelta(seconds=_PROGRESS_SECONDS if seconds == _NEVER else seconds)

    @property
    def selector(self) -> str:
        """The label selector of its pods, as text."""
        return selector_text(self.found["spec"].get("selector"))

    @property
    def pods_at_once(self) -> int:
        """How many pods a rollout takes down together.

        As the deployment controller counts: percentages of maxUnavailable are rounded down, those of maxSurge up, and where
        both come to nothing one pod goes down. Recreate takes all.
        """
        strategy = self.found["spec"].get("strategy") or {}
        if strategy.get("type") == "Recreate":
            return self.replicas
        rolling = strategy.get("rollingUpdate") or {}
        unavailable = _share(rolling.get("maxUnavailable", "25%"), self.replicas, math.floor)
        surge = _share(rolling.get("maxSurge", "25%"), self.replicas, math.ceil)
        return min(self.replicas, unavailable if unavailable or surge else 1)

    @property
    def serving(self) -> int:
        """Pods that serve now; all that are wanted, before the controller has told."""
        status = self.found.get("status")
        return int(status.get("availableReplicas") or 0) if status else self.replicas

    @property
    def serving_at_once(self) -> int:
        """How many of the pods that serve now a rollout takes down together. A service that is down has none to lose."""
        return max(0, self.serving - (self.replicas - self.pods_at_once))

    @property
    def surge(self) -> int:
        """How many pods a rollout runs beyond `replicas`."""
        strategy = self.found["spec"].get("strategy") or {}
        if strategy.get("type") == "Recreate":
            return 0
        return _share((strategy.get("rollingUpdate") or {}).get("maxSurge", "25%"), self.replicas, math.ceil)

    def rollout_risk(self, usual: Risk) -> Risk:
        """High when a rollout leaves no pod that serves where one does now, else the action's usual risk."""
        return "high" if self.serving and self.serving_at_once >= self.serving else usual

    def rollout_affects(self) -> str:
        """Who feels a rollout."""
        down = self.pods_at_once
        if self.replicas and not self.serving:
            return f"the {self.replicas} pods of {self.name}, none of which serves now: no request is lost by it"
        if self.replicas and down >= self.replicas:
            return f"all {self.replicas} pods of {self.name} go down together: the service is away until new ones are ready"
        served = f"{self.replicas - down} of {self.replicas} keep serving"
        return f"the {self.replicas} pods of {self.name}, one batch after the other, {self.pace}; {served}"

    @property
    def pace(self) -> str:
        """How many pods a rollout takes down together, in words."""
        down = self.pods_at_once
        return f"at most {down} down at a time" if down else "each only once a new one is ready"


def revision_of(found: Object) -> int | None:
    """The revision that the deployment controller wrote on a deployment or replica set."""
    text = str((found["metadata"].get("annotations") or {}).get(_REVISION) or "")
    return int(text) if text.isdigit() else None


def owned_by(owner: Object, objects: Iterable[Object]) -> list[Object]:
    """The objects that this one controls. By uid: a deployment made anew has the name and labels of the one before."""
    uid = owner["metadata"].get("uid")
    return [
        one
        for one in objects
        if any(ref.get("controller") and ref.get("uid") == uid for ref in one["metadata"].get("ownerReferences") or ())
    ]


def surroundings(operator: Operator, workload: Workload, *, what: str) -> list[str]:
    """Warnings: tools that would undo `what`, the autoscaler, the disruption budget. What cannot be read stops nobody."""
    return (
        taken_back("deployment", workload.found, what=what)
        + _told("autoscaler", lambda: _autoscaler(operator, workload))
        + _told("disruption budget", lambda: _budget(operator, workload))
    )


def _told(what: str, ask: Any) -> list[str]:
    try:
        return list(ask())
    except SourceError as error:
        return [f"the {what} could not be looked at: {error.reason}"]


def _autoscaler(operator: Operator, workload: Workload) -> Iterable[str]:
    for found in operator.list(AUTOSCALERS):
        reference = found["spec"].get("scaleTargetRef") or {}
        if (reference.get("kind"), reference.get("name")) == ("Deployment", workload.name):
            low, high = found["spec"].get("minReplicas", 1), found["spec"].get("maxReplicas")
            yield f"hpa/{found['metadata']['name']} scales it between {low} and {high} pods, also during a rollout"


def _budget(operator: Operator, workload: Workload) -> Iterable[str]:
    labels = (workload.template.get("metadata") or {}).get("labels") or {}
    for found in operator.list(DISRUPTION_BUDGETS):
        if not selects(found["spec"].get("selector") or {}, labels):
            continue
        allowed = int((found.get("status") or {}).get("disruptionsAllowed") or 0)
        if workload.serving_at_once > allowed:
            name = found["metadata"]["name"]
            yield (
                f"pdb/{name} allows {allowed} pods to be down now, and a rollout, which no budget holds back, takes down "
                f"{workload.serving_at_once} at a time"
            )


def _share(value: str | int, replicas: int, rounded: Any) -> int:
    """A count, or a percentage of the replicas."""
    text = str(value)
    return int(rounded(int(text[:-1]) * replicas / 100)) if text.endswith("%") else int(text)


def application_container(context: ActionContext, pod: Object) -> str | None:
    """The application's container of a pod or a template: as the service file names it, else as the pod marks it for kubectl.
    None: the first."""
    marks = (pod.get("metadata") or {}).get("annotations") or {}
    return context.service.components.application.container or marks.get("kubectl.kubernetes.io/default-container")


def containers_of(template: Object) -> Sequence[Object]:
    """The containers of a pod template that run for as long as the pod does."""
    return list((template.get("spec") or {}).get("containers") or ())
