"""Runs one of the programs: `python -m runbook_lab.toolbox PATH/wget -O- http://orders:8080/health`."""

from __future__ import annotations

import importlib
import signal
import sys
from pathlib import Path

from runbook_lab.toolbox.install import PROGRAMS


def main() -> int:
    """Run the program that the first word is the path of, with the words after it."""
    name, words = Path(sys.argv[1]).name, sys.argv[2:]
    if name not in PROGRAMS:
        sys.stderr.write(f"{name}: applet not found\n")
        return 127
    # Ends quietly on Ctrl-C and on a pipe that nobody reads, as programs do.
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    return int(importlib.import_module(f"runbook_lab.toolbox.{name}").main(words))


sys.exit(main())
