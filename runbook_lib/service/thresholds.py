"""When the key metrics of a service are normal, worth a look, or an incident."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from runbook_lib.service.fields import Fields

__all__ = ["MetricThreshold", "Thresholds"]


class MetricThreshold(Fields):
    """Normal, warning and critical; in the metric's own unit. `below` is true when less is worse (availability)."""

    normal: float = Field(ge=0, allow_inf_nan=False)
    warning: float = Field(ge=0, allow_inf_nan=False)
    critical: float = Field(ge=0, allow_inf_nan=False)
    below: bool = False

    @model_validator(mode="after")
    def _values_are_ordered(self) -> Self:
        worse = [self.normal, self.warning, self.critical]
        if worse != sorted(worse, reverse=self.below):
            order = "normal >= warning >= critical (below: true)" if self.below else "normal <= warning <= critical"
            raise ValueError(f"must be ordered {order}; found {self.normal:g}, {self.warning:g}, {self.critical:g}")
        return self


class Thresholds(Fields):
    """The table of key metrics. Ratios are 0 to 1."""

    error_ratio: MetricThreshold = MetricThreshold(normal=0.001, warning=0.01, critical=0.05)
    """Failed requests to all requests."""
    latency_p95_seconds: MetricThreshold = MetricThreshold(normal=0.2, warning=0.5, critical=1.0)
    """95th percentile of the response time."""
    availability_ratio: MetricThreshold = MetricThreshold(normal=0.999, warning=0.995, critical=0.99, below=True)
    """Requests served well to all requests."""
    cpu_ratio: MetricThreshold = MetricThreshold(normal=0.6, warning=0.8, critical=0.95)
    """CPU used to its limit."""
    memory_ratio: MetricThreshold = MetricThreshold(normal=0.7, warning=0.85, critical=0.95)
    """Working set to the memory limit, since that is what the OOM killer acts on."""
    database_connections_ratio: MetricThreshold = MetricThreshold(normal=0.5, warning=0.8, critical=0.95)
    """Connections in use to those the server allows."""

    @model_validator(mode="after")
    def _ratios_are_ratios(self) -> Self:
        for name in type(self).model_fields:
            threshold: MetricThreshold = getattr(self, name)
            largest = max(threshold.normal, threshold.warning, threshold.critical)
            if name.endswith("_ratio") and largest > 1:
                raise ValueError(f"must give {name} as a ratio between 0 and 1 (0.05 for 5 %); found {largest:g}")
        return self
