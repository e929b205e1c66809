"""The objects of the shop: what is written in the manifests, and the secrets that are made for each lab."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from runbook_lab.home import Home

NAMESPACE = "shop"
_DIRECTORY = Path(__file__).with_name("manifests")
# Services and servers first; the rest waits for them anyway.
_ORDER = ("postgres", "redis", "payments", "inventory", "orders", "loadgen")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def manifests(*, seed: int | None = None) -> list[dict[str, Any]]:
    """Give all objects of the manifests, noted as `kubectl apply` notes what it applied. `seed` is that of the load."""
    objects = [_seeded(found, seed) for name in _ORDER for found in _documents(name)]
    return [_noted(found) for found in sorted(objects, key=lambda found: found["kind"] not in ("Service", "ConfigMap"))]


def objects_of(home: Home, *, seed: int | None) -> list[dict[str, Any]]:
    """Give all objects of a lab: the manifests', and the secrets with the values that its home keeps."""
    return [
        secret("orders-db", {"username": "orders", "password": home.read("orders.password")}),
        secret("orders-admin", {"token": home.read("admin.token")}),
        secret("postgres-runbook", {"username": "runbook", "password": home.read("postgres.password")}),
        *manifests(seed=seed),
    ]


def secret(name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Give a secret. No note of it is kept: that would hold its values."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}


def _documents(name: str) -> Iterator[dict[str, Any]]:
    text = (_DIRECTORY / f"{name}.yaml").read_text(encoding="utf-8")
    for document in yaml.safe_load_all(text):
        document["metadata"]["namespace"] = NAMESPACE
        yield document


def _seeded(found: dict[str, Any], seed: int | None) -> dict[str, Any]:
    if seed is not None and (found["kind"], found["metadata"]["name"]) == ("Deployment", "loadgen"):
        for variable in found["spec"]["template"]["spec"]["containers"][0]["env"]:
            if variable["name"] == "SEED":
                variable["value"] = str(seed)
    return found


def _noted(found: dict[str, Any]) -> dict[str, Any]:
    note = json.dumps(found, separators=(",", ":")) + "\n"
    found["metadata"].setdefault("annotations", {})[_LAST_APPLIED] = note
    return found
