"""The gate before a pod's connections: each `connect` of its processes waits here for a word.

A network plugin sits in the pod's network namespace, which a process of this machine does not have. But the kernel can hold a
system call until another process has decided about it (seccomp's user notification, Linux 5.6), and that needs no privilege. So
the node knows whose connection it is, gives it the pod's address as its source, makes it late, or lets it come to nothing, in
whatever language it is made. `launch.py` puts the filter before the process; this is the other side.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# From linux/seccomp.h: struct seccomp_notif (id, pid, flags, then struct seccomp_data: nr, arch, ip, args), the answer to it
# (id, value, error, flags), and the numbers of the three calls.
_NOTIFICATION, _ANSWER = struct.Struct("QIIiIQ6Q"), struct.Struct("QqiI")
_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
_CONTINUE = 1
_PIDFD_OPEN, _PIDFD_GETFD = 434, 438  # the same on all architectures
_BIND_ADDRESS_NO_PORT = 24  # of IPPROTO_IP: the port is chosen with the other end, of which there are more than ports
_DOMAIN_PORT = 53
_LOCALHOST = "127.0.0.1"  # what a pod says to itself does not leave it
_MAPPED = bytes(10) + b"\xff\xff"  # an IPv4 address in IPv6 sockets, as Java uses them
# What a kernel does with a SYN that nobody answers (tcp_syn_retries) [s].
_GIVES_UP_SECONDS = 127.0

_kernel = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class _Call:
    """A thread that waits in `connect`: who, on which socket, and where the address lies in its memory."""

    listener: int
    id: int
    thread: int
    descriptor: int
    address_at: int
    length: int
    source: str


class Gate:
    """Holds the connections of all pods, and lets them go as it is told.

    `admits` says whether a pod's connection to an address passes, `delay_seconds` how late what leaves a pod is. `name_server` is
    where resolvers are sent, and `on_failure` hears of a kernel on which none of this works.
    """

    def __init__(self, *, admits: Callable[[str, str, int], bool], delay_seconds: Callable[[str], float]) -> None:
        self._admits = admits
        self._delay_seconds = delay_seconds
        self.name_server: tuple[str, int] | None = None
        self.on_failure: Callable[[str], None] | None = None
        self._held: dict[tuple[int, int], tuple[_Call, str, int]] = {}
        self._listeners: set[int] = set()
        self._black_hole: list[socket.socket] = []

    @contextmanager
    def entrance(self, source: str) -> Iterator[int]:
        """Give the descriptor that a process of the pod with this address has to be started with; see launch.py."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        asyncio.get_running_loop().add_reader(ours, self._begin, ours, source)
        try:
            yield theirs.fileno()
        finally:
            theirs.close()

    def reconsider(self) -> None:
        """Ask again about the connections that are held: what may pass has changed."""
        for call, target, port in list(self._held.values()):
            if self._admits(call.source, target, port):
                self._release(call, 0, _CONTINUE)

    def close(self) -> None:
        """Let go of everything; what waits then fails."""
        for listener in list(self._listeners):
            self._end(listener)
        for entry in self._black_hole:
            entry.close()

    # --- the life of a filter

    def _begin(self, channel: socket.socket, source: str) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(channel)
        with channel:
            word, passed, *_ = channel.recvmsg(16, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        descriptors = array.array("i")
        for _, _, data in passed:
            descriptors.frombytes(data[:4])
        if not descriptors:
            if word and self.on_failure:
                self.on_failure("this kernel lets no process wait in connect: network policies and slow links have no effect")
                self.on_failure = None  # once
            return
        [listener] = descriptors
        self._listeners.add(listener)
        loop.add_reader(listener, self._receive, listener, source)

    def _end(self, listener: int) -> None:
        asyncio.get_running_loop().remove_reader(listener)
        self._listeners.discard(listener)
        self._held = {key: held for key, held in self._held.items() if key[0] != listener}
        os.close(listener)

    # --- one connection

    def _receive(self, listener: int, source: str) -> None:
        looking = select.poll()
        looking.register(listener, select.POLLIN)
        events = dict(looking.poll(0)).get(listener, 0)
        if events & select.POLLHUP:  # no process is left behind this filter
            self._end(listener)
            return
        if not events & select.POLLIN:
            return
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, buffer)
        except OSError:  # it was interrupted meanwhile
            return
        number, thread, _, _, _, _, descriptor, address_at, length, *_ = _NOTIFICATION.unpack(buffer)
        call = _Call(listener, number, thread, int(descriptor & 0xFFFFFFFF), address_at, length & 0xFFFFFFFF, source)
        try:
            self._decide(call)
        except OSError:
            # The process is gone, or not ours to look into: whoever it is, it is not kept waiting.
            self._answer(call, 0, _CONTINUE)

    def _decide(self, call: _Call) -> None:
        found = _address(call)
        if found is None or (found[1] != _DOMAIN_PORT and not found[0].startswith("127.")):
            self._answer(call, 0, _CONTINUE)
            return
        target, port = found
        with _socket_of(call) as connecting:
            self._check(call)
            if connecting.type != socket.SOCK_STREAM:
                self._turn_to_name_server(call, connecting, port)
                return
            admitted = self._admits(call.source, target, port)
            _bind(connecting, call.source)
            if not admitted and _is_impatient(connecting):
                self._lose(call, connecting)
                return
        if not admitted:
            self._hold(call, target, port)
        elif target not in (_LOCALHOST, call.source) and (late := self._delay_seconds(call.source)) > 0:
            # Its thread waits, also where it had asked not to: nothing else makes a handshake late.
            asyncio.get_running_loop().call_later(late, self._answer, call, 0, _CONTINUE)
        else:
            self._answer(call, 0, _CONTINUE)

    def _turn_to_name_server(self, call: _Call, connecting: socket.socket, port: int) -> None:
        """Let a resolver ask the cluster's name server in place of the host's, whoever that is. Nothing outside is asked."""
        if port != _DOMAIN_PORT or self.name_server is None:
            self._answer(call, 0, _CONTINUE)
            return
        _bind(connecting, call.source)
        host, number = self.name_server
        connecting.connect((f"::ffff:{host}" if connecting.family == socket.AF_INET6 else host, number))
        self._answer(call, 0, 0)

    def _lose(self, call: _Call, connecting: socket.socket) -> None:
        """Send the connection where nobody answers: it is under way for as long as its owner has patience."""
        try:
            connecting.connect(self._nowhere(connecting))
        except BlockingIOError:
            self._answer(call, -errno.EINPROGRESS, 0)

    def _hold(self, call: _Call, target: str, port: int) -> None:
        self._held[(call.listener, call.id)] = (call, target, port)
        asyncio.get_running_loop().call_later(_GIVES_UP_SECONDS, self._release, call, -errno.ETIMEDOUT, 0)

    def _release(self, call: _Call, error: int, flags: int) -> None:
        if self._held.pop((call.listener, call.id), None):
            self._answer(call, error, flags)

    def _answer(self, call: _Call, error: int, flags: int) -> None:
        with contextlib.suppress(OSError):  # who asked may be gone
            if call.listener in self._listeners:
                fcntl.ioctl(call.listener, _SEND, _ANSWER.pack(call.id, 0, error, flags))

    def _check(self, call: _Call) -> None:
        """Raise OSError unless the thread still waits: its number may be another's by now."""
        fcntl.ioctl(call.listener, _IS_VALID, struct.pack("Q", call.id))

    def _nowhere(self, connecting: socket.socket) -> tuple[str, int]:
        """An address whose queue of connections is full, so that the kernel drops what comes for it."""
        if not self._black_hole:
            listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listening.bind(("127.0.0.1", 0))
            listening.listen(0)
            self._black_hole = [listening, socket.create_connection(listening.getsockname())]
        host, port = self._black_hole[0].getsockname()
        return (f"::ffff:{host}" if connecting.family == socket.AF_INET6 else host, port)


