"""What a plan on an object is bound to."""

from __future__ import annotations

from typing import Any

import pytest

from runbook_lib.actions.cluster import AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, STATEFUL_SETS, Resource
from runbook_lib.actions.patching import binding

METADATA = {"uid": "u", "generation": 3, "resourceVersion": "100"}


@pytest.mark.parametrize(
    ("resource", "spec", "bound_to"),
    [
        (DEPLOYMENTS, {}, {"generation": "3"}),
        (STATEFUL_SETS, {}, {"generation": "3"}),
        (CONFIG_MAPS, {}, {"resourceVersion": "100"}),
        (AUTOSCALERS, {"minReplicas": 2, "maxReplicas": 8}, {"minReplicas": "2", "maxReplicas": "8"}),
        (AUTOSCALERS, {"maxReplicas": 8}, {"maxReplicas": "8"}),
    ],
)
def test_a_plan_is_bound_to_what_people_write_and_no_status_moves(
    resource: Resource, spec: dict[str, Any], bound_to: dict[str, str]
) -> None:
    assert binding(resource, {"metadata": METADATA, "spec": spec}) == {"uid": "u", **bound_to}
