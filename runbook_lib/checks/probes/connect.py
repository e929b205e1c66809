"""Runs in a container: how long does each address take to be found and connected to? Any Python from 3.7 on, and no package.

Arguments: tries, seconds for each, seconds for all, then HOST:PORT... Prints a line for each try, its fields parted by tabs: the
address, milliseconds for the name, for the connection, what went wrong. The address `self` is this process's own: no network.
"""

from __future__ import annotations

import socket
import sys
import time


def attempt(host: str, port: int, limit: float) -> tuple[float, float | None, str]:
    """Connect once."""
    began = time.perf_counter()
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    except OSError as error:
        return 1000 * (time.perf_counter() - began), None, f"name: {error}"
    named = 1000 * (time.perf_counter() - began)
    problem = ""
    with socket.socket(family, kind, protocol) as connecting:
        connecting.settimeout(limit)
        began = time.perf_counter()
        try:
            connecting.connect(address)
        except OSError as error:
            problem = str(error) or "timed out"
        return named, 1000 * (time.perf_counter() - began), problem


def main(tries: int, limit: float, budget: float, addresses: list[str]) -> None:
    """Connect to all in turn; what cannot be reached is tried once."""
    own = socket.socket()
    own.bind(("127.0.0.1", 0))
    own.listen(16)
    targets = [("self", "127.0.0.1", own.getsockname()[1])]
    targets += [(one, one.rpartition(":")[0].strip("[]"), int(one.rpartition(":")[2])) for one in addresses]
    began, silent = time.perf_counter(), set()
    for _ in range(tries):
        for label, host, port in targets:
            if label in silent or time.perf_counter() - began > budget:
                continue
            named, connected, problem = attempt(host, port, limit)
            if problem:
                silent.add(label)
            sys.stdout.write(f"{label}\t{named:.2f}\t{'' if connected is None else f'{connected:.2f}'}\t{problem}\n")
            sys.stdout.flush()


main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
