"""The refusals of the lab cluster, each with the code, reason and words that a Kubernetes API server uses."""

# ruff: noqa: N818 - they carry the names that Kubernetes gives them

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lab.cluster.resources import Resource


@dataclass(frozen=True)
class Cause:
    """One reason for a refusal: the field (if any), the kind of mistake (`FieldValueInvalid`, ...) and the words for people."""

    field: str
    reason: str
    message: str


class StoreError(Exception):
    """The cluster refuses a request: the message is the one `kubectl` prints, `status()` the object that goes over the wire."""

    code = 500
    reason = "InternalError"

    def __init__(
        self,
        message: str,
        *,
        resource: Resource | None = None,
        name: str | None = None,
        causes: Sequence[Cause] = (),
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.resource = resource
        self.name = name
        self.causes = tuple(causes)
        self.retry_after_seconds = retry_after_seconds

    def status(self) -> dict[str, Any]:
        """Give the `Status` object of the refusal."""
        details: dict[str, Any] = {}
        if self.name:
            details["name"] = self.name
        if self.resource:
            # Invalid speaks of the kind, all others of the resource: kubectl prints what it finds here.
            details["kind"] = self.resource.kind if isinstance(self, Invalid) else self.resource.plural
            if self.resource.group:
                details["group"] = self.resource.group
        if self.causes:
            causes = [{"reason": c.reason, "message": c.message, "field": c.field} for c in self.causes]
            details["causes"] = [{key: text for key, text in cause.items() if text} for cause in causes]
        if self.retry_after_seconds is not None:
            details["retryAfterSeconds"] = self.retry_after_seconds
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if not isinstance(self, Unauthorized):
            status["details"] = details
        return status


class BadRequest(StoreError):
    """400: the request itself is wrong."""

    code, reason = 400, "BadRequest"


class Unauthorized(StoreError):
    """401: nobody we know."""

    code, reason = 401, "Unauthorized"


class Forbidden(StoreError):
    """403: known, and not allowed to."""

    code, reason = 403, "Forbidden"


class NotFound(StoreError):
    """404: there is no such object."""

    code, reason = 404, "NotFound"

    @classmethod
    def of(cls, resource: Resource, name: str) -> "NotFound":
        """Say which object is missing."""
        return cls(f'{resource.qualified} "{name}" not found', resource=resource, name=name)


class MethodNotAllowed(StoreError):
    """405: the resource is served, but not with this method."""

    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(StoreError):
    """406: none of the representations asked for is served."""

    code, reason = 406, "NotAcceptable"


class AlreadyExists(StoreError):
    """409: an object of this name is there."""

    code, reason = 409, "AlreadyExists"

    @classmethod
    def of(cls, resource: Resource, name: str) -> "AlreadyExists":
        """Say which object is in the way."""
        return cls(f'{resource.qualified} "{name}" already exists', resource=resource, name=name)


class Conflict(StoreError):
    """409: the object is no longer the one that the request was made for."""

    code, reason = 409, "Conflict"

    @classmethod
    def of(cls, resource: Resource, name: str, why: str | None = None) -> "Conflict":
        """Say which object changed (or which precondition failed)."""
        why = why or "the object has been modified; please apply your changes to the latest version and try again"
        return cls(f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}', resource=resource, name=name)


class ApplyConflict(StoreError):
    """409: an apply would change fields that others manage; each field is a cause, from which kubectl tells what can be done."""

    code, reason = 409, "Conflict"


class Gone(StoreError):
    """410: the history that was asked for is no longer kept; list again."""

    code, reason = 410, "Expired"


class UnsupportedMediaType(StoreError):
    """415: a body in a format that is not read here."""

    code, reason = 415, "UnsupportedMediaType"


class Invalid(StoreError):
    """422: the object breaks a rule; each broken rule is a cause."""

    code, reason = 422, "Invalid"

    @classmethod
    def of(cls, resource: Resource, name: str, causes: Sequence[Cause]) -> "Invalid":
        """Say all that is wrong with an object, in Kubernetes' one-line form."""
        kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
        parts = [f"{cause.field}: {cause.message}" for cause in causes]
        text = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
        return cls(f'{kind} "{name}" is invalid: {text}', resource=resource, name=name, causes=causes)


class VersionTooLarge(StoreError):
    """504: a version that there has not been yet. (A real server waits some seconds for it first.)"""

    code, reason = 504, "Timeout"

    @classmethod
    def of(cls, asked: int, current: int) -> "VersionTooLarge":
        """Say which version was asked for, in the words by which clients know to ask again."""
        cause = Cause("", "ResourceVersionTooLarge", "Too large resource version")
        return cls(f"Too large resource version: {asked}, current: {current}", causes=[cause], retry_after_seconds=1)


class TypedPatchError(StoreError):
    """500: the configuration to apply is no object of its kind. (A real server also calls it an error of its own.)"""

    code, reason = 500, ""

    @classmethod
    def of(cls, resource: Resource, config: Mapping[str, Any], why: str) -> "TypedPatchError":
        """Say what is wrong with the configuration of which object."""
        metadata = config.get("metadata") or {}
        name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {resource.api_version}, Kind={resource.kind}"
        return cls(f"failed to create typed patch object ({name}): {why}")


class TooManyRequests(StoreError):
    """429: not now, such as an eviction that a disruption budget does not allow at present."""

    code, reason = 429, "TooManyRequests"
