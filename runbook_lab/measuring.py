"""What the lab's Prometheus has measured of the shop: the numbers that drills and healing wait for."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import Any

from runbook_lab.home import Home
from runbook_lab.servers.rules import ERROR_RATIO, ERROR_RATIO_THRESHOLD, LATENCY, LATENCY_THRESHOLD_SECONDS, REQUEST_RATE

_SECONDS = 5.0
_UNAVAILABLE = "kube_deployment_status_replicas_unavailable"


class Measurements:
    """Instant queries to Prometheus. A Prometheus that does not answer raises OSError."""

    def __init__(self, home: Home) -> None:
        self._url = home.read("prometheus.url")

    def error_ratio(self, service: str = "orders") -> float | None:
        """Give the share of a service's requests that fail, over the alert's own window; None without any request."""
        return self.value(f'{ERROR_RATIO}{{service="{service}"}}')

    def is_calm(self, *, seconds: int, service: str = "orders") -> bool:
        """Tell whether requests were answered for so long, in good time, with all replicas there and hardly a failure."""
        chosen = f'{{service="{service}"}}[{seconds}s]'
        ratio = self.value(f"max_over_time({ERROR_RATIO}{chosen})")
        rate = self.value(f"min_over_time({REQUEST_RATE}{chosen})")
        slowest = self.value(f"max_over_time({LATENCY}{chosen})")
        missing = self.value(f'max_over_time({_UNAVAILABLE}{{deployment="{service}"}}[{seconds}s])')
        well = ratio is not None and ratio < ERROR_RATIO_THRESHOLD / 5 and missing == 0
        quick = slowest is not None and slowest < LATENCY_THRESHOLD_SECONDS / 2
        return well and quick and rate is not None and rate > 1

    def alert_fires(self, runbook: str = "", service: str = "orders") -> bool:
        """Tell whether an alert that starts this runbook (any, without one) fires, as Prometheus sends it to Alertmanager."""
        return self._alerts(runbook, service, 'alertstate="firing"')

    def alert_is_over(self, runbook: str, service: str = "orders") -> bool:
        """Tell whether no alert that starts this runbook fires or is about to: what it measures is below its threshold."""
        return not self._alerts(runbook, service)

    def _alerts(self, runbook: str, service: str, *more: str) -> bool:
        chosen = [f'service="{service}"', *([f'runbook="{runbook}"'] if runbook else []), *more]
        return self.value(f"count(ALERTS{{{','.join(chosen)}}})") is not None

    def value(self, query: str) -> float | None:
        """Give the value of a query with one series now; None when there is none, or it is no number."""
        found = self._ask(query)
        number = float(found[0]["value"][1]) if found else float("nan")
        return None if number != number else number

    def _ask(self, query: str) -> list[dict[str, Any]]:
        parameters = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"{self._url}/api/v1/query?{parameters}", timeout=_SECONDS) as response:
            found: list[dict[str, Any]] = json.load(response)["data"]["result"]
        return found
