"""The cluster's name server: answers what a pod's resolver asks, as CoreDNS does, from the names in the hosts files."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence

_HEADER = struct.Struct("!6H")  # id, flags, then how many questions, answers, authorities, additions
_TYPE_AND_CLASS = struct.Struct("!HH")
_ADDRESS, _INTERNET = 1, 1
_ANSWERS, _NO_SUCH_NAME = 0x8580, 0x8583  # authoritative, recursion available; the error codes 0 and 3
_TTL_SECONDS = 5

Resolve = Callable[[str, str], Sequence[str] | None]


class NameServer(asyncio.DatagramProtocol):
    """Answers on a loopback address.

    `resolve` gives the addresses of a name for the pod that asks, None when there is no such name; `delay_seconds` how late its
    answer is, None when it gets none.
    """

    def __init__(self, resolve: Resolve, delay_seconds: Callable[[str], float | None]) -> None:
        self._resolve = resolve
        self._delay_seconds = delay_seconds
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self, ip: str) -> tuple[str, int]:
        """Listen on a free port, and give the address."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(ip, 0))
        host, port = self._transport.get_extra_info("sockname")
        return host, port

    def close(self) -> None:
        """Stop listening."""
        if self._transport:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a query; what is none is dropped, as is one that a policy denies."""
        late = self._delay_seconds(addr[0])
        try:
            answer = self._answer(data, addr[0])
        except (struct.error, IndexError, UnicodeDecodeError):
            return
        if late is not None and self._transport:
            asyncio.get_running_loop().call_later(late, self._transport.sendto, answer, addr)

    def _answer(self, data: bytes, source: str) -> bytes:
        number, _, questions, *_ = _HEADER.unpack_from(data)
        name, end = _name(data, _HEADER.size)
        kind, _ = _TYPE_AND_CLASS.unpack_from(data, end)
        question = data[_HEADER.size : end + _TYPE_AND_CLASS.size]
        found = self._resolve(name, source) if questions == 1 else None
        addresses = (found or ()) if kind == _ADDRESS else ()
        header = _HEADER.pack(number, _NO_SUCH_NAME if found is None else _ANSWERS, 1, len(addresses), 0, 0)
        return header + question + b"".join(_record(address) for address in addresses)


def _name(data: bytes, at: int) -> tuple[str, int]:
    """Read a name, and give it with the place after it."""
    labels = []
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode("ascii").lower())
        at += 1 + length
    return ".".join(labels), at + 1


def _record(address: str) -> bytes:
    """An A record for the name of the question, to which it points back."""
    fixed = struct.pack("!HHHIH", 0xC000 | _HEADER.size, _ADDRESS, _INTERNET, _TTL_SECONDS, 4)
    return fixed + socket.inet_aton(address)
