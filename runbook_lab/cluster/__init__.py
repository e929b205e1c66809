"""A small Kubernetes cluster to practise on: stock kubectl and clients work, and pods are processes of this machine."""

from runbook_lab.cluster.cluster import Cluster, reap
from runbook_lab.cluster.home_lock import HomeInUseError
from runbook_lab.cluster.image import Image

__all__ = ["Cluster", "HomeInUseError", "Image", "reap"]
