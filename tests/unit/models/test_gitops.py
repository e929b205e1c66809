"""By what one sees that a GitOps controller keeps an object."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.models.gitops import Keeper, keeper_of

INSTANCE = {"app.kubernetes.io/instance": "shop"}


def written_by(manager: str, **metadata: Any) -> dict[str, Any]:
    return {"managedFields": [{"manager": "kube-controller-manager"}, {"manager": manager}], **metadata}


@pytest.mark.parametrize(
    ("metadata", "keeper"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:ns/orders"}}, ("Argo CD", "application shop")),
        (written_by("argocd-controller", labels=INSTANCE), ("Argo CD", "application shop")),
        (written_by("argocd-application-controller"), ("Argo CD", "")),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, ("Flux", "Kustomization apps")),
        (written_by("kustomize-controller"), ("Flux", "")),
        (written_by("helm-controller", labels={"helm.toolkit.fluxcd.io/name": "shop"}), ("Flux", "HelmRelease shop")),
        ({"annotations": {"configsync.gke.io/resource-id": "apps_deployment_shop_orders"}}, ("Config Sync", "")),
        (written_by("configsync.gke.io", annotations={"configmanagement.gke.io/sync-name": "r"}), ("Config Sync", "sync r")),
        ({"labels": {"fleet.cattle.io/bundle-id": "shop"}}, ("Fleet", "bundle shop")),
        (written_by("fleetagent"), ("Fleet", "")),
    ],
)
def test_a_controller_is_seen_by_its_marks_or_by_what_it_wrote(metadata: dict[str, Any], keeper: tuple[str, str]) -> None:
    assert keeper_of(metadata) == Keeper(*keeper)


@pytest.mark.parametrize(
    "metadata",
    [{}, {"labels": INSTANCE}, written_by("helm", labels={**INSTANCE, "app.kubernetes.io/managed-by": "Helm"}), {"labels": None}],
)
def test_a_chart_that_somebody_installs_is_kept_by_nobody(metadata: dict[str, Any]) -> None:
    assert keeper_of(metadata) is None
