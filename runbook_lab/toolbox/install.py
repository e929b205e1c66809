"""Puts the programs into a directory that can stand on a PATH."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

PROGRAMS = ("wget", "nc", "nslookup", "getent", "curl")
_CODE = Path(__file__).resolve().parents[2]


def install(directory: Path) -> Path:
    """Write a launcher for each program, and give the directory.

    All are one shell script that names this very interpreter: the one on a container's PATH may be any, or none.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # -S and -P: no packages and no modules of the working directory, so that it starts fast and runs nothing else.
    command = f"{shlex.quote(sys.executable)} -s -S -P -m runbook_lab.toolbox"
    script = f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(_CODE))} exec {command} "$0" "$@"\n'
    for name in PROGRAMS:
        launcher = directory / name
        launcher.write_text(script)
        launcher.chmod(0o755)
    return directory
