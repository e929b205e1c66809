"""One change at a time: locks between the notebooks and workers that share an archive.

The system gives a lock back when its holder dies, so that a crash leaves nothing to clean up. Notebooks on different machines
are kept apart only as far as their shared file system keeps locks; the precondition in every patch is what holds between them.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runbook_lib.actions.interface import ChangeRefused
from runbook_lib.models.plan import Refusal

__all__ = ["holding"]


@contextmanager
def holding(directory: Path, name: str, *, holder: str) -> Iterator[None]:
    """Hold the lock `name`; `holder` is told to whoever finds it taken.

    Raises ChangeRefused when somebody else has it, or it cannot be taken.
    """
    path = directory / ".locks" / (re.sub(r"[^\w.-]+", "-", name) + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        reason = f"the lock {path} cannot be opened: {error.strerror}"
        raise ChangeRefused(Refusal(by="one at a time", reason=reason, mend="mend the permissions of the archive")) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = os.read(descriptor, 400).decode(errors="replace").strip()
            reason = f"another change of {name} is under way ({other or 'by whom is not known'})"
            mend = "wait until it is through, then look again"
            raise ChangeRefused(Refusal(by="one at a time", reason=reason, mend=mend)) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, holder.encode())
        yield
    finally:
        os.close(descriptor)
