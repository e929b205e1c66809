"""The pod network of one lab: two small pieces of the loopback net, one for pods and one for services."""

from __future__ import annotations

import errno
import ipaddress
import random
import socket
from collections import deque
from types import TracebackType
from typing import Self

# The kubelet's own port. Listening on it marks the network as taken, for labs that start at the same time.
KUBELET_PORT = 10250
_FIRST_POD, _LAST_POD = 10, 254
_ATTEMPTS = 100


class NetworkExhaustedError(RuntimeError):
    """No address is left: fewer pods, or another lab's network."""


class PodNetwork:
    """Hands out loopback addresses: one per pod (freed with it), one per service.

    Every address of 127.0.0.0/8 is this machine on Linux, so that each pod can listen on its own port 8080. The network is chosen
    at random; `kubelet_socket` stays bound to the node's address as long as the network is in use.
    """

    def __init__(self, *, randomness: random.Random | None = None) -> None:
        randomness = randomness or random.Random()
        for _ in range(_ATTEMPTS):
            # Low numbers are left to resolvers and to people's own habits.
            prefix = f"127.{randomness.randrange(16, 250)}.{2 * randomness.randrange(128)}"
            if bound := _try_bind(f"{prefix}.1"):
                break
        else:
            raise NetworkExhaustedError(f"expected a free network below 127.0.0.0/8, found none in {_ATTEMPTS} attempts")
        self.kubelet_socket = bound
        self.node_ip = f"{prefix}.1"
        self.pods = ipaddress.ip_network(f"{prefix}.0/24")
        first, second, third = prefix.split(".")
        self.services = ipaddress.ip_network(f"{first}.{second}.{int(third) + 1}.0/24")
        self._free_pods = deque(str(self.pods[number]) for number in range(_FIRST_POD, _LAST_POD + 1))
        self._free_services = deque(str(self.services[number]) for number in range(1, 255))

    def take_pod_ip(self) -> str:
        """Give an address to a pod; the one that has been free for longest, so that old connections have died."""
        return _take(self._free_pods, "pod")

    def give_back(self, ip: str) -> None:
        """Take a pod's address back."""
        self._free_pods.append(ip)

    def take_service_ip(self) -> str:
        """Give an address to a service."""
        return _take(self._free_services, "service")

    def close(self) -> None:
        """Leave the network to others."""
        self.kubelet_socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _take(free: deque[str], what: str) -> str:
    if not free:
        raise NetworkExhaustedError(f"expected a free {what} address in the lab's network, found all in use")
    return free.popleft()


def _try_bind(ip: str) -> socket.socket | None:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((ip, KUBELET_PORT))
        bound.listen(128)
    except OSError as error:
        bound.close()
        if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
            raise
        return None
    bound.setblocking(False)
    return bound
