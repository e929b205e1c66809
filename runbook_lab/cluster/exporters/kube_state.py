"""The state of the cluster's objects, as kube-state-metrics tells it."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runbook_lab.cluster.exporters.pod_families import POD_FAMILIES
from runbook_lab.cluster.exporters.workload_families import WORKLOAD_FAMILIES
from runbook_lab.cluster.metadata import Object
from runbook_lab.cluster.store import Store


class KubeStateCollector(Collector):
    """Gives the families of pods and workloads from the objects that are in the store at the moment of the scrape."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterable[Metric]:
        """Give all families; one without any series is left out."""
        objects: dict[str, list[Object]] = {}
        for family in (*POD_FAMILIES, *WORKLOAD_FAMILIES):
            if family.plural not in objects:
                objects[family.plural] = self._store.list(family.plural)
            samples = [sample for obj in objects[family.plural] for sample in family.samples(obj)]
            # The series of one family may have different labels: those of kube_pod_labels are the pods' own.
            metric = (
                CounterMetricFamily(family.name, family.help) if family.counter else GaugeMetricFamily(family.name, family.help)
            )
            for labels, value in samples:
                name = f"{family.name}_total" if family.counter else family.name
                metric.add_sample(name, dict(labels), value)
            if samples:
                yield metric
