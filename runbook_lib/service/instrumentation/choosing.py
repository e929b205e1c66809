"""Which series are the service's: a metric that exists, and the labels that select it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from runbook_lib.service.instrumentation.catalogue import Catalogue, accepted_names, pod_pattern
from runbook_lib.service.instrumentation.presets import Duration, Requests
from runbook_lib.service.instrumentation.promql import ANY, Matchers, rate
from runbook_lib.service.models import Service

__all__ = ["POD_LABELS", "VERSION_LABELS", "Chosen", "Finder", "Timing", "identifies", "scope"]

POD_LABELS = ("pod", "pod_name", "kubernetes_pod_name", "k8s_pod_name", "exported_pod", "instance")
VERSION_LABELS = (
    "version", "app_version", "app_kubernetes_io_version", "service_version", "destination_version", "source_version", "release",
)  # fmt: skip
_HELM = ("app_kubernetes_io_", "helm_sh_")
_HELM_RELEASE = "app_kubernetes_io_instance"
_TARGET_LABELS = {*Requests().owner, *Requests().namespace, *POD_LABELS, "endpoint"}

# What Prometheus' operator adds to all that it scrapes, together with `endpoint`, the name of the port.
_OPERATORS = {"namespace", "pod", "container"}


def scope(given: Mapping[str, str], labels: Iterable[str]) -> Matchers:
    """The given labels that say where (cluster, environment, …) rather than what was scraped, as far as the series have them.

    On series that an exporter or a proxy tells of a service, `service`, `job` and the labels of Helm are the exporter's own.
    """
    where = {label: value for label, value in given.items() if label in labels and label not in _TARGET_LABELS}
    return Matchers.equal({label: value for label, value in where.items() if not label.startswith(_HELM)})


def identifies(given: Mapping[str, str], names: Iterable[str]) -> bool:
    """Whether these labels name a service or its pods: by a label that usually does, or by a value that is one of `names`."""
    whose = {label: value for label, value in given.items() if label not in Requests().namespace}
    return bool({*Requests().owner, *POD_LABELS, _HELM_RELEASE} & set(whose) or set(names) & set(whose.values()))


@dataclass(frozen=True, slots=True)
class Timing:
    """A duration that exists, and how its quantiles are asked for.

    `none`: only its sum and count exist, as Micrometer exports it by default. quantiles: those that a summary has.
    """

    duration: Duration
    kind: Literal["classic", "native", "summary", "none"]
    quantiles: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The series that count requests (or calls): the metric, its labels, and the matchers that make them the service's.

    status: the label that says how a request ended; None when none does.
    """

    spec: Requests
    metric: str
    native: bool
    matchers: Matchers
    labels: frozenset[str]
    timing: Timing | None
    status: str | None
    overall: Timing | None = None

    @property
    def has_quantiles(self) -> bool:
        """Whether a percentile of the duration can be asked for."""
        return self.timing is not None and self.timing.kind != "none"

    @property
    def undivided(self) -> Chosen:
        """The same for what is not asked by route: with the finest duration."""
        return replace(self, timing=self.overall or self.timing)

    def rate(self, window: str, *, failed: bool = False) -> str:
        """Requests per second by all labels; only the failed ones on demand."""
        if not failed or not self.status:
            return self._counted(self.matchers, window)
        counted = self._counted(self.matchers.where(self.status, "=~", self.spec.failed), window)
        also = self._failed_also
        # `or` goes by all labels: what has failed by both of them counts once.
        return f"{counted} or {self._counted(self.matchers.also(also), window)}" if also else counted

    def failed_by_status(self, window: str) -> str:
        """The failed requests per second by the label of the status; with both codes where only the second tells."""
        failed, also = self.rate(window, failed=True), self._failed_also
        if also and self.status:
            by_code, ((second, _, _),) = self.matchers.where(self.status, "=~", self.spec.failed), also.items
            others = self._counted(self.matchers.where(self.status, "!~", self.spec.failed).also(also), window)
            both = f'label_join({others}, "{self.status}", " gRPC ", "{self.status}", "{second}")'
            failed = f"{self._counted(by_code, window)} or {both}"
        return f"sum by ({self.status}) ({failed})"

    @property
    def _failed_also(self) -> Matchers:
        """What selects requests that failed by the second label; nothing when the series do not have it."""
        label, codes = self.spec.failed_also or ("", "")
        return Matchers(((label, "=~", codes),)) if label in self.labels else Matchers()

    def _counted(self, matchers: Matchers, window: str) -> str:
        counted = rate(self.metric, matchers, window)
        return f"histogram_count({counted})" if self.native else counted

    @property
    def route(self) -> str | None:
        """The label that says what was asked for; None when none does, `endpoint` being no route where it is the scraped port."""
        found = self.label(self.spec.route)
        return None if found == "endpoint" and self.labels >= _OPERATORS else found

    def label(self, candidates: Sequence[str]) -> str | None:
        """The first of these labels that the series have."""
        return next((label for label in candidates if label in self.labels), None)


