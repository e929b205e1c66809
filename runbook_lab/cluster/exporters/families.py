"""What a metric family of kube-state-metrics is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from runbook_lab.cluster.metadata import Object, controller_of, moment

# Label values and the number of one series.
Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True)
class Family:
    """One metric family: the resource it is about, and the samples that one object gives."""

    name: str
    help: str
    plural: str
    samples: Callable[[Object], Iterable[Sample]]
    counter: bool = False


def named(obj: Object, kind: str, **more: str) -> dict[str, str]:
    """Give the labels that every series about an object has: `namespace`, and its name under its kind's."""
    metadata = obj["metadata"]
    own = {kind: metadata["name"]}
    return ({"namespace": metadata["namespace"]} if metadata.get("namespace") else {}) | own | more


def one_of(labels: Mapping[str, str], label: str, chosen: str | None, choices: Iterable[str]) -> Iterable[Sample]:
    """Give a series for every choice: 1 for the chosen one, 0 for the others."""
    for choice in choices:
        yield {**labels, label: choice}, float(choice == chosen)


def condition_samples(obj: Object, kind: str) -> Iterable[Sample]:
    """Give each condition of an object's status, once for each of true, false and unknown."""
    for entry in obj.get("status", {}).get("conditions") or ():
        labels = named(obj, kind, condition=entry["type"])
        yield from one_of(labels, "status", entry["status"].lower(), ("true", "false", "unknown"))


def label_samples(obj: Object, kind: str) -> Iterable[Sample]:
    """Give an object's labels as labels of a series, in kube-state-metrics' spelling."""
    labels = {f"label_{re.sub('[^a-zA-Z0-9_]', '_', key)}": value for key, value in (obj["metadata"].get("labels") or {}).items()}
    yield named(obj, kind) | labels, 1.0


def created(obj: Object, kind: str) -> Iterable[Sample]:
    """Give the time at which an object was created [Unix seconds]."""
    yield named(obj, kind), moment(obj["metadata"]["creationTimestamp"]).timestamp()


def owner_samples(obj: Object, kind: str) -> Iterable[Sample]:
    """Give the owner of an object; empty labels where it has none."""
    owner = controller_of(obj)
    named_owner = {"owner_kind": owner["kind"], "owner_name": owner["name"]} if owner else {"owner_kind": "", "owner_name": ""}
    yield named(obj, kind, **named_owner, owner_is_controller="true" if owner else ""), 1.0
