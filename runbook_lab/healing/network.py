"""The network: opens the ways that policies close, and makes slow links fast."""

from __future__ import annotations

from runbook_lab.cluster.node.traffic import Link
from runbook_lab.cluster_client import ClusterClient
from runbook_lab.home import Home


def restore(home: Home, cluster: ClusterClient) -> list[str]:
    """Delete all network policies - the manifests have none - and let no link be slow; say what was done."""
    done = []
    for policy in cluster.list("NetworkPolicy"):
        cluster.delete("NetworkPolicy", policy["metadata"]["name"])
        done.append(f"deleted networkpolicy/{policy['metadata']['name']}")
    for pod in cluster.list("Pod"):
        if Link.clear(home.pod_directory(pod["metadata"]["name"])):
            done.append(f"made the link of pod/{pod['metadata']['name']} fast again")
    return done
