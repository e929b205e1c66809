"""bad_deployment: a rollout of orders that should not have been made, in several kinds.

A revision is wrong or it is not: the intensity changes nothing here.
"""

from __future__ import annotations

import random
from typing import Any

from runbook_lab.faults.declaration import Patch, RestartRollout, Step
from runbook_lab.releases import NEXT_ORDERS, SLOW_ORDERS

_NAME = "orders"
_CONFIG_MAP = "orders-config"
_CHANGE_CAUSE = "kubernetes.io/change-cause"
_VERSION = "app.kubernetes.io/version"
_POOL_SIZE = "DATABASE_POOL_SIZE"
_POOL_REASONS = ("fewer connections to the database", "pool size as advised by the cost review", "align pool size with staging")
# What people mistype: a service that is not there yet or any more, and a port that nobody listens on.
_ADDRESSES = ("http://{name}-v2:8080", "http://{name}-canary:8080", "http://{name}:8081", "http://{name}.old:8080")


def draw_code(_: random.Random, __: float) -> tuple[str, tuple[Step, ...]]:
    """The next release, whose pricing throws for customers without a loyalty account."""
    return _release(NEXT_ORDERS, "throws for most customers")


def draw_slow(_: random.Random, __: float) -> tuple[str, tuple[Step, ...]]:
    """A release whose pricing waits for something that it does not need."""
    return _release(SLOW_ORDERS, "takes more than a second for each order")


def _release(image: str, what: str) -> tuple[str, tuple[Step, ...]]:
    version = image.rpartition(":")[2]
    template = {"metadata": {"labels": {_VERSION: version}}, "spec": {"containers": [{"name": _NAME, "image": image}]}}
    return f"release {version} of orders, which {what}", (rollout(template, f"release {version}"),)


def draw_pool(chance: random.Random, _: float) -> tuple[str, tuple[Step, ...]]:
    """One connection for each pod, set in the deployment."""
    return "a rollout gives each pod of orders one database connection", (
        rollout(_variable(_POOL_SIZE, "1"), chance.choice(_POOL_REASONS)),
    )


def draw_address(chance: random.Random, _: float) -> tuple[str, tuple[Step, ...]]:
    """A service that orders calls, looked for where it is not."""
    name = chance.choice(("payments", "inventory"))
    address = chance.choice(_ADDRESSES).format(name=name)
    return f"a rollout makes orders look for {name} at {address}", (
        rollout(_variable(f"{name.upper()}_URL", address), f"move {name} to its new address"),
    )


def draw_config_map(_: random.Random, __: float) -> tuple[str, tuple[Step, ...]]:
    """One connection for each pod, set in the config map; the pods are restarted to read it."""
    edit = Patch("ConfigMap", _CONFIG_MAP, {"data": {_POOL_SIZE: "1"}})
    return "an edit of orders-config gives each pod of orders one database connection", (edit, RestartRollout(_NAME))


def _variable(name: str, value: str) -> dict[str, Any]:
    return _container({"env": [{"name": name, "value": value}]})


def _container(fields: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": _NAME, **fields}]}}


def container_rollout(fields: dict[str, Any], why: str) -> Patch:
    """A new revision of orders whose container differs in these fields."""
    return rollout(_container(fields), why)


def rollout(template: dict[str, Any], why: str, **spec: Any) -> Patch:
    """A new revision of orders, with the reason that its author gave; `spec` is what else of the deployment changes."""
    return Patch("Deployment", _NAME, {"metadata": {"annotations": {_CHANGE_CAUSE: why}}, "spec": {"template": template, **spec}})
