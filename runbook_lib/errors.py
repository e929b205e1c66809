"""Every error that the library raises on purpose.

One small hierarchy, so that a caller can catch a kind of trouble and not a library's own exception. The docstring of a
class says what it means for the person who reads it and what to do next; the message says what was expected, what was
found, and where.
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "ActionFailed",
    "ArchiveError",
    "ConfigurationError",
    "HeapDumpUnreadable",
    "NotebookFailed",
    "OutcomeUnknown",
    "RunbookError",
    "SourceAnswerInvalid",
    "SourceError",
    "SourceMissingObject",
    "SourceNotConfigured",
    "SourceRefused",
    "SourceTimeout",
    "SourceTrouble",
    "SourceUnreachable",
    "UsageError",
]


class RunbookError(Exception):
    """Something that a person can mend. The message says what, where, and how."""


class UsageError(RunbookError):
    """The call cannot be understood as it stands. Correct the argument that the message names and call again."""


class ConfigurationError(RunbookError):
    """A file of the team (service file, alert routes, notebook) is wrong. The message names file, line, field, and the mend."""


SourceTrouble = Literal["unreachable", "timeout", "refused", "invalid_answer", "not_configured", "not_found"]
"""Why a source gave no answer, one for each SourceError."""


class SourceError(RunbookError):
    """A real system could not be read. During an incident that is normal: the finding says so and the run goes on."""

    status: SourceTrouble = "unreachable"

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"{source}: {reason}")


class SourceUnreachable(SourceError):
    """The system does not accept connections. Check that it runs, and the address in the service file."""

    status = "unreachable"


class SourceTimeout(SourceError):
    """The system accepted the question but did not answer in time. It may be overloaded; ask for a smaller window."""

    status = "timeout"


class SourceRefused(SourceError):
    """The system answered 'no': a credential is missing or wrong, or its identity lacks the permission named."""

    status = "refused"


class SourceAnswerInvalid(SourceError):
    """The system answered something that is not its protocol (a proxy's page, HTTP 500, cut-off data)."""

    status = "invalid_answer"


class SourceMissingObject(SourceError):
    """The system answers, and has no object of this name. It was deleted, or the service file names it wrongly."""

    status = "not_found"


class SourceNotConfigured(SourceError):
    """The service file names no such system. Add it under `connections` if the service has one."""

    status = "not_configured"


class ActionFailed(RunbookError):
    """A change was begun and did not succeed. The audit says how far it got, and the outcome whether it was undone."""


class OutcomeUnknown(ActionFailed):
    """A change was sent, and whether it was made is not known: it may still be made. Look at its target by hand."""


class ArchiveError(RunbookError):
    """The incident's folder could not be written or read. The message names the path and the reason."""


class NotebookFailed(RunbookError):
    """The notebook stopped with an error. The archive is kept, and says in which cell."""


class HeapDumpUnreadable(RunbookError):
    """A heap dump is cut off, or is none. The message says from where on; take it again, or open it in the runtime's own tool."""
