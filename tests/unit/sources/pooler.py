"""What a client sees of PgBouncer: a pid that is not the server's. It pools nothing, and remembers what it was sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.unit.sources.postgres_fixtures import Server

_KEY = b"K\x00\x00\x00\x0c"  # BackendKeyData: its length, then the pid, then the secret


@dataclass
class Pooler:
    """Where it listens, and all that clients have sent."""

    port: int
    sent: bytearray = field(default_factory=bytearray)

    def dsn(self, server: Server, *, user: str) -> str:
        where = {"host": "127.0.0.1", "port": self.port, "sslmode": "disable", "gssencmode": "disable"}
        return make_conninfo(server.dsn(user=user), **where)


@contextmanager
def pooler(server: Server) -> Iterator[Pooler]:
    given = conninfo_to_dict(server.dsn())
    address = f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Pooler(listening.getsockname()[1])
        threading.Thread(target=_accept, args=(listening, address, found), daemon=True).start()
        yield found
        listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, address: str, told: Pooler) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            behind = socket.socket(socket.AF_UNIX)
            behind.connect(address)
            threading.Thread(target=_hand_on, args=(client, behind, told), daemon=True).start()
            threading.Thread(target=_hand_on, args=(behind, client, None), daemon=True).start()


def _hand_on(source: socket.socket, target: socket.socket, told: Pooler | None) -> None:
    """From one side to the other until it ends; answers with another pid."""
    with suppress(OSError), source, target:
        while data := source.recv(65536):
            if told is not None:
                told.sent += data
            elif (place := data.find(_KEY)) >= 0:
                data = data[: place + 5] + b"\x7f\x7f\x7f\x7f" + data[place + 9 :]
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
