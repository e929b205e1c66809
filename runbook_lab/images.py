"""The container images of the lab: what the names in the manifests stand for on this machine."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path

from runbook_lab.cluster import Image
from runbook_lab.releases import BROKEN_ORDERS, NEXT_ORDERS, ORDERS, SLOW_ORDERS
from runbook_lab.servers import postgres, redis

# What one runs to look around, by the names that people know: the machine's own shell and programs, and those of the toolbox.
TOOLBOXES = ("lab/toolbox:1.0", "busybox", "busybox:1.36", "busybox:1.37", "nicolaka/netshoot")


def images(socket_directory: Path, tools: Path) -> dict[str, Image]:
    """Give all images. `socket_directory`: where PostgreSQL puts its socket, and psql in its pod looks for it.

    `tools`: the directory of the programs that every container has (`runbook_lab.toolbox`). Raises FileNotFoundError with what
    to install.
    """
    found = _shop_images() | _server_images(socket_directory) | dict.fromkeys(TOOLBOXES, Image((), ("sh",)))
    return {name: replace(image, tools_path=(str(tools), *image.tools_path)) for name, image in found.items()}


def _shop_images() -> dict[str, Image]:
    return {
        ORDERS: _shop("orders", {"ORDERS_VERSION": "1.4.2"}),
        NEXT_ORDERS: _shop("orders", {"ORDERS_VERSION": "1.5.0"}),
        BROKEN_ORDERS: _shop("orders", {"ORDERS_VERSION": "1.5.1"}),
        SLOW_ORDERS: _shop("orders", {"ORDERS_VERSION": "1.6.0"}),
        "lab/payments:2.3.1": _shop("payments", {"PAYMENTS_VERSION": "2.3.1"}),
        "lab/inventory:1.1.0": _shop("inventory", {"INVENTORY_VERSION": "1.1.0"}),
        "lab/loadgen:1.0.0": _shop("loadgen", {"LOADGEN_VERSION": "1.0.0"}),
    }


def _server_images(socket_directory: Path) -> dict[str, Image]:
    return {
        "lab/postgres:18": Image(
            (sys.executable, "-m", "runbook_lab.servers.postgres"),
            env=_PYTHON | {"PGHOST": str(socket_directory)},
            tools_path=(str(postgres.binaries()),),
            stop_signal=signal.SIGINT,  # fast shutdown; on SIGTERM it would wait for its clients
        ),
        "lab/redis:6.2": Image(("redis-server",), tools_path=(str(redis.binaries()),)),
    }


# Found also where the lab runs from a clone that is not installed. Buffered lines would come late, and be lost with a kill.
_PYTHON = {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "PYTHONUNBUFFERED": "1"}


def _shop(name: str, environment: dict[str, str]) -> Image:
    return Image((sys.executable, "-m", f"runbook_lab.shop.{name}"), env=_PYTHON | environment)
