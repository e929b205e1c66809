"""Prometheus and Alertmanager as the lab runs them: their configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_SCRAPE_SECONDS = 2
_EVALUATE_SECONDS = 2


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """What Prometheus has to know of the lab: host and port each, and the file of the pods (see `discovery`)."""

    pods: Path
    cadvisor: str
    state_metrics: str
    alertmanager: str


def prometheus_configuration(lab: Addresses, *, rules: Path) -> dict[str, Any]:
    """Give Prometheus' configuration, with the jobs that a cluster usually has."""
    return {
        "global": {
            "scrape_interval": f"{_SCRAPE_SECONDS}s",
            "scrape_timeout": "1900ms",
            "evaluation_interval": f"{_EVALUATE_SECONDS}s",
        },
        "rule_files": [str(rules)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [lab.alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": "pods", "file_sd_configs": [{"files": [str(lab.pods)]}]},
            _fixed("cadvisor", lab.cadvisor, "/metrics/cadvisor"),
            _fixed("kube-state-metrics", lab.state_metrics, "/metrics"),
        ],
    }


def _fixed(job: str, target: str, path: str) -> dict[str, Any]:
    return {"job_name": job, "metrics_path": path, "honor_labels": True, "static_configs": [{"targets": [target]}]}


def alertmanager_configuration(*, receiver_url: str, token: Path) -> dict[str, Any]:
    """Give Alertmanager's configuration: everything goes to the receiver of the runbooks."""
    webhook = {
        "url": receiver_url,
        "send_resolved": True,
        "http_config": {"authorization": {"type": "Bearer", "credentials_file": str(token)}},
    }
    return {
        "route": {
            "receiver": "runbooks",
            "group_by": ["alertname", "namespace", "service"],
            "group_wait": "1s",
            "group_interval": "5s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "runbooks", "webhook_configs": [webhook]}],
    }


def write(path: Path, configuration: dict[str, Any]) -> Path:
    """Write a configuration as YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(configuration, sort_keys=False, width=130), encoding="utf-8")
    return path