class Finder:
    """Looks for a service's series in a catalogue. `given` are the labels of instrumentation.selector, which always hold."""

    def __init__(self, service: Service, catalogue: Catalogue) -> None:
        self._service = service
        self._catalogue = catalogue
        self._given = service.instrumentation.selector
        self._names = accepted_names(service)
        self._namespace = service.connections.kubernetes.namespace if service.connections.kubernetes else ""

    def requests(self, spec: Requests, *, silent: bool = False) -> Chosen | None:
        """The series that this instrumentation has of the service; None when it has none.

        Series that say how the requests ended are preferred: a duration often does not, the counter beside it does.
        silent: when the labels are given and the metric exists for others only, take it all the same: the service is silent now.
        """
        found = None
        for chosen in self._candidates(spec, silent=silent):
            if chosen.status:
                return chosen
            found = found or chosen
        return found

    def _candidates(self, spec: Requests, *, silent: bool) -> Iterator[Chosen]:
        for metric, native in _counts(spec):
            matchers = self.owner(metric, spec, silent=silent)
            if matchers is not None:
                names = self._catalogue.names(matchers) if not silent else self._catalogue.names()
                labels = self._catalogue.labels(metric, ANY if silent else matchers)
                if native and f"{metric}_count" in names:
                    continue  # a classic histogram or summary that shares the name
                timing = next((found for duration in spec.durations if (found := _timing(duration, names))), None)
                if timing is not None and timing.kind == "summary":
                    known = self._catalogue.values("quantile", timing.duration.name, ANY if silent else matchers)
                    timing = replace(timing, quantiles=tuple(sorted(filter(_is_number, known), key=float)))
                status = self._status(metric, spec, ANY if silent else matchers, labels)
                finer = (_timing(duration, names) for duration in spec.overall)
                yield Chosen(
                    spec=spec,
                    metric=metric,
                    native=native,
                    matchers=matchers,
                    labels=labels,
                    timing=timing,
                    status=status,
                    overall=next((found for found in finer if found is not None and found.kind != "none"), None),
                )

    def _status(self, metric: str, spec: Requests, matchers: Matchers, labels: frozenset[str]) -> str | None:
        """The first status label that holds codes: beside code="500" a status may say "error", which matches no code."""
        known = re.compile(f"{spec.codes}|{spec.failed}")
        for label in spec.status:
            values = self._catalogue.values(label, metric, matchers) if label in labels else ()
            if any(value and known.fullmatch(value) for value in values):
                return label
        return None

    def owner(self, metric: str, spec: Requests, *, silent: bool = False) -> Matchers | None:
        """The matchers that make the metric's series the service's; None when it has no such series."""
        if metric not in self._catalogue.names():
            return None
        fixed = Matchers(spec.fixed)
        if self._given_names(spec):
            given = Matchers.equal(self._given).also(fixed)
            if metric in self._catalogue.names(given):
                return given
        if silent:
            return Matchers.equal(self._given).also(fixed) if self._given_names(spec) else None
        return next((found for found in self._guesses(metric, spec) if metric in self._catalogue.names(found)), None)

    def _given_names(self, spec: Requests) -> bool:
        """Whether the given labels say whose the series are, rather than only where: a cluster or a namespace is everybody's."""
        return bool(set(spec.owner) & set(self._given)) or (spec.own_pods and identifies(self._given, self._names))

    def _guesses(self, metric: str, spec: Requests) -> Iterator[Matchers]:
        """Matchers by the labels that usually say whose series they are, narrowed down by the given ones that the metric has."""
        labels = self._catalogue.labels(metric)
        given = {label: value for label, value in self._given.items() if label in labels}
        narrowed = Matchers(spec.fixed).also(Matchers.equal(given) if spec.own_pods else scope(given, labels))
        namespaces = [label for label in spec.namespace if label in labels] if self._namespace else []
        own = next((label for label in namespaces if self._namespace in self._catalogue.values(label, metric)), None)
        if own and own not in {label for label, _, _ in narrowed.items}:
            narrowed = narrowed.where(own, "=", self._namespace)
        # In another namespace the same name is another service, unless it names our namespace itself.
        elsewhere = bool(namespaces) and own is None
        for label in spec.owner:
            if label in labels:
                values = self._catalogue.values(label, metric)
                for name in self._names:
                    if name in values and ("/" in name or not elsewhere):
                        yield narrowed.where(label, "=", name)
        if not spec.own_pods or elsewhere:
            return
        pattern = pod_pattern(self._service)
        for label in POD_LABELS:
            if label in labels and any(re.fullmatch(pattern, value) for value in self._catalogue.values(label, metric)):
                yield narrowed.where(label, "=~", pattern)


def _counts(spec: Requests) -> Iterator[tuple[str, bool]]:
    """The metrics that may count requests, and whether each is a native histogram."""
    for name in spec.counts:
        yield name, False
    for duration in spec.durations:
        yield f"{duration.name}_count", False
    for duration in spec.durations:
        yield duration.name, True


def _timing(duration: Duration, names: frozenset[str]) -> Timing | None:
    if f"{duration.name}_bucket" in names:
        return Timing(duration, "classic")
    summed = {f"{duration.name}_sum", f"{duration.name}_count"} <= names
    if duration.name in names:
        return Timing(duration, "summary" if f"{duration.name}_count" in names else "native")
    return Timing(duration, "none") if summed else None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[01](\.\d+)?|\.\d+", text) is not None
