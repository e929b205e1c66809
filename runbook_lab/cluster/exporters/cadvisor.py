"""What containers use, as a kubelet's `/metrics/cadvisor` tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runbook_lab.cluster.node.cpu_limit import PERIOD_SECONDS, Account
from runbook_lab.cluster.node.kubelet import Kubelet
from runbook_lab.cluster.quantity import parse_quantity

_LABELS = ("container", "id", "image", "name", "namespace", "pod")

_CPU_PERIOD = round(PERIOD_SECONDS * 1e6)  # in cAdvisor's unit


@dataclass
class _Figures:
    """The numbers of one container, or the sum of a pod's."""

    labels: tuple[str, ...]
    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    processes: int = 0
    threads: int = 0
    started_at: float = 0.0
    seen_at: float = 0.0
    limits: dict[str, float] = field(default_factory=dict)
    throttling: Account | None = None


@dataclass(frozen=True)
class _Family:
    name: str
    help: str
    value: Callable[[_Figures], float | None]
    counter: bool = False


_FAMILIES = (
    _Family("container_cpu_usage_seconds", "Cumulative cpu time consumed in seconds.", lambda f: f.cpu_seconds, counter=True),
    _Family("container_memory_working_set_bytes", "Current working set in bytes.", lambda f: f.memory_bytes),
    _Family("container_memory_usage_bytes", "Current memory usage in bytes.", lambda f: f.memory_bytes),
    _Family("container_memory_rss", "Size of RSS in bytes.", lambda f: f.memory_bytes),
    _Family("container_processes", "Number of processes running inside the container.", lambda f: f.processes),
    _Family("container_threads", "Number of threads running inside the container.", lambda f: f.threads),
    _Family("container_start_time_seconds", "Start time of the container since unix epoch in seconds.", lambda f: f.started_at),
    _Family("container_last_seen", "Last time a container was seen by the exporter.", lambda f: f.seen_at),
    _Family("container_spec_memory_limit_bytes", "Memory limit for the container.", lambda f: f.limits.get("memory", 0)),
    _Family("container_spec_cpu_period", "CPU period of the container.", lambda _: _CPU_PERIOD),
    _Family(
        "container_spec_cpu_quota",
        "CPU quota of the container.",
        lambda f: f.limits["cpu"] * _CPU_PERIOD if "cpu" in f.limits else None,
    ),
    _Family(
        "container_cpu_cfs_periods",
        "Number of elapsed enforcement period intervals.",
        lambda f: f.throttling.periods if f.throttling else None,
        counter=True,
    ),
    _Family(
        "container_cpu_cfs_throttled_periods",
        "Number of throttled period intervals.",
        lambda f: f.throttling.throttled_periods if f.throttling else None,
        counter=True,
    ),
    _Family(
        "container_cpu_cfs_throttled_seconds",
        "Total time duration the container has been throttled.",
        lambda f: f.throttling.throttled_seconds if f.throttling else None,
        counter=True,
    ),
)


class CadvisorCollector(Collector):
    """Gives a series per container, and one per pod with an empty `container` label, as cAdvisor does."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet

    def collect(self) -> Iterable[Metric]:
        """Give all families with the last sample of each running container."""
        figures = list(self._figures())
        for family in _FAMILIES:
            kind = CounterMetricFamily if family.counter else GaugeMetricFamily
            metric = kind(family.name, family.help, labels=_LABELS)
            for entry in figures:
                if (value := family.value(entry)) is not None:
                    metric.add_metric(entry.labels, value)
            yield metric

    def _figures(self) -> Iterator[_Figures]:
        pods: dict[str, _Figures] = {}
        for worker, container, reading in self._kubelet.readings():
            metadata, instance = worker.pod["metadata"], container.instance
            if instance is None:
                continue
            cgroup = f"/kubepods/pod{metadata['uid']}"
            limits = {
                name: float(parse_quantity(amount))
                for name, amount in ((container.spec.get("resources") or {}).get("limits") or {}).items()
            }
            yield _Figures(
                (
                    container.name,
                    f"{cgroup}/{instance.id}",
                    container.spec["image"],
                    instance.id,
                    metadata["namespace"],
                    metadata["name"],
                ),
                cpu_seconds=reading.sample.cpu_seconds,
                memory_bytes=reading.sample.memory_bytes,
                processes=reading.sample.processes,
                threads=reading.sample.threads,
                started_at=instance.started_at.timestamp(),
                seen_at=reading.at.timestamp(),
                limits=limits,
                throttling=self._kubelet.throttling(container),
            )
            pod = pods.setdefault(metadata["uid"], _Figures(("", cgroup, "", "", metadata["namespace"], metadata["name"])))
            pod.cpu_seconds += reading.sample.cpu_seconds
            pod.memory_bytes += reading.sample.memory_bytes
            pod.processes += reading.sample.processes
            pod.threads += reading.sample.threads
            pod.started_at = pod.started_at or instance.started_at.timestamp()
            pod.seen_at = reading.at.timestamp()
        yield from pods.values()
