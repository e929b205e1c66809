"""Whether all is there that the pods need to start."""

from __future__ import annotations

from runbook_lib.checks.references import references
from runbook_lib.models.finding import Finding, FindingStatus
from runbook_lib.testing import FakeCluster, context, fake_sources


def look(key: str) -> Finding:
    needed = {"kind": "configmap", "name": "shop-trust", "key": key, "optional": False}
    binary = {"shop-trust": ["truststore.jks"]}
    cluster = FakeCluster(deployment={"references": [needed]}, config_maps={"shop-trust": {}}, binary=binary)
    return references(context(sources=fake_sources(cluster=cluster)))


def test_a_key_of_binary_data_is_there() -> None:
    assert look("truststore.jks").status is FindingStatus.NORMAL


def test_a_key_of_neither_is_missing() -> None:
    seen = look("keystore.jks")
    assert seen.status is FindingStatus.CRITICAL
    assert "configmap/shop-trust key keystore.jks" in seen.summary
