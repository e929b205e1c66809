"""What every cluster measures of pods and Deployments: cAdvisor's and kube-state-metrics' names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runbook_lib.service.instrumentation.catalogue import Catalogue, pod_pattern
from runbook_lib.service.instrumentation.choosing import scope
from runbook_lib.service.instrumentation.promql import Matchers, rate, vector
from runbook_lib.service.models import Service

__all__ = ["EXPORTERS", "cluster_expressions"]

# kube-state-metrics' own pod takes the plain labels where its scrape does not honour labels.
_NAMESPACE = ("exported_namespace", "namespace")
_POD = ("exported_pod", "pod", "pod_name")
EXPORTERS = {"container_": "container_memory_working_set_bytes", "kube_": "kube_pod_container_status_restarts_total"}
"""A metric of each exporter, by how its names begin: all metrics of an exporter name the object by the same labels."""
_WORKING_SET, _CPU = "container_memory_working_set_bytes", "container_cpu_usage_seconds_total"
_RESTARTS = "kube_pod_container_status_restarts_total"
_LIMITS, _REQUESTS = "kube_pod_container_resource_limits", "kube_pod_container_resource_requests"
_NEARLY_FULL = 0.8  # of its limit: then the container that is limited counts, whatever others use
_CONTAINER = ("exported_container", "container", "container_name")


def cluster_expressions(service: Service, catalogue: Catalogue, window: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Give name, PromQL and the labels (ours to theirs) of each measure of the cluster that exists. Empty without a cluster."""
    if service.connections.kubernetes is None:
        return
    pods = _Pods(service, catalogue)
    yield from pods.memory()
    yield from pods.gauge("restarts", (_RESTARTS,))
    yield from pods.gauge(
        "oom_kills", ("kube_pod_container_status_last_terminated_reason",), where=(("reason", "=", "OOMKilled"),)
    )
    yield from pods.usage(window)
    yield from _deployment(service, catalogue)
    yield from pods.ready()
    yield from _nodes(service, catalogue, window)
    yield from _retransmits(service, catalogue, window)


@dataclass(frozen=True, slots=True)
class _Each:
    """One value for each container, and what the labels of pod and container (empty: there is none) are called."""

    vector: str
    pod: str
    container: str

    @property
    def by(self) -> str:
        """The labels that tell one from the other."""
        return f"{self.pod}, {self.container}" if self.container else self.pod

    @property
    def promql(self) -> str:
        """Scrapes of two exporters, or from before and after a restart, are one container."""
        return f"max by ({self.by}) ({self.vector})"

    @property
    def highest(self) -> str:
        """The highest of each pod."""
        return f"max by ({self.pod}) ({self.vector})"

    @property
    def labels(self) -> dict[str, str]:
        """Our name of the pod's label to theirs."""
        return {"pod": self.pod}

    def named_as(self, other: _Each) -> str:
        """The same under the labels of another metric."""
        promql = self.promql
        for own, theirs in ((self.pod, other.pod), (self.container, other.container)):
            if own and theirs and own != theirs:
                promql = f'label_replace({promql}, "{theirs}", "$1", "{own}", "(.*)")'
        return promql


