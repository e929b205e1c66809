"""Words for what is wrong with a field, in the forms that Kubernetes uses."""

import json
from collections.abc import Iterable
from typing import Any

from runbook_lab.cluster.errors import Cause


def required(field: str, detail: str = "") -> Cause:
    """The field is missing."""
    return Cause(field, "FieldValueRequired", f"Required value: {detail}" if detail else "Required value")


def invalid(field: str, value: Any, detail: str) -> Cause:
    """The field's value breaks a rule."""
    return Cause(field, "FieldValueInvalid", f"Invalid value: {json.dumps(value)}: {detail}")


def immutable(field: str, value: Any) -> Cause:
    """The field was changed and must never be."""
    return invalid(field, value, "field is immutable")


def unsupported(field: str, value: Any, supported: Iterable[str]) -> Cause:
    """The field's value is none of those that there are."""
    listed = ", ".join(json.dumps(one) for one in supported)
    return Cause(field, "FieldValueNotSupported", f"Unsupported value: {json.dumps(value)}: supported values: {listed}")


def duplicate(field: str, value: Any) -> Cause:
    """The value stands there twice."""
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {json.dumps(value)}")
