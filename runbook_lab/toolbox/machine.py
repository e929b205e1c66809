"""The machine's own program behind one of the same name here."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

_NOT_FOUND = 127


def become(name: str, words: Iterable[str]) -> int:
    """Execute the machine's program of a name in place of this one; 127 where it has none."""
    own = Path(sys.argv[1]).parent
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    path = shutil.which(name, path=os.pathsep.join(place for place in places if Path(place) != own))
    if path:
        os.execv(path, [name, *words])
    sys.stderr.write(f"{name}: not found\n")
    return _NOT_FOUND
