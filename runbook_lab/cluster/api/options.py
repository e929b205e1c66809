"""The options of a request, from its query and (for a deletion) its body."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from runbook_lab.cluster.errors import BadRequest, Cause, Gone, Invalid, UnsupportedMediaType, VersionTooLarge
from runbook_lab.cluster.schema import protobuf

_PROPAGATIONS = ("Background", "Foreground", "Orphan")


@dataclass(frozen=True)
class WriteOptions:
    """How to write: whether only to try, on whose behalf, and how strictly to read."""

    dry_run: bool
    manager: str
    field_validation: str

    @classmethod
    def read(cls, query: Mapping[str, str], user_agent: str) -> "WriteOptions":
        """Read `dryRun`, `fieldManager` (else the first word of the user agent, as in Kubernetes) and `fieldValidation`."""
        manager = query.get("fieldManager") or user_agent.partition("/")[0] or "unknown"
        return cls(_dry_run(query.get("dryRun")), manager[:128], query.get("fieldValidation") or "Warn")


@dataclass(frozen=True)
class DeleteOptions:
    """How to delete. `grace_seconds` None: the pod's own."""

    dry_run: bool = False
    grace_seconds: float | None = None
    propagation: str = "Background"
    uid: str | None = None
    resource_version: str | None = None

    @classmethod
    def read(cls, query: Mapping[str, str], body: Mapping[str, Any]) -> "DeleteOptions":
        """Read the query's options, and over them those of a `DeleteOptions` body."""
        grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        propagation = body.get("propagationPolicy") or query.get("propagationPolicy")
        if propagation is None:
            orphan = body.get("orphanDependents", query.get("orphanDependents"))
            propagation = "Orphan" if orphan in (True, "true") else "Background"
        if propagation not in _PROPAGATIONS:
            listed = ", ".join(f'"{one}"' for one in _PROPAGATIONS)
            message = f'Unsupported value: "{propagation}": supported values: {listed}'
            raise _invalid_options("DeleteOptions", Cause("propagationPolicy", "FieldValueNotSupported", message))
        conditions = body.get("preconditions") or {}
        dry_run = body.get("dryRun") or query.get("dryRun")
        return cls(
            dry_run=_dry_run(dry_run[0] if isinstance(dry_run, list) else dry_run),
            grace_seconds=None if grace is None else float(grace),
            propagation=propagation,
            uid=conditions.get("uid"),
            resource_version=conditions.get("resourceVersion"),
        )


@dataclass(frozen=True)
class ListOptions:
    """What to list or watch."""

    labels: str | None
    fields: str | None
    limit: int
    continue_token: str | None
    resource_version: str
    version_match: str
    watch: bool
    timeout_seconds: float | None
    bookmarks: bool
    initial_events: bool

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "ListOptions":
        """Read the options of a list or watch; BadRequest for a number that is none."""
        return cls(
            labels=query.get("labelSelector"),
            fields=query.get("fieldSelector"),
            limit=int(number(query, "limit") or 0),
            continue_token=query.get("continue"),
            resource_version=query.get("resourceVersion", ""),
            version_match=query.get("resourceVersionMatch", ""),
            watch=flag(query, "watch"),
            timeout_seconds=number(query, "timeoutSeconds"),
            bookmarks=flag(query, "allowWatchBookmarks"),
            initial_events=flag(query, "sendInitialEvents"),
        )

    def check_version(self, current: int) -> None:
        """Refuse a list of a version that is to come (504), or (410) exactly of an old one: only the present is kept."""
        if self.version_match and not self.resource_version:
            message = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
            cause = Cause("resourceVersionMatch", "FieldValueForbidden", message)
            raise _invalid_options("ListOptions", cause)
        if not self.resource_version.isdigit():
            if self.resource_version:
                raise BadRequest(f"invalid resource version: {self.resource_version}")
            return
        asked = int(self.resource_version)
        if asked > current:
            raise VersionTooLarge.of(asked, current)
        if self.version_match == "Exact" and asked != current:
            raise Gone("The resourceVersion for the provided list is too old.")


def flag(query: Mapping[str, str], name: str) -> bool:
    """Read a boolean of the query; BadRequest for anything else."""
    text = query.get(name, "")
    if text.lower() in ("", "0", "f", "false"):
        return False
    if text.lower() in ("1", "t", "true"):
        return True
    raise BadRequest(f'parsing "{text}": invalid syntax (of the boolean {name})')


def number(query: Mapping[str, str], name: str) -> float | None:
    """Read a number of the query; None where it is missing, BadRequest where it is none."""
    text = query.get(name)
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise BadRequest(f'parsing "{text}": invalid syntax (of the number {name})') from error


def parse_body(body: bytes, content_type: str) -> Any:
    """Read a request's object from JSON, YAML or protobuf; UnsupportedMediaType for all else, also protobuf of unknown kinds."""
    try:
        match content_type:
            case "application/json" | "application/octet-stream" | "text/plain":
                return json.loads(body)
            case "application/yaml":
                return yaml.safe_load(body)
            case protobuf.CONTENT_TYPE:
                return protobuf.read_protobuf(body)
    except protobuf.ProtobufError as error:
        raise UnsupportedMediaType(str(error)) from error
    except (ValueError, yaml.YAMLError) as error:
        raise BadRequest(f"couldn't get version/kind; json parse error: {error}") from error
    raise UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, "
        + protobuf.CONTENT_TYPE
    )


def _dry_run(value: str | None) -> bool:
    if value in (None, ""):
        return False
    if value == "All":
        return True
    cause = Cause("dryRun", "FieldValueNotSupported", f'Unsupported value: "{value}": supported values: "All"')
    raise _invalid_options("WriteOptions", cause)


def _invalid_options(kind: str, cause: Cause) -> Invalid:
    return Invalid(f'{kind}.meta.k8s.io "" is invalid: {cause.field}: {cause.message}', causes=[cause])
