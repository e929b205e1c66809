"""The listening socket of the API server."""

import socket

from aiohttp import web

from runbook_lab.cluster.access import Access
from runbook_lab.cluster.http import build_app
from runbook_lab.cluster.node.interface import Node
from runbook_lab.cluster.store import Store

# Watches never end by themselves: a stop waits for nothing longer than this.
_SHUTDOWN_SECONDS = 0.2


class ApiServer:
    """Serves a store and a node over TLS, on a socket that listens on loopback."""

    def __init__(self, store: Store, node: Node, access: Access) -> None:
        self._access = access
        # A handler must end with its client: an idle watch would otherwise stay until its timeout.
        self._runner = web.AppRunner(
            build_app(store, node, access), handler_cancellation=True, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
        )

    async def start(self, listening: socket.socket) -> None:
        """Begin to answer."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening, ssl_context=self._access.ssl_context()).start()

    async def stop(self) -> None:
        """Stop answering, and cut the streams that are open."""
        await self._runner.cleanup()