def _address(call: _Call) -> tuple[str, int] | None:
    """Read the address and port that the call was given; None for what is not of the internet."""
    with Path(f"/proc/{call.thread}/mem").open("rb", buffering=0) as memory:
        raw = os.pread(memory.fileno(), min(call.length, 28), call.address_at)
    family, port = struct.unpack_from("=H", raw)[0], int.from_bytes(raw[2:4], "big")
    if family == socket.AF_INET:
        return socket.inet_ntoa(raw[4:8]), port
    if family == socket.AF_INET6 and raw[8:20] == _MAPPED:
        return socket.inet_ntoa(raw[20:24]), port
    if family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, raw[8:24]), port
    return None


@contextmanager
def _socket_of(call: _Call) -> Iterator[socket.socket]:
    """Open the socket of the thread that waits as one of ours. Raises OSError."""
    process = _process_of(call.thread)
    opened = _called(_PIDFD_OPEN, process, 0)
    try:
        descriptor = _called(_PIDFD_GETFD, opened, call.descriptor, 0)
    finally:
        os.close(opened)
    with socket.socket(fileno=descriptor) as found:
        yield found


def _process_of(thread: int) -> int:
    """Give the process of a thread."""
    text = Path(f"/proc/{thread}/status").read_text()
    return int(text.partition("\nTgid:")[2].split(maxsplit=1)[0])


def _called(number: int, *arguments: int) -> int:
    result = int(_kernel.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _bind(connecting: socket.socket, source: str) -> None:
    """Let it come from its pod's address; one that has an address already keeps it."""
    host = f"::ffff:{source}" if connecting.family == socket.AF_INET6 else source
    with contextlib.suppress(OSError):
        connecting.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        connecting.bind((host, 0))


def _is_impatient(connecting: socket.socket) -> bool:
    """Tell whether its owner does not wait in `connect`. Asked of the kernel: our own object believes that it blocks."""
    return bool(fcntl.fcntl(connecting.fileno(), fcntl.F_GETFL) & os.O_NONBLOCK)
