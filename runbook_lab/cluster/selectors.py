"""Label and field selectors, in the grammar that `-l` and `--field-selector` take."""

import re
from collections.abc import Callable, Mapping
from typing import Any

Predicate = Callable[[Mapping[str, Any]], bool]

_SET_BASED = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUALITY = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<op>==|!=|=)\s*(?P<value>[^\s!=,()]*)$")
_NUMERIC = re.compile(r"^(?P<key>[^\s!=,()<>]+)\s*(?P<op>[<>])\s*(?P<value>-?\d+)$")
_EXISTS = re.compile(r"^(?P<not>!?)\s*(?P<key>[^\s!=,()]+)$")

# Beside metadata.name and metadata.namespace; the same lists as the real registries have.
FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
    "secrets": ("type",),
    "replicasets": ("status.replicas",),
    "services": ("spec.clusterIP", "spec.type"),
}


class SelectorError(ValueError):
    """The selector cannot be read, or names a field that the resource cannot be selected by."""


def parse_labels(selector: str | Mapping[str, str] | None) -> Predicate:
    """Make a test of an object from `app=orders,tier in (a,b),!canary` or from a mapping of equalities."""
    if not selector:
        return lambda _: True
    if isinstance(selector, Mapping):
        wanted = dict(selector)
        return lambda obj: wanted.items() <= _labels(obj).items()
    terms = [_label_term(part) for part in _split(selector)]
    return lambda obj: all(term(_labels(obj)) for term in terms)


def parse_label_selector(selector: Mapping[str, Any] | None) -> Predicate:
    """Make a test from a `LabelSelector` object (matchLabels and matchExpressions), as workloads carry it."""
    selector = selector or {}
    equal = dict(selector.get("matchLabels") or {})
    terms = [_expression(e["key"], e["operator"], tuple(e.get("values") or ())) for e in selector.get("matchExpressions") or ()]
    return lambda obj: equal.items() <= _labels(obj).items() and all(term(_labels(obj)) for term in terms)


def parse_fields(selector: str | None, plural: str) -> Predicate:
    """Make a test of an object from `status.phase=Running,metadata.name!=x`; only the fields of the resource are known."""
    if not selector:
        return lambda _: True
    known = ("metadata.name", "metadata.namespace", *FIELDS.get(plural, ()))
    terms = []
    for part in selector.split(","):
        match = re.match(r"^(?P<key>[^=!]+?)(?P<op>==|!=|=)(?P<value>.*)$", part.strip())
        if not match:
            raise SelectorError(f"invalid selector: '{selector}'; can't understand '{part}'")
        if match["key"] not in known:
            raise SelectorError(f"field label not supported: {match['key']}")
        terms.append((tuple(match["key"].split(".")), match["op"] != "!=", match["value"]))
    return lambda obj: all((_field(obj, path) == value) is equal for path, equal, value in terms)


def _labels(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return obj.get("metadata", {}).get("labels") or {}


def _split(selector: str) -> list[str]:
    """Cut at the commas that do not stand inside parentheses."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", selector) if part.strip()]


def _label_term(text: str) -> Predicate:
    if match := _SET_BASED.match(text):
        values = tuple(value.strip() for value in match["values"].split(","))
        return _expression(match["key"], "In" if match["op"] == "in" else "NotIn", values)
    if match := _EQUALITY.match(text):
        return _expression(match["key"], "NotIn" if match["op"] == "!=" else "In", (match["value"],))
    if match := _NUMERIC.match(text):
        return _expression(match["key"], "Gt" if match["op"] == ">" else "Lt", (match["value"],))
    if match := _EXISTS.match(text):
        return _expression(match["key"], "DoesNotExist" if match["not"] else "Exists", ())
    raise SelectorError(f"unable to parse requirement: {text!r}")


def _expression(key: str, operator: str, values: tuple[str, ...]) -> Predicate:
    if operator == "In":
        return lambda labels: key in labels and labels[key] in values
    if operator == "NotIn":
        return lambda labels: labels.get(key) not in values
    if operator == "Exists":
        return lambda labels: key in labels
    if operator == "DoesNotExist":
        return lambda labels: key not in labels
    if operator in ("Gt", "Lt"):
        limit = int(values[0])
        return lambda labels: _beyond(labels.get(key), limit, above=operator == "Gt")
    raise SelectorError(f"{operator!r} is not a valid label selector operator")


def _beyond(value: str | None, limit: int, *, above: bool) -> bool:
    try:
        number = int(value or "")
    except ValueError:
        return False
    return number > limit if above else number < limit


def _field(obj: Mapping[str, Any], path: tuple[str, ...]) -> str:
    # The registries present an event's source as its component's name.
    if path == ("source",):
        path = ("source", "component")
    value: Any = obj
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "false" if path[-1] in ("unschedulable", "hostNetwork") else ""
    return str(value)
