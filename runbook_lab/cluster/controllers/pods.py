"""Pods as a controller handles them: made from a template, counted, told apart."""

from __future__ import annotations

from datetime import datetime, timedelta

from runbook_lab.cluster.metadata import Object, condition, is_terminating, is_true, moment, owner_reference, pod_template_labels


def pod_from(owner: Object, template: Object, *, name: str | None = None) -> Object:
    """Make a pod of an owner's template; without a name the API generates one."""
    metadata: Object = {
        "namespace": owner["metadata"]["namespace"],
        "labels": pod_template_labels(template),
        "ownerReferences": [owner_reference(owner)],
    }
    metadata |= {"name": name} if name else {"generateName": f"{owner['metadata']['name']}-"}
    if annotations := (template.get("metadata") or {}).get("annotations"):
        metadata["annotations"] = dict(annotations)
    return {"metadata": metadata, "spec": template["spec"]}


def is_active(pod: Object) -> bool:
    """Whether a pod counts as one that a controller asked for: not ended, not being deleted."""
    return pod["status"].get("phase") not in ("Succeeded", "Failed") and not is_terminating(pod)


def is_ready(pod: Object) -> bool:
    """Whether a pod's condition Ready holds."""
    return is_true(pod, "Ready")


def available_in(pod: Object, *, min_ready_seconds: int, now: datetime) -> float | None:
    """Give the seconds until a pod counts as available: 0 when it does, None while it is not ready."""
    ready = condition(pod, "Ready")
    if ready is None or ready["status"] != "True":
        return None
    since = moment(ready["lastTransitionTime"]) + timedelta(seconds=min_ready_seconds)
    return max((since - now).total_seconds(), 0.0)


def restarts(pod: Object) -> int:
    """Give the restarts of a pod's most restarted container."""
    return max((entry["restartCount"] for entry in pod["status"].get("containerStatuses") or ()), default=0)
