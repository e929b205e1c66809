"""What PostgreSQL's refusals and failures mean, in words that name the mend."""

from __future__ import annotations

import re

from runbook_lib.deadline import DeadlineError
from runbook_lib.errors import RunbookError, SourceAnswerInvalid, SourceRefused, SourceTimeout, SourceUnreachable, UsageError
from runbook_lib.importing import importing

__all__ = ["NAME", "failed"]

NAME = "postgres"
_SEVERITY = re.compile(r"(?:FATAL|ERROR|PANIC):\s+")
# libpq gives no code for a refusal at the door, only the server's words. PgBouncer has words of its own.
_FULL = re.compile(
    r"too many clients already|remaining connection slots are reserved|too many connections for (?:role|database)"
    r"|no more connections allowed|query_wait_timeout"
)
_STARTING = re.compile(
    r"the database system is (?:starting up|shutting down|in recovery mode|not (?:yet )?accepting connections)"
)
_CREDENTIALS = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry|authentication failed|role .* does not exist"
    r"|database .* does not exist|is not permitted to log in|permission denied for database|certificate authentication failed"
    r"|SSL required|no such (?:user|database)|unsupported startup parameter",
    re.IGNORECASE,
)
_NONSENSE = re.compile(
    r"invalid response to (?:SSL|GSS) negotiation|expected authentication request|unexpected message|lost synchronization"
)


def failed(error: BaseException, *, seconds: float, theirs: bool = False) -> RunbookError:
    """The error that psycopg's stands for. `theirs`: the statement is the engineer's own, whose mistakes are a UsageError."""
    with importing("psycopg"):
        import psycopg

    if isinstance(error, RunbookError):
        return error
    if isinstance(error, psycopg.errors.ConnectionTimeout):  # one that hangs: the kernel accepts for it, and nobody answers
        return SourceUnreachable(NAME, "nobody answered the connection in time, not even with a refusal")
    if isinstance(error, DeadlineError):  # it may have let us in, as a pooler does whose connections are all taken
        return SourceTimeout(NAME, f"no answer within {seconds:.3g} s")
    if not isinstance(error, psycopg.Error):
        return SourceAnswerInvalid(NAME, f"the answer cannot be understood: {type(error).__name__}: {error}")
    if error.sqlstate is None:
        return _at_the_door(error)
    return _by_state(error, error.sqlstate, theirs=theirs)


def _by_state(error: BaseException, state: str, *, theirs: bool) -> RunbookError:
    text = _primary(error)
    match state:
        case "57014" | "25P03" | "25P04":
            return SourceTimeout(NAME, f"the statement was cancelled: {text}")
        case "55P03":
            return SourceTimeout(NAME, f"a lock was not granted in time: {text}")
        case "25006" | "0A000" if state == "25006" or "data-modifying" in text:
            return SourceRefused(NAME, f"only statements that read are allowed here: {text}; changes are made by actions")
        case "42501":
            return SourceRefused(NAME, f"{text}; grant it to this role, or use one that may")
        case "53300":
            return SourceRefused(NAME, f"the server is full: {text}")
    if _FULL.search(text):  # PgBouncer's has the code of a broken connection
        return SourceRefused(NAME, f"the server has no free connection: {text}")
    if state.startswith(("57P", "08")):
        return SourceUnreachable(NAME, f"the server ended the connection: {text}")
    if state.startswith("28"):
        return SourceRefused(NAME, text)
    if theirs and state.startswith(("42", "22", "0A", "34", "26")):
        return UsageError(f"the statement cannot be run: {text}")
    return SourceAnswerInvalid(NAME, f"the server answered with an error ({state}): {text}")


def _at_the_door(error: BaseException) -> RunbookError:
    """An error without a code: there was no connection, or it broke."""
    with importing("psycopg"):
        import psycopg

    text = _words(error)
    if _FULL.search(text):
        return SourceRefused(NAME, f"the server has no free connection: {text}")
    if _STARTING.search(text):
        return SourceUnreachable(NAME, text)
    if _CREDENTIALS.search(text):
        return SourceRefused(NAME, text)
    if _NONSENSE.search(text):
        return SourceAnswerInvalid(NAME, f"what answers is not PostgreSQL: {text}")
    if isinstance(error, psycopg.DataError):
        return SourceAnswerInvalid(NAME, f"a value cannot be represented: {text}; cast the column to text")
    if isinstance(error, psycopg.OperationalError):
        return SourceUnreachable(NAME, text)
    return SourceAnswerInvalid(NAME, f"{type(error).__name__}: {text}")


def _primary(error: BaseException) -> str:
    """The message and its hint, without the detail: that may quote a row."""
    diagnostics = getattr(error, "diag", None)
    parts = [getattr(diagnostics, "message_primary", None), getattr(diagnostics, "message_hint", None)]
    return "; ".join(" ".join(part.split()) for part in parts if part) or _words(error)


def _words(error: BaseException) -> str:
    """The server's own words: the last thing said after a severity, else the first lines without psycopg's preamble."""
    text = str(error).strip()
    if _SEVERITY.search(text):
        return " ".join(_SEVERITY.split(text)[-1].split("\n")[0].split())
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = "; ".join(lines[:2]) if lines else type(error).__name__
    return line.removeprefix("connection failed: ").removeprefix("connection is bad: ")
