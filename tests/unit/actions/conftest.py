"""The shop's cluster over HTTP, for every test of actions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kubernetes.client import ApiClient

from tests.unit.actions.cluster_api import Cluster, a_shop, serving


@pytest.fixture
def cluster() -> Cluster:
    return a_shop()


@pytest.fixture
def api(cluster: Cluster) -> Iterator[ApiClient]:
    with serving(cluster) as client:
        yield client
