"""Finds the addresses of the cluster's services in the hosts file that the lab gives to its pods.

Pods are processes of this machine, which have no resolver of their own: `payments` means something in the lab only. The file's
path stands in LAB_HOSTS_FILE. It is read for every look-up, since services come and go; it has a few lines.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

_FILE = "LAB_HOSTS_FILE"


def resolve(name: str) -> str:
    """Give the address of a service, such as 127.40.9.3 for `payments`; an address is returned as it is.

    Raises socket.gaierror for a name that the cluster does not have, as a resolver does. Nothing outside is asked: the lab stays
    on loopback.
    """
    if found := addresses(name):
        return found[0]
    raise socket.gaierror(socket.EAI_NONAME, f"Name or service not known: {name}")


def addresses(name: str) -> list[str]:
    """Give all addresses of a name: one for a service, that of each ready pod for a headless one, none for a name not known."""
    if name == "localhost":
        return ["127.0.0.1"]
    if _is_address(name):
        return [name]
    return [address for address, names in _lines() if name in names]


def names() -> dict[str, str]:
    """Give every name that the cluster has, with its (first) address."""
    return {name: address for address, names in reversed(_lines()) for name in names}


def resolve_url(url: str) -> tuple[str, str]:
    """Give a URL with the address in place of the name, and the `host:port` that belongs into its Host header."""
    parts = urlsplit(url)
    address = resolve(parts.hostname or "")
    netloc = f"{address}:{parts.port}" if parts.port else address
    return urlunsplit(parts._replace(netloc=netloc)), parts.netloc


def _lines() -> list[tuple[str, list[str]]]:
    path = os.environ.get(_FILE)
    if not path or not Path(path).is_file():
        return []
    lines = (line.split() for line in Path(path).read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return [(address, names) for address, *names in filter(None, lines)]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
