"""What a Kubernetes NetworkPolicy leaves unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["policy_types"]


def policy_types(spec: Mapping[str, Any]) -> list[str]:
    """`Ingress`, `Egress`, or both: without policyTypes it is about ingress, and about egress when it has such rules (API)."""
    return list(spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])])