class _Pods:
    """Metrics of the application's pods, one value for each pod."""

    def __init__(self, service: Service, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._given = service.instrumentation.selector
        self._pattern = pod_pattern(service)
        self._container = service.components.application.container
        kubernetes = service.connections.kubernetes
        self._namespace = kubernetes.namespace if kubernetes else ""
        self._known = catalogue.names()

    def gauge(
        self, name: str, candidates: tuple[str, ...], *, where: tuple[tuple[str, str, str], ...] = ()
    ) -> Iterator[tuple[str, str, dict[str, str]]]:
        """The highest value of the pod's containers."""
        metric = next((candidate for candidate in candidates if candidate in self._known), None)
        if metric is not None:
            matchers, pod = self.matchers(metric)
            yield name, f"max by ({pod}) ({vector(metric, matchers.also(Matchers(where)))})", {"pod": pod}

    def memory(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Use, limit, and the share of the container that is nearest its limit, which is killed first.

        Beside one that has no limit and uses more, such as an application beside a mesh's proxy, it has to be near indeed: else
        use and limit are of the one without.
        """
        used = self._each((_WORKING_SET,))
        limit = self._each((_LIMITS, f"{_LIMITS}_memory_bytes", "container_spec_memory_limit_bytes"), resource="memory")
        if used and not limit:
            yield "memory_working_set", used.highest, used.labels
        if limit and not used:
            yield "memory_limit", limit.highest, limit.labels
        if not used or not limit:
            return
        below = limit.named_as(used)
        share = f"{used.promql} / on ({used.by}) {below}"
        highest = f"max by ({used.pod}) ({share})"
        if not self._several(used):
            yield "memory_ratio", highest, used.labels
            yield "memory_working_set", used.highest, used.labels
            yield "memory_limit", limit.highest, limit.labels
            return
        nearest = f"and on ({used.by}) topk by ({used.pod}) (1, {share})"
        own = f"max by ({used.pod}) ({used.promql} {nearest})"
        most = f"topk by ({used.pod}) (1, {used.promql}) unless on ({used.by}) {below}"
        unlimited = f"({most}) unless on ({used.pod}) ({highest} > {_NEARLY_FULL})"
        yield "memory_working_set", f"max by ({used.pod}) ({unlimited}) or {own} or {used.highest}", used.labels
        yield "memory_limit", f"max by ({used.pod}) ({below} {nearest}) unless on ({used.pod}) ({unlimited})", used.labels
        yield "memory_ratio", f"{highest} unless on ({used.pod}) ({unlimited})", used.labels

    def _several(self, used: _Each) -> bool:
        """Whether the pods have several containers, of which none is named as the application's: to tell them apart costs
        Prometheus three times as much."""
        if self._container or not used.container:
            return False
        matchers, _ = self.matchers(_WORKING_SET)
        return len(self._catalogue.values(used.container, _WORKING_SET, matchers)) > 1

    def _each(self, candidates: tuple[str, ...], *, resource: str = "") -> _Each | None:
        """Each container's own value; of an older exporter, that of the pod as a whole."""
        metric = next((candidate for candidate in candidates if candidate in self._known), None)
        if metric is None:
            return None
        matchers, pod = self.matchers(metric)
        if resource and metric == candidates[0]:
            matchers = matchers.where("resource", "=", resource)
        suffix = " > 0" if metric == "container_spec_memory_limit_bytes" else ""  # 0 says that there is no limit
        return _Each(vector(metric, matchers) + suffix, pod, self._container_label(metric))

    def _container_label(self, metric: str) -> str:
        """The label of the container; empty when there is none."""
        labels = _labels(self._catalogue, metric)
        return next((label for label in _CONTAINER if label in labels), "")

    def usage(self, window: str) -> Iterator[tuple[str, str, dict[str, str]]]:
        """CPU time, what bounds it, and how often the container was held back."""
        yield from self._cpu_bounds()
        used, periods, throttled = (
            _CPU,
            "container_cpu_cfs_periods_total",
            "container_cpu_cfs_throttled_periods_total",
        )
        if used in self._known:
            matchers, pod = self.matchers(used)
            spent = _Each(rate(used, matchers, window), pod, self._container_label(used))
            # By CPU, too, where an exporter tells them apart.
            yield "cpu_usage", f"sum by ({pod}) (max by ({spent.by}, cpu) ({spent.vector}))", spent.labels
        if periods in self._known and throttled in self._known:
            matchers, pod = self.matchers(periods)
            part, whole = (f"sum by ({pod}) ({rate(metric, matchers, window)})" for metric in (throttled, periods))
            yield "cpu_throttled_ratio", f"{part} / ({whole} > 0)", {"pod": pod}
        if (waiting := "container_pressure_cpu_waiting_seconds_total") in self._known:
            matchers, pod = self.matchers(waiting)
            yield "cpu_pressure_ratio", f"max by ({pod}) ({rate(waiting, matchers, window)})", {"pod": pod}

    def _cpu_bounds(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """What the containers ask for and may use together, as their use is told; one without a limit leaves the pod without."""
        limit = self._each((_LIMITS, f"{_LIMITS}_cpu_cores"), resource="cpu")
        request = self._each((_REQUESTS, f"{_REQUESTS}_cpu_cores"), resource="cpu")
        every = self._each((_RESTARTS,))  # init containers, which have done their work, are none of them
        if limit:
            unbound = f" unless on ({limit.pod}) ({every.promql} unless on ({limit.by}) {limit.promql})" if every else ""
            yield "cpu_limit", f"sum by ({limit.pod}) ({limit.promql}){unbound}", limit.labels
        if request:
            yield "cpu_request", f"sum by ({request.pod}) ({request.promql})", request.labels

    def ready(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """How many pods are ready."""
        metric = "kube_pod_status_ready"
        if metric in self._known:
            matchers, pod = self.matchers(metric, container=False)
            # Once for each pod, however many scrapes tell of it.
            yield "pods_ready", f"sum(max by ({pod}) ({vector(metric, matchers.where('condition', '=', 'true'))}))", {}

    def matchers(self, metric: str, *, container: bool = True) -> tuple[Matchers, str]:
        """What selects the application's containers, not the pods' own cgroups nor pause containers; and the label of the pod."""
        labels = _labels(self._catalogue, metric)
        namespace, pod, name = (_first(candidates, labels) for candidates in (_NAMESPACE, _POD, _CONTAINER))
        found = scope(self._given, labels).where(namespace, "=", self._namespace).where(pod, "=~", self._pattern)
        if container and name in labels:
            found = (
                found.where(name, "=", self._container)
                if self._container
                else found.where(name, "!=", "").where(name, "!=", "POD")
            )
        return found, pod


def _deployment(service: Service, catalogue: Catalogue) -> Iterator[tuple[str, str, dict[str, str]]]:
    kubernetes = service.connections.kubernetes
    names = {
        "replicas_available": "kube_deployment_status_replicas_available",
        "replicas_desired": "kube_deployment_spec_replicas",
    }
    for name, metric in names.items():
        if metric in catalogue.names() and kubernetes is not None:
            labels = _labels(catalogue, metric)
            matchers = (
                scope(service.instrumentation.selector, labels)
                .where(_first(_NAMESPACE, labels), "=", kubernetes.namespace)
                .where("deployment", "=", service.components.application.deployment)
            )
            yield name, f"max({vector(metric, matchers)})", {}


def _nodes(service: Service, catalogue: Catalogue, window: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """How busy each node is, by node_exporter; it knows its node's name only where it was scraped with it, or by `uname`."""
    spent, named = "node_cpu_seconds_total", "node_uname_info"
    if spent not in catalogue.names():
        return
    given = service.instrumentation.selector
    idle = rate(spent, scope(given, catalogue.labels(spent)).where("mode", "=", "idle"), window)
    if "node" in catalogue.labels(spent):
        yield "node_cpu_ratio", f"1 - avg by (node) ({idle})", {"node": "node"}
    elif named in catalogue.names():
        names = f"max by (instance, nodename) ({vector(named, scope(given, catalogue.labels(named)))})"
        busy = f"(1 - avg by (instance) ({idle})) * on (instance) group_left (nodename) {names}"
        yield "node_cpu_ratio", busy, {"node": "nodename"}


def _retransmits(service: Service, catalogue: Catalogue, window: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """The network of the nodes, as node_exporter tells of it: of all nodes, since a pod's own is not known here."""
    again, sent = "node_netstat_Tcp_RetransSegs", "node_netstat_Tcp_OutSegs"
    if {again, sent} <= catalogue.names():
        labels = _labels(catalogue, again)
        node = next((label for label in ("node", "nodename") if label in labels), "instance")
        where = scope(service.instrumentation.selector, labels)
        part, whole = (f"sum by ({node}) ({rate(metric, where, window)})" for metric in (again, sent))
        yield "tcp_retransmit_ratio", f"{part} / ({whole} > 0)", {"node": node}


def _labels(catalogue: Catalogue, metric: str) -> frozenset[str]:
    """The labels of the exporter's metrics, asked for once for all of them."""
    one = next((one for beginning, one in EXPORTERS.items() if metric.startswith(beginning)), metric)
    return catalogue.labels(one if one in catalogue.names() else metric)


def _first(candidates: tuple[str, ...], labels: frozenset[str]) -> str:
    """The first of the candidates that exists; the most usual one when none does, so that the query is still a valid one."""
    return next((label for label in candidates if label in labels), candidates[1])
