"""Becomes a container's process: run as `python -I -S launch.py PARENT_PID COMMAND…`.

The process asks the kernel to be killed when the lab's supervisor dies, and then executes the command. A small program does this,
and not a function between fork and exec, because the supervisor has threads. It imports nothing of the project, to start fast.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, and execute the command; exits 127 or 126 like a shell when that is impossible."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        sys.exit(127)
    except OSError:
        sys.exit(126)


main()
