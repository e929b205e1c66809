"""Looks a name up in the cluster's names: `nslookup NAME`."""

from __future__ import annotations

import sys

from runbook_lab.hosts import addresses


def main(words: list[str]) -> int:
    """Tell a name's addresses; 1 for a name that the cluster does not have."""
    if len(words) != 1 or words[0].startswith("-"):
        sys.stderr.write("usage: nslookup NAME\n")
        return 2
    found = addresses(words[0])
    if not found:
        sys.stdout.write(f"** server can't find {words[0]}: NXDOMAIN\n")
        return 1
    sys.stdout.write("".join(f"Name:\t{words[0]}\nAddress: {address}\n" for address in found))
    return 0
