"""Ending runs, with all that they started: first they are asked, so that a change is taken back and the archive closed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

from runbook_lib.archive.folder import this_process, writer_lives
from runbook_lib.models.record import ProcessRecord

__all__ = ["end_left_behind", "end_run"]

_GRACE_SECONDS = 20.0
"""Longer than a run gives its notebook's cell to take back a change."""
_DYING_SECONDS = 2.0
_POLL_SECONDS = 0.1


def end_run(process: subprocess.Popen[bytes]) -> None:
    """Ask a run of ours and its children to end; insist after a grace."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def end_left_behind(processes: Sequence[ProcessRecord]) -> list[ProcessRecord]:
    """End those runs of an earlier receiver that are still on; gives them.

    Where that cannot be known for sure - on another host, without /proc - a process is left alone: its id may be somebody
    else's by now.
    """
    host = this_process().host
    left = [one for one in processes if one.host == host and one.started is not None and writer_lives(one)]
    for number, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, _DYING_SECONDS)):
        on = [one for one in left if writer_lives(one)]
        for one in on:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(one.pid, number)
        end = time.monotonic() + seconds
        while any(writer_lives(one) for one in on) and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
    return left
