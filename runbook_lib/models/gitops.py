"""Controllers that put an object back to what a Git repository says, and how one sees that an object is kept by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Keeper", "keeper_of"]


@dataclass(frozen=True, slots=True)
class Keeper:
    """The controller that keeps an object, and the unit of it in which a change lasts: `application shop`; empty when unknown."""

    controller: str
    unit: str


@dataclass(frozen=True, slots=True)
class _Kind:
    """What keeps objects. marks: labels and annotations that only it writes. managers: its names in managedFields.

    unit: what it calls that in which objects belong together, and the marks that name one, the surest first.
    """

    controller: str
    marks: frozenset[str]
    managers: frozenset[str]
    unit: str
    named_by: tuple[str, ...]


# By default Argo CD up to version 2 marks its objects with nothing but a label that charts use as well: there its name in
# managedFields tells, as it does wherever a mark was left out.
_KINDS = (
    _Kind(
        "Argo CD",
        frozenset({"argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"}),
        frozenset({"argocd-controller", "argocd-application-controller"}),
        "application",
        ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance", "app.kubernetes.io/instance"),
    ),
    _Kind(
        "Flux",
        frozenset({"kustomize.toolkit.fluxcd.io/name"}),
        frozenset({"kustomize-controller"}),
        "Kustomization",
        ("kustomize.toolkit.fluxcd.io/name",),
    ),
    _Kind(
        "Flux",
        frozenset({"helm.toolkit.fluxcd.io/name"}),
        frozenset({"helm-controller"}),
        "HelmRelease",
        ("helm.toolkit.fluxcd.io/name",),
    ),
    _Kind(
        "Config Sync",
        frozenset({"configsync.gke.io/resource-id"}),
        frozenset({"configsync.gke.io"}),
        "sync",
        ("configmanagement.gke.io/sync-name",),
    ),
    _Kind("Fleet", frozenset({"fleet.cattle.io/bundle-id"}), frozenset({"fleetagent"}), "bundle", ("fleet.cattle.io/bundle-id",)),
)


def keeper_of(metadata: Mapping[str, Any]) -> Keeper | None:
    """The GitOps controller that keeps the object with this metadata as it is in a repository; None when there is none."""
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    managers = {entry.get("manager") for entry in metadata.get("managedFields") or ()}
    marked = next((kind for kind in _KINDS if kind.marks & marks.keys()), None)
    kind = marked or next((kind for kind in _KINDS if kind.managers & managers), None)
    if kind is None:
        return None
    # Argo CD's tracking id is `application:group/kind:namespace/name`.
    name = next((str(marks[mark]).partition(":")[0] for mark in kind.named_by if marks.get(mark)), "")
    return Keeper(kind.controller, f"{kind.unit} {name}" if name else "")
