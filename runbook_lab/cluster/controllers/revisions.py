"""Revisions of a deployment: which replica set is which, in the annotations that `kubectl rollout` reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from runbook_lab.cluster.metadata import Object

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
HASH_LABEL = "pod-template-hash"

_NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
}
_HASH_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Object) -> str:
    """Name a pod template by a 32-bit FNV-1a hash, written in the letters that Kubernetes takes for it."""
    value = 0x811C9DC5
    for byte in json.dumps(template, sort_keys=True, separators=(",", ":")).encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return "".join(_HASH_LETTERS[ord(digit) % len(_HASH_LETTERS)] for digit in str(value))


def same_template(left: Object, right: Object) -> bool:
    """Whether two pod templates are equal but for the hash label."""
    return _bare(left) == _bare(right)


def _bare(template: Object) -> dict[str, Any]:
    metadata = {key: value for key, value in (template.get("metadata") or {}).items() if value}
    if "labels" in metadata:
        metadata["labels"] = {key: value for key, value in metadata["labels"].items() if key != HASH_LABEL}
    return {"metadata": metadata, "spec": template.get("spec")}


def find_new(deployment: Object, replica_sets: Iterable[Object]) -> Object | None:
    """Give the replica set of the deployment's present template (the oldest, should there be several)."""
    template = deployment["spec"]["template"]
    matching = [rs for rs in replica_sets if same_template(rs["spec"]["template"], template)]
    return min(matching, key=lambda rs: (rs["metadata"]["creationTimestamp"], rs["metadata"]["name"]), default=None)


def revision_of(obj: Object) -> int:
    """Give the revision of a replica set or deployment; 0 where there is none yet."""
    text = (obj["metadata"].get("annotations") or {}).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def annotate(new: Object, deployment: Object, revision: int) -> None:
    """Give the new replica set the deployment's annotations (the change cause among them) and its revision, in place.

    A set that was an earlier revision keeps that number in its history, as after `rollout undo`.
    """
    annotations = new["metadata"].setdefault("annotations", {})
    copied = (deployment["metadata"].get("annotations") or {}).items()
    annotations.update({key: value for key, value in copied if key not in _NOT_COPIED})
    before = revision_of(new)
    if before >= revision:
        return
    annotations[REVISION] = str(revision)
    if before:
        history = annotations.get(HISTORY)
        annotations[HISTORY] = f"{history},{before}" if history else str(before)


def note_size(replica_set: Object, *, desired: int, maximum: int) -> bool:
    """Note the deployment's size [pods] on a replica set, in place; tell whether that changed it."""
    annotations = replica_set["metadata"].setdefault("annotations", {})
    wanted = {DESIRED: str(desired), MAXIMUM: str(maximum)}
    if wanted.items() <= annotations.items():
        return False
    annotations.update(wanted)
    return True


def noted_size(replica_set: Object) -> int | None:
    """Give the deployment's size [pods] that was last noted on a replica set."""
    text = (replica_set["metadata"].get("annotations") or {}).get(DESIRED, "")
    return int(text) if text.isdigit() else None
