"""Brings the cluster's objects back to what the manifests say."""

from __future__ import annotations

import copy
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from runbook_lab.cluster_client import ClusterClient, ClusterError
from runbook_lab.home import Home
from runbook_lab.objects import objects_of

STATEFUL_SETS = ("postgres", "redis")
DEPLOYMENTS = ("payments", "inventory", "orders", "loadgen")
_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_CHANGE_CAUSE = "kubernetes.io/change-cause"
_ATTEMPTS = 8
_CONTENT = ("spec", "data", "binaryData", "type")
Object = dict[str, Any]


def restore(home: Home, cluster: ClusterClient) -> tuple[set[str], list[str]]:
    """Create what is gone and change back what was changed.

    Give the apps whose pods still run with an older configuration, and what was done. Objects that the manifests do not name are
    left alone.
    """
    stale, done = set(), []
    for manifest in objects_of(home, seed=(home.state() or {}).get("seed")):
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        did = _restore_one(home, cluster, manifest)
        if did and kind in ("ConfigMap", "Secret"):
            stale.add(name.partition("-")[0])
        if did:
            done.append(f"{did} {kind.lower()}/{name}{' again' if did == 'created' else ''}")
    return stale, done


def _restore_one(home: Home, cluster: ClusterClient, manifest: Object) -> str:
    """Create or change back one object, and give the word for it; nothing when it is as it should be."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    for _ in range(_ATTEMPTS):
        present = cluster.find(kind, name)
        if present is None:
            cluster.create(_addressed(home, manifest) if kind == "Service" else manifest)
            return "created"
        wanted = _restored(present, manifest)
        try:
            if not _differs(present, cluster.replace(wanted, dry_run=True)):
                return ""
            cluster.replace(wanted)
        except ClusterError as error:
            # A controller writes the object's status, or somebody edits it: look at it anew.
            if error.code != HTTPStatus.CONFLICT:
                raise
        else:
            return "restored"
    raise ClusterError(f"{kind.lower()}/{name} was changed {_ATTEMPTS} times while it was being restored; try again")


def _addressed(home: Home, manifest: Object) -> Object:
    """A service with the address that it had: the files in the home name it, and pods have it in their environment."""
    for file in ("{}.url", "{}.dsn"):
        if (home.path / (name := file.format(manifest["metadata"]["name"]))).exists():
            return {**manifest, "spec": {**manifest["spec"], "clusterIP": urlsplit(home.read(name)).hostname}}
    return manifest


def _restored(present: Object, manifest: Object) -> Object:
    """The present object with the manifest's content. What the cluster itself has put in, such as a service's address, stays."""
    wanted = copy.deepcopy(present)
    for field in _CONTENT:
        wanted.pop(field, None)
        if field in manifest:
            wanted[field] = copy.deepcopy(manifest[field])
    if manifest["kind"] == "Service":
        given = {key: present["spec"][key] for key in ("clusterIP", "clusterIPs") if key in present["spec"]}
        wanted["spec"] = given | wanted["spec"]
    for field in ("labels", "annotations"):
        merged = (present["metadata"].get(field) or {}) | (manifest["metadata"].get(field) or {})
        if merged:
            wanted["metadata"][field] = merged
    return wanted


def _differs(present: Object, restored: Object) -> bool:
    return _compared(present) != _compared(restored)


def _compared(found: Object) -> Object:
    """What counts: the content, and the reason noted for it. A restart that somebody asked for is no difference."""
    content = copy.deepcopy({field: found[field] for field in _CONTENT if found.get(field)})
    template = content.get("spec", {}).get("template", {}) if isinstance(content.get("spec"), dict) else {}
    if annotations := template.get("metadata", {}).get("annotations"):
        annotations.pop(_RESTARTED_AT, None)
    content["labels"] = found["metadata"].get("labels")
    content["change-cause"] = (found["metadata"].get("annotations") or {}).get(_CHANGE_CAUSE)
    return content
