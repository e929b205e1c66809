"""What a check is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runbook_lib.models.window import Window
from runbook_lib.service import Service
from runbook_lib.service.instrumentation import Expressions
from runbook_lib.sources.interface import Sources


@dataclass(frozen=True, kw_only=True)
class CheckContext:
    """The service, the window, the sources, and the service's own PromQL. `now` is the window's end or the present, whichever
    is earlier."""

    service: Service
    window: Window
    now: datetime
    sources: Sources
    expressions: Expressions
