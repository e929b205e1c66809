"""crash_loop, bad_config, database_down: orders answers nobody any more.

A rollout that surges leaves the old pods in place when the new ones do not start. These replace all pods at once, as some teams
do. What is broken is broken: the intensity changes nothing here.
"""

from __future__ import annotations

import random
from typing import Any

from runbook_lab.faults.declaration import DeletePods, Patch, Scale, Step, StopProcesses
from runbook_lab.faults.deployment import rollout
from runbook_lab.releases import BROKEN_ORDERS

_NAME, _CONFIG_MAP = "orders", "orders-config"
_RECREATE = {"type": "Recreate", "rollingUpdate": None}
# Numbers that people write for a number, and what a template left behind.
_NO_NUMBERS = ("five", "5 connections", "${DATABASE_POOL_SIZE}", "")
_COMMANDS = (["orders-server"], ["python3", "-m", "orders"], ["/app/start.sh"])
_TAGS = ("lab/orders:1.5.O", "lab/orders:latest", "lab/order:1.4.2")
_KEYS = ("passwd", "PASSWORD", "database-password")
Drawn = tuple[str, tuple[Step, ...]]


def draw_release(_: random.Random, __: float) -> Drawn:
    """A release whose image lacks a file that it reads at its start."""
    version = BROKEN_ORDERS.rpartition(":")[2]
    return f"release {version} of orders, which ends as soon as it starts", (
        _recreated({"image": BROKEN_ORDERS}, f"release {version}"),
    )


def draw_command(chance: random.Random, _: float) -> Drawn:
    """A command that the image does not have."""
    command = chance.choice(_COMMANDS)
    return f"a rollout starts orders by {' '.join(command)}, which its image does not have", (
        _recreated({"command": command}, "start by the new script"),
    )


def draw_setting(chance: random.Random, _: float) -> Drawn:
    """A setting that is no number; some time later all pods start anew."""
    edit = Patch("ConfigMap", _CONFIG_MAP, {"data": {"DATABASE_POOL_SIZE": chance.choice(_NO_NUMBERS)}})
    return f"orders-config has a pool size of {edit.patch['data']['DATABASE_POOL_SIZE']!r}, and all pods of orders start anew", (
        edit,
        DeletePods(_NAME),
    )


def draw_secret_key(chance: random.Random, _: float) -> Drawn:
    """A key that the secret does not have."""
    key = chance.choice(_KEYS)
    variable = {"name": "DATABASE_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "orders-db", "key": key}}}
    return f"a rollout takes the password of orders from the key {key!r}, which its secret does not have", (
        _recreated({"env": [variable]}, "names of keys as agreed"),
    )


def draw_image(chance: random.Random, _: float) -> Drawn:
    """An image that there is not."""
    image = chance.choice(_TAGS)
    return f"a rollout names the image {image}, which there is not", (_recreated({"image": image}, "release 1.5.0"),)


def draw_scaled_database(_: random.Random, __: float) -> Drawn:
    """PostgreSQL is scaled away."""
    return "the StatefulSet of PostgreSQL is scaled to 0", (Scale("StatefulSet", "postgres", 0),)


def draw_hanging_database(_: random.Random, __: float) -> Drawn:
    """PostgreSQL is there, and answers nobody."""
    return "all processes of PostgreSQL are stopped", (StopProcesses("postgres"),)


def _recreated(container: dict[str, Any], why: str) -> Patch:
    template = {"spec": {"containers": [{"name": _NAME, **container}]}}
    return rollout(template, why, strategy=_RECREATE)
