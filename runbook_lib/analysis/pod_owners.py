"""Who keeps pods: the controllers that would make them anew."""

from __future__ import annotations

from runbook_lib.analysis.pod_troubles import serving
from runbook_lib.models.frame import Frame

__all__ = ["keepers_told", "kept"]

_LEAVING = ("terminating", "unknown: the node does not answer")  # both were told to end: see `pod_state`


def kept(pods: Frame) -> Frame:
    """The pods of `Cluster.pods` that a controller keeps standing: no job's, none that has ended or was told to."""
    there = serving(pods)
    if there.empty:
        return there
    return Frame(there[(there["owner"].fillna("") != "") & ~there["state"].isin(_LEAVING)])


def keepers_told(pods: Frame) -> str:
    """`3 pods are there, kept by replicaset/shop-7c9`: of pods that are `kept`."""
    names = sorted(set(pods["owner"].str.lower()))
    count = f"{len(pods)} pods are" if len(pods) > 1 else "1 pod is"
    return f"{count} there, kept by {' and '.join(names)}"
