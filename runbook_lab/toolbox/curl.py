"""The machine's own curl, told the addresses of the cluster's names."""

from __future__ import annotations

from runbook_lab.hosts import names
from runbook_lab.toolbox.machine import become


def main(words: list[str]) -> int:
    """Become curl; 127 where the machine has none."""
    wanted = " ".join(words)
    known = [f"{name}::{address}:" for name, address in names().items() if name in wanted]
    return become("curl", [*(part for entry in known for part in ("--connect-to", entry)), *words])
