"""Importing a library late, on whichever thread needs it first."""

from __future__ import annotations

import threading

__all__ = ["one_import_at_a_time"]

# Held around each late import of a library. Two threads that import parts of the same packages for the first time can find each
# other waiting, which Python ends with a _DeadlockError in one of them: a source that is well would be called unreachable, on a
# busy machine of all times. (One imports urllib3, which imports urllib3.exceptions; the other imports urllib3.exceptions, which
# first imports urllib3.) Nothing is lost by it: the interpreter imports on one thread at a time anyway.
one_import_at_a_time = threading.RLock()
