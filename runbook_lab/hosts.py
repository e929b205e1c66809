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
    if name == "localhost" or _is_address(name):
        return name
    for line in _lines():
        address, *names = line.split()
        if name in names:
            return address
    raise socket.gaierror(socket.EAI_NONAME, f"Name or service not known: {name}")


def resolve_url(url: str) -> tuple[str, str]:
    """Give a URL with the address in place of the name, and the `host:port` that belongs into its Host header."""
    parts = urlsplit(url)
    address = resolve(parts.hostname or "")
    netloc = f"{address}:{parts.port}" if parts.port else address
    return urlunsplit(parts._replace(netloc=netloc)), parts.netloc


def _lines() -> list[str]:
    path = os.environ.get(_FILE)
    if not path or not Path(path).is_file():
        return []
    return [line for line in Path(path).read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
