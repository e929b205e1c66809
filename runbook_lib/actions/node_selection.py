"""Which nodes a pod asks for, by its node selector and its required node affinity, as the scheduler reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

__all__ = ["selects"]

Object = Mapping[str, Any]


def selects(pod: Object, node: Object) -> bool:
    """Whether the node is one that a pod of this spec asks for. What it merely prefers keeps it from no node.

    As the API defines it (NodeSelector of core/v1): one term is enough, all of a term must hold, and an empty one never does.
    """
    labels = node["metadata"].get("labels") or {}
    if not (pod.get("nodeSelector") or {}).items() <= labels.items():
        return False
    affinity = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_holds(term, node, labels) for term in required.get("nodeSelectorTerms") or ())


def _holds(term: Object, node: Object, labels: Mapping[str, str]) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    own = {"metadata.name": str(node["metadata"]["name"])}  # the only field that there is to ask for
    matches = [*(_matches(one, labels) for one in expressions), *(_matches(one, own) for one in fields)]
    return bool(matches) and all(matches)


def _matches(requirement: Object, labels: Mapping[str, str]) -> bool:
    """An operator that is not known here keeps no node out: more room than there is only makes pods wait."""
    found, wanted = labels.get(str(requirement.get("key"))), requirement.get("values") or ()
    match requirement.get("operator"):
        case "In":
            return found in wanted
        case "NotIn":
            return found not in wanted  # as the API has it, also where there is no such label
        case "Exists":
            return found is not None
        case "DoesNotExist":
            return found is None
        case "Gt" | "Lt" as operator:
            return _compares(found, operator, wanted)
        case _:
            return True


def _compares(found: str | None, operator: str, wanted: Sequence[str]) -> bool:
    """Of whole numbers only; a label that is none, or is not there, does not match."""
    with suppress(TypeError, ValueError, IndexError):
        have, than = int(str(found)), int(wanted[0])
        return have > than if operator == "Gt" else have < than
    return False
