"""Gives a command a terminal of its own: run as `python -I -S terminal.py COMMAND…`, for `kubectl exec -t`.

What comes on stdin is typed into the terminal, what the terminal shows goes to stdout. It imports nothing of the project,
to start fast.
"""

import os
import pty
import sys

sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
