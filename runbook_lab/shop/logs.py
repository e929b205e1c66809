"""JSON lines on stdout, with the trace that a request belongs to."""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a request stands in a trace (W3C Trace Context)."""

    trace_id: str
    span_id: str

    @classmethod
    def received(cls, header: str | None) -> Trace:
        """Go on with the trace of a `traceparent` header, or begin one."""
        match = _TRACEPARENT.fullmatch(header or "")
        return cls(match[1] if match else secrets.token_hex(16), secrets.token_hex(8))

    @property
    def header(self) -> str:
        """The `traceparent` header for calls made on behalf of this request."""
        return f"00-{self.trace_id}-{self.span_id}-01"


current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, message, logger, service, version, trace and span, exception."""

    def __init__(self, *, service: str, version: str) -> None:
        super().__init__()
        self._fixed = {"service": service, "version": version}

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of a record; what was passed as `extra={"fields": {...}}` stands beside the rest."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            **self._fixed,
        }
        if trace := current_trace.get():
            line |= {"trace_id": trace.trace_id, "span_id": trace.span_id}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(*, service: str, version: str, level: str = "INFO") -> None:
    """Send all log records of this process to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service=service, version=version))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # The pool retries and warns in its own words whenever a connection is slow to come; one line for each request says it better.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
