"""What stands in for a system that the service file does not name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runbook_lib.errors import SourceNotConfigured
from runbook_lib.models.finding import SourceStatus

__all__ = ["AbsentSource"]


class AbsentSource:
    """Takes the place of any source: every question raises SourceNotConfigured, with the field that would change that."""

    namespace = ""

    def __init__(self, name: str, field: str) -> None:
        self.name = name
        self._reason = f"the service file has no connections.{field}"

    def probe(self) -> SourceStatus:
        """Say that it is not configured."""
        return SourceStatus(name=self.name, status="not_configured", error=self._reason)

    def close(self) -> None:
        """There is nothing to close."""

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)

        def refuse(*_args: Any, **_options: Any) -> Any:
            raise SourceNotConfigured(self.name, self._reason)

        return refuse
