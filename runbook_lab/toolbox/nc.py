"""Opens a TCP connection: `nc [-z] [-v] [-w SECONDS] HOST PORT`; `-z` only tries, else stdin and stdout are joined to it."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading

from runbook_lab.hosts import resolve

_CHUNK_BYTES = 65536


def main(words: list[str]) -> int:
    """Connect; 1 where that fails, 2 for options that are not known, such as `-l` to listen."""
    options = _options(words)
    try:
        address = options.host if options.n else resolve(options.host)
    except socket.gaierror:
        sys.stderr.write(f"nc: bad address '{options.host}'\n")
        return 1
    where = f"{options.host} ({address}:{options.port})"
    try:
        connection = socket.create_connection((address, options.port), timeout=options.w)
    except OSError as error:
        words_of_it = "Connection timed out" if isinstance(error, TimeoutError) else error.strerror or str(error)
        sys.stderr.write(f"nc: {where}: {words_of_it}\n")
        return 1
    with connection:
        if options.v:
            sys.stderr.write(f"{where} open\n")
        if not options.z:
            _join(connection)
    return 0


def _options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nc", add_help=False, allow_abbrev=False)
    parser.add_argument("-z", action="store_true")
    parser.add_argument("-v", action="count", default=0)
    parser.add_argument("-n", action="store_true")
    parser.add_argument("-w", type=float, default=None)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    return parser.parse_args(words)


def _join(connection: socket.socket) -> None:
    """Copy both ways, until the other side has said all."""
    threading.Thread(target=_send, args=(connection,), daemon=True).start()
    try:
        while data := connection.recv(_CHUNK_BYTES):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    except TimeoutError:
        pass


def _send(connection: socket.socket) -> None:
    # Not sys.stdin.buffer, which waits for a whole chunk.
    while data := os.read(0, _CHUNK_BYTES):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
