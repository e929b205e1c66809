"""Deployments, autoscalers and disruption budgets as plain mappings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from runbook_lib.models.gitops import keeper_of
from runbook_lib.models.selectors import selector_text, selects
from runbook_lib.sources.tables import instant

__all__ = ["REVISION", "autoscaler_of", "budget_of", "deployment_facts", "managed_by", "names_read", "references", "revision_of"]

REVISION = "deployment.kubernetes.io/revision"

Object = Mapping[str, Any]
_KINDS = ("configMap", "secret")


def deployment_facts(deployment: Object) -> dict[str, Any]:
    """What an engineer asks of a deployment first; the keys are those of `Cluster.deployment`.

    `selector` is written as `kubectl -l` takes it; `strategy` has type, max_surge and max_unavailable.
    """
    metadata, spec, status = deployment["metadata"], deployment.get("spec") or {}, deployment.get("status") or {}
    template = (spec.get("template") or {}).get("spec") or {}
    strategy = spec.get("strategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    return {
        "name": metadata["name"],
        "replicas": int(spec.get("replicas", 1)),
        "ready": int(status.get("readyReplicas") or 0),
        "updated": int(status.get("updatedReplicas") or 0),
        "available": int(status.get("availableReplicas") or 0),
        "revision": revision_of(metadata),
        "generation": int(metadata.get("generation") or 0),
        "observed_generation": int(status.get("observedGeneration") or 0),
        "paused": bool(spec.get("paused")),
        "images": {container["name"]: container.get("image") or "" for container in template.get("containers") or ()},
        "selector": selector_text(spec.get("selector")),
        "strategy": {
            "type": strategy.get("type") or "RollingUpdate",
            "max_surge": rolling.get("maxSurge"),
            "max_unavailable": rolling.get("maxUnavailable"),
        },
        "resource_version": str(metadata.get("resourceVersion") or ""),
        "config_maps": names_read(template, "configMap"),
        "secrets": names_read(template, "secret"),
        "references": references(template),
        "created_at": instant(metadata.get("creationTimestamp")),
        "conditions": _conditions(status),
        "managed_by": managed_by(metadata),
    }


def revision_of(metadata: Object) -> int | None:
    """The revision that the deployment controller wrote; None before it did."""
    text = (metadata.get("annotations") or {}).get(REVISION) or ""
    return int(text) if text.isdigit() else None


def managed_by(metadata: Object) -> str:
    """The GitOps controller that keeps the object as it is in a repository; empty when there is none."""
    keeper = keeper_of(metadata)
    return keeper.controller if keeper is not None else ""


def names_read(template: Object, kind: str) -> list[str]:
    """Names of the config maps (kind `configMap`) or secrets (`secret`) that a pod template reads, sorted."""
    return sorted({found["name"] for found in references(template) if found["kind"] == kind.lower()})


def references(template: Object) -> list[dict[str, Any]]:
    """The config maps and secrets that a pod template names, each once with each key.

    Keys: kind (`configmap`, `secret`), name, key (None: all of them), optional (the pod starts without it).
    """
    found = [*_environment_references(template), *_volume_references(template)]
    distinct = {(one["kind"], one["name"], one["key"] or ""): one for one in found if one["name"]}
    return [distinct[key] for key in sorted(distinct)]


def _environment_references(template: Object) -> Iterator[dict[str, Any]]:
    for container in (*(template.get("initContainers") or ()), *(template.get("containers") or ())):
        for source in container.get("envFrom") or ():
            for kind in _KINDS:
                yield from _reference(kind, source.get(f"{kind}Ref"))
        for variable in container.get("env") or ():
            for kind in _KINDS:
                reference = (variable.get("valueFrom") or {}).get(f"{kind}KeyRef")
                yield from _reference(kind, reference, [(reference or {}).get("key")])


def _volume_references(template: Object) -> Iterator[dict[str, Any]]:
    for volume in template.get("volumes") or ():
        for part in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            for kind in _KINDS:
                source = part.get(kind)
                yield from _reference(kind, source, [item.get("key") for item in (source or {}).get("items") or ()] or [None])


def _reference(kind: str, source: Object | None, keys: Sequence[str | None] = (None,)) -> Iterator[dict[str, Any]]:
    if source:
        name = source.get("name") or source.get("secretName")
        for key in keys:
            yield {"kind": kind.lower(), "name": name, "key": key, "optional": bool(source.get("optional"))}


def _conditions(status: Object) -> list[dict[str, Any]]:
    return [
        {**{key: str(condition.get(key) or "") for key in ("type", "status", "reason", "message")},
         "since": instant(condition.get("lastTransitionTime"))}
        for condition in status.get("conditions") or ()
    ]  # fmt: skip


def autoscaler_of(autoscalers: Iterable[Object], deployment: str) -> dict[str, Any] | None:
    """The autoscaler of a deployment; None when no autoscaler scales it. KEDA and the like work through one of these."""
    for autoscaler in autoscalers:
        spec, status = autoscaler.get("spec") or {}, autoscaler.get("status") or {}
        target = spec.get("scaleTargetRef") or {}
        if target.get("kind") == "Deployment" and target.get("name") == deployment:
            return {
                "name": autoscaler["metadata"]["name"],
                "min_replicas": int(spec.get("minReplicas", 1)),
                "max_replicas": int(spec["maxReplicas"]),
                "current_replicas": int(status.get("currentReplicas") or 0),
                "desired_replicas": int(status.get("desiredReplicas") or 0),
                "conditions": _conditions(status),
            }
    return None


def budget_of(budgets: Sequence[Object], labels: Mapping[str, str]) -> dict[str, Any] | None:
    """The disruption budget that covers pods with these labels; of several the one that allows least. None when none does."""
    covering = [budget for budget in budgets if selects((budget.get("spec") or {}).get("selector"), labels)]
    if not covering:
        return None
    budget = min(covering, key=lambda one: int((one.get("status") or {}).get("disruptionsAllowed") or 0))
    spec, status = budget.get("spec") or {}, budget.get("status") or {}
    return {
        "name": budget["metadata"]["name"],
        "disruptions_allowed": int(status.get("disruptionsAllowed") or 0),
        "min_available": spec.get("minAvailable"),
        "max_unavailable": spec.get("maxUnavailable"),
    }
