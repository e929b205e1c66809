"""The alerts that the project ships, at the pace of the lab."""

from __future__ import annotations

import re
from typing import Any

import yaml

from runbook_lib.folders import shipped_folder

__all__ = ["ERROR_RATIO", "ERROR_RATIO_THRESHOLD", "LATENCY", "LATENCY_THRESHOLD_SECONDS", "REQUEST_RATE", "lab_rules"]

ERROR_RATIO = "namespace_service:http_requests_failed:ratio"
ERROR_RATIO_THRESHOLD = 0.05
LATENCY = "namespace_service:http_request_duration_seconds:p95"
LATENCY_THRESHOLD_SECONDS = 1.0
REQUEST_RATE = "namespace_service:http_requests:rate"
# The shipped durations would make an hour of each drill. The service file of the lab says the same rate window.
_WINDOWS = {"5m": "20s", "10m": "40s", "15m": "60s"}
_FOR = {"1m": "6s", "5m": "10s", "10m": "20s"}
_WINDOW = re.compile(r"(?<=\[)\w+(?=\])|(?<=offset )\w+")


def lab_rules() -> dict[str, Any]:
    """Give the shipped rules with shorter windows; each alert says that it is the lab's."""
    shipped = shipped_folder("deploy") / "prometheus-rules.yaml"
    rules: dict[str, Any] = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = _WINDOW.sub(lambda found: _WINDOWS[found.group()], rule["expr"])
            if "for" in rule:
                rule["for"] = _FOR[rule["for"]]
            if "alert" in rule:
                rule["labels"] = {**rule["labels"], "environment": "lab"}
    return rules
