"""Looks names up: `getent hosts NAME…`, `getent ahosts NAME…`; any other database is the machine's."""

from __future__ import annotations

import sys

from runbook_lab.hosts import addresses
from runbook_lab.toolbox.machine import become

_NOT_FOUND = 2


def main(words: list[str]) -> int:
    """Tell the addresses of names; 2, as getent has it, where one is not known."""
    if len(words) < 2 or words[0] not in ("hosts", "ahosts", "ahostsv4"):
        return become("getent", words)
    missing = 0
    for name in words[1:]:
        found = addresses(name)
        missing += not found
        sys.stdout.write("".join(f"{address:<15} {name}\n" for address in found))
    return _NOT_FOUND if missing else 0
