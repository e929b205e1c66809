"""Runs in a container: how long does each address take to be found and connected to? Any Python from 3.7 on, and no package.

Arguments: tries, seconds for each, seconds for all, then HOST:PORT... Prints a line for each try, its fields parted by tabs: the
address, milliseconds for the name (at the first try: it is asked for once), milliseconds for the connection, what went wrong. The
address `self` is this process's own: no network.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:1")  # of glibc's resolver: by itself it waits for ten seconds


def since(began: float) -> str:
    """The milliseconds since then."""
    return f"{1000 * (time.perf_counter() - began):.2f}"


def connect(label: str, host: str, port: int, tries: int, limit: float, end: float) -> None:
    """Find an address and connect to it several times, but once only where that is in vain."""
    began = time.perf_counter()
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    except OSError as error:
        tell(label, since(began), "", f"name: {error}")
        return
    named, problem = since(began), ""
    while tries and not problem and time.perf_counter() < end:
        with socket.socket(family, kind, protocol) as connecting:
            connecting.settimeout(limit)
            began = time.perf_counter()
            try:
                connecting.connect(address)
            except OSError as error:
                problem = getattr(error, "strerror", None) or str(error) or "timed out"
            tell(label, named, since(began), problem)
        named, tries = "", tries - 1


def tell(*fields: str) -> None:
    """Print a line at once: what is not through in time has at least told what it has."""
    sys.stdout.write("\t".join(fields) + "\n")
    sys.stdout.flush()


def main(tries: int, limit: float, seconds: float, addresses: list[str]) -> None:
    """Connect to all side by side."""
    own = socket.socket()
    own.bind(("127.0.0.1", 0))
    own.listen(16)
    targets = [("self", "127.0.0.1", own.getsockname()[1])]
    targets += [(one, one.rpartition(":")[0].strip("[]"), int(one.rpartition(":")[2])) for one in addresses]
    end = time.perf_counter() + seconds
    threads = [threading.Thread(target=connect, args=(*target, tries, limit, end), daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.perf_counter()))


main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
