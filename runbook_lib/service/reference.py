"""Values that stand elsewhere: `env:NAME` and `file:PATH`, so that no secret lives in a service file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from runbook_lib.errors import ConfigurationError

_EXPANSION = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


def expand(text: str) -> str:
    """Expand `${NAME}`, `${NAME:-default}` and a leading `~` in a path."""

    def value_of(match: re.Match[str]) -> str:
        return os.environ.get(match["name"]) or (match["default"] or "")

    return os.path.expanduser(_EXPANSION.sub(value_of, text))
