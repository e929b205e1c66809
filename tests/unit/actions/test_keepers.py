"""Who takes a change back, as a plan warns of it."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.actions.keepers import taken_back

HELM = {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "shop"}}
KEPT = "hpa/orders is kept by Argo CD, whose next sync takes the scaling back: to let it last, change "


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({}, []),
        (HELM, ["hpa/orders is deployed by Helm, whose next run takes the scaling back: make the change there too"]),
        ({"managedFields": [{"manager": "argocd-controller"}], **HELM}, [KEPT + "its Git repository"]),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, [KEPT + "the Git repository of application shop"]),
    ],
)
def test_who_takes_a_change_back_is_told_and_where_it_lasts(metadata: dict[str, Any], told: list[str]) -> None:
    assert taken_back("hpa", {"metadata": {"name": "orders", **metadata}}, what="the scaling") == told
