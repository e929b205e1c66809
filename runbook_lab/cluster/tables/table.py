"""Making a Table from objects."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from runbook_lab.cluster.tables import cluster, pods, workloads
from runbook_lab.cluster.tables.columns import Column

Object = dict[str, Any]

_COLUMNS: dict[str, tuple[Column, ...]] = {
    "clusterrolebindings": cluster.ROLE_BINDINGS,
    "configmaps": cluster.CONFIG_MAPS,
    "controllerrevisions": workloads.CONTROLLER_REVISIONS,
    "deployments": workloads.DEPLOYMENTS,
    "endpoints": cluster.ENDPOINTS,
    "endpointslices": cluster.ENDPOINT_SLICES,
    "events": cluster.EVENTS,
    "horizontalpodautoscalers": workloads.AUTOSCALERS,
    "ingresses": cluster.INGRESSES,
    "leases": cluster.LEASES,
    "namespaces": cluster.NAMESPACES,
    "networkpolicies": cluster.NETWORK_POLICIES,
    "nodes": cluster.NODES,
    "poddisruptionbudgets": workloads.DISRUPTION_BUDGETS,
    "pods": pods.COLUMNS,
    "replicasets": workloads.REPLICASETS,
    "rolebindings": cluster.ROLE_BINDINGS,
    "scales": workloads.SCALES,
    "secrets": cluster.SECRETS,
    "serviceaccounts": cluster.SERVICE_ACCOUNTS,
    "services": cluster.SERVICES,
    "statefulsets": workloads.STATEFULSETS,
}


def make_table(
    plural: str,
    objects: Sequence[Object],
    *,
    list_metadata: Object,
    now: datetime,
    version: str = "v1",
    include: str = "Metadata",
) -> Object:
    """Give the Table of some objects; `include` says what each row carries of its object: `Metadata`, `Object` or `None`."""
    columns = _COLUMNS.get(plural, cluster.DEFAULT)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": list_metadata,
        "columnDefinitions": [column.definition() for column in columns],
        "rows": [{"cells": [column.cell(obj, now) for column in columns]} | _carried(obj, include, version) for obj in objects],
    }


def metadata_only(obj: Object, version: str = "v1") -> Object:
    """Give the part of an object that every kind has."""
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": obj["metadata"]}


def _carried(obj: Object, include: str, version: str) -> Object:
    if include == "None":
        return {}
    return {"object": obj if include == "Object" else metadata_only(obj, version)}
