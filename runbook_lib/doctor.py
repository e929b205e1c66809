"""Looking a service over before an incident does: references, connections, permissions, named objects, metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from runbook_lib.errors import ConfigurationError, SourceError
from runbook_lib.service import Reference, Service
from runbook_lib.service.called import measured_names, unmeasured
from runbook_lib.sources.interface import Cluster, Metrics, Source, Sources

__all__ = ["Examination", "examine", "examine_service", "usable"]

State = Literal["ok", "note", "wrong"]

_MEND = {
    "unreachable": "check that it runs, and its address in the service file",
    "timeout": "it may be overloaded, or a firewall drops the packets; raise its timeout_seconds if it is only slow",
    "refused": "check the credentials that its references give, and what their identity may do",
    "invalid_answer": "something else answers at this address, perhaps a proxy or a login page",
    "not_configured": "",
    "not_found": "correct the name in the service file",
}

# What the checks read. Verb, group, resource, subresource.
_READS: tuple[tuple[str, str, str, str | None], ...] = (
    ("list", "", "pods", None),
    ("get", "", "pods", "log"),
    ("list", "", "events", None),
    ("get", "", "configmaps", None),
    ("get", "apps", "deployments", None),
    ("list", "apps", "replicasets", None),
    ("list", "discovery.k8s.io", "endpointslices", None),
    ("list", "autoscaling", "horizontalpodautoscalers", None),
    ("list", "policy", "poddisruptionbudgets", None),
    ("list", "networking.k8s.io", "networkpolicies", None),
    ("list", "metrics.k8s.io", "pods", None),
    ("list", "", "nodes", None),
    ("get", "", "services", None),
)
# What the actions change, with the operator's identity. Connections are tried from inside the pods by whoever may.
_WRITES: tuple[tuple[str, str, str, str | None], ...] = (
    ("patch", "apps", "deployments", None),
    ("patch", "", "configmaps", None),
    ("patch", "", "services", None),
    ("patch", "autoscaling", "horizontalpodautoscalers", None),
    ("delete", "networking.k8s.io", "networkpolicies", None),
    ("delete", "", "pods", None),
    ("create", "", "pods", None),
    ("create", "", "pods", "eviction"),
    ("get", "", "pods", "exec"),
    ("create", "", "pods", "exec"),
)
# The metrics that runbooks read, by our names, and what is lost without them. Those that measure symptoms must be there.
_SYMPTOM_METRICS = ("error_ratio", "request_rate")
_FURTHER_METRICS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("latency_quantile",), "the latency"),
    (("memory_working_set", "memory_limit"), "memory against its limit"),
    (("cpu_usage", "cpu_limit"), "CPU against its limit"),
    (("pool_in_use", "pool_size"), "the connection pool"),
    (("downstream_error_ratio", "downstream_latency"), "calls to downstream services"),
    (("breaker_state",), "circuit breakers"),
    (("replicas_available", "replicas_desired"), "availability"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """One thing looked at. `note`: a run works without it and shows less, or does less. `wrong`: it must be mended."""

    area: Literal["reference", "connection", "permission", "object", "metric"]
    name: str
    state: State
    found: str
    mend: str = ""


def usable(examinations: Sequence[Examination]) -> bool:
    """A run would work: nothing is wrong."""
    return not any(examination.state == "wrong" for examination in examinations)


class Expression(Protocol):
    """A metric as this service exports it; `labels` maps our label names to theirs."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the answer."""

    def promql_for(self, **values: str) -> str:
        """Its PromQL."""


class Expressions(Protocol):
    """The service's metrics by our names; `corrections` says where the service file could not be followed."""

    @property
    def corrections(self) -> Sequence[str]:
        """In sentences."""

    def get(self, name: str) -> Expression | None:
        """The expression of this name, None when the service does not export it."""

    def why_unknown(self, name: str) -> str:
        """Why it is not known whether the service exports it; empty when that is known."""


def examine_service(service: Service) -> Iterator[Examination]:
    """Open the service's sources, look at everything, and close them."""
    from runbook_lib.sources.discovery import discover
    from runbook_lib.sources.opening import open_sources

    sources = open_sources(service)
    try:
        yield from examine(service, sources, operator=sources.cluster.operator, expressions=lambda: discover(service, sources))
    finally:
        sources.close()


def examine(
    service: Service, sources: Sources, *, operator: Callable[[], Cluster], expressions: Callable[[], Expressions]
) -> Iterator[Examination]:
    """Look at everything that the service file names, connections first; what needs a dead one is left out.

    operator: the cluster as the identity that actions use. expressions: finds out which metrics the service exports.
    """
    yield from _references(service)
    answers: dict[str, Examination] = {}
    for answer in _connections(sources):
        answers[answer.name] = answer
        yield answer
    if answers["kubernetes"].state == "ok":
        yield from _permissions(sources.cluster, _READS, "reading")
        yield from _objects(service, sources.cluster)
        yield from _operator_permissions(operator)
    if answers["prometheus"].state == "ok":
        yield from _metrics(service, sources.metrics, expressions)


def _references(service: Service) -> Iterator[Examination]:
    """Every reference of the file, fetched and thrown away."""
    for field, reference in _references_in(service, "service"):
        try:
            reference.resolve()
        except ConfigurationError as error:
            yield Examination(
                area="reference", name=field, state="wrong", found=str(error), mend="make the reference resolve here"
            )
        else:
            if not reference.is_literal:
                yield Examination(area="reference", name=field, state="ok", found=f"{reference} resolves")


def _references_in(value: Any, field: str) -> Iterator[tuple[str, Reference]]:
    if isinstance(value, Reference):
        yield field, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _references_in(getattr(value, name), f"{field}.{name}")
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _references_in(item, f"{field}[{index}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _references_in(item, f"{field}.{name}")


def _connections(sources: Sources) -> Iterator[Examination]:
    """The probe of every source, all at once: a dead one costs its own timeout, not everybody's."""
    asked: tuple[Source, ...] = (
        sources.metrics,
        sources.cluster,
        sources.logs,
        sources.database,
        sources.cache,
        sources.http,
    )
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        for status in pool.map(lambda source: source.probe(), asked):
            if status.status == "ok":
                took = f" in {status.seconds * 1000:.0f} ms" if status.seconds is not None else ""
                yield Examination(area="connection", name=status.name, state="ok", found=f"answers{took}")
            elif status.status == "not_configured":
                yield Examination(
                    area="connection",
                    name=status.name,
                    state="note",
                    found="not configured; what it would show stays unknown",
                    mend="add it under connections if the service has one",
                )
            else:
                found = status.error or status.status
                yield Examination(area="connection", name=status.name, state="wrong", found=found, mend=_MEND[status.status])


def _permissions(cluster: Cluster, needs: Sequence[tuple[str, str, str, str | None]], what: str) -> Iterator[Examination]:
    """What an identity may do, by SelfSubjectAccessReview. A permission that lacks takes something away and breaks nothing."""
    try:
        who = cluster.identity()
        yield Examination(area="permission", name=what, state="ok", found=f"as {who}")
        for verb, group, resource, subresource in needs:
            name = f"{verb} {resource}{f'/{subresource}' if subresource else ''}{f'.{group}' if group else ''}"
            if cluster.can(verb, resource, group=group, subresource=subresource):
                yield Examination(area="permission", name=name, state="ok", found="allowed")
            else:
                mend = f"give {who} the verb {verb} on {name.partition(' ')[2]} in namespace {cluster.namespace}"
                yield Examination(area="permission", name=name, state="note", found=f"not allowed; needed for {what}", mend=mend)
    except SourceError as error:
        yield Examination(area="permission", name=what, state="wrong", found=str(error), mend=_MEND[error.status])


def _operator_permissions(operator: Callable[[], Cluster]) -> Iterator[Examination]:
    try:
        cluster = operator()
    except SourceError as error:
        yield Examination(area="permission", name="actions", state="wrong", found=str(error), mend="correct operator_context")
    else:
        yield from _permissions(cluster, _WRITES, "actions")


def _objects(service: Service, cluster: Cluster) -> Iterator[Examination]:
    """The objects that the service file names, looked for in the cluster."""
    application = service.components.application
    yield _object(
        "deployment",
        application.deployment,
        lambda: cluster.deployment(application.deployment),
        "components.application.deployment",
    )
    yield _pods(application.selector, cluster)
    if application.config_map:
        name = application.config_map
        yield _object("config map", name, lambda: cluster.config_map(name), "components.application.config_map")
    if application.kubernetes_service:
        known_as = application.kubernetes_service
        yield _object("service", known_as, lambda: cluster.service(known_as), "components.application.kubernetes_service")


def _object(kind: str, name: str, read: Callable[[], Any], field: str) -> Examination:
    try:
        read()
    except SourceError as error:
        return Examination(area="object", name=f"{kind} {name}", state="wrong", found=str(error), mend=f"correct {field}")
    return Examination(area="object", name=f"{kind} {name}", state="ok", found="there")


def _pods(selector: str, cluster: Cluster) -> Examination:
    try:
        found = len(cluster.pods(selector))
    except SourceError as error:
        return Examination(area="object", name=f"pods {selector}", state="wrong", found=str(error), mend=_MEND[error.status])
    if found:
        return Examination(area="object", name=f"pods {selector}", state="ok", found=f"{found} pods")
    # None may be right for a service that is down: a reason to look, not a wrong file.
    mend = "correct components.application.selector, unless the service is scaled down"
    return Examination(area="object", name=f"pods {selector}", state="note", found="no pod has these labels", mend=mend)


def _metrics(service: Service, metrics: Metrics, expressions: Callable[[], Expressions]) -> Iterator[Examination]:
    """Which of the metrics that runbooks read the service exports."""
    try:
        known = expressions()
    except SourceError as error:
        yield Examination(area="metric", name="instrumentation", state="wrong", found=str(error), mend=_MEND[error.status])
        return
    except ConfigurationError as error:
        yield Examination(area="metric", name="instrumentation", state="wrong", found=str(error), mend="correct instrumentation")
        return
    for correction in known.corrections:
        yield Examination(area="metric", name="rate window", state="note", found=correction, mend="correct rate_window")
    for name in _SYMPTOM_METRICS:
        there = known.get(name) is not None
        mend = "" if there else f"set instrumentation.preset or .selector, or write it as instrumentation.metrics.{name}"
        found = "exported" if there else f"{_absent(known, [name])}; without it no symptom can be measured"
        yield Examination(area="metric", name=name, state="ok" if there else "wrong", found=found, mend=mend)
    for names, what in _FURTHER_METRICS:
        missing = [name for name in names if known.get(name) is None]
        if missing:
            mend = f"instrumentation.metrics.{missing[0]} can name what the service has instead"
            found = f"{' and '.join(missing)} {_absent(known, missing)}; the runbooks will not see it"
            yield Examination(area="metric", name=what, state="note", found=found, mend=mend)
        else:
            yield Examination(area="metric", name=what, state="ok", found="exported")
    yield from _called(service, metrics, known)


def _absent(known: Expressions, names: Sequence[str]) -> str:
    """What is to be said of measures that are not there."""
    return "not found, while not all of Prometheus answered" if any(map(known.why_unknown, names)) else "not exported"


def _called(service: Service, metrics: Metrics, known: Expressions) -> Iterator[Examination]:
    """Whether the calls are measured by names that the service file means."""
    downstream = service.dependencies.downstream
    calls = known.get("downstream_rate")
    if calls is None or not downstream:
        return
    try:
        answer = metrics.instant(calls.promql_for())
    except SourceError as error:
        yield Examination(area="metric", name="names of calls", state="note", found=str(error), mend=_MEND[error.status])
        return
    label = calls.labels["downstream"]
    measured = set(answer[label].dropna()) if label in answer.columns else set()
    meant = set(measured_names(downstream, measured).values())
    for one in downstream:
        there = one.name in meant
        found = "measured" if there else unmeasured(one, measured)
        mend = "" if there else "set its `label` to the name that the metrics have, unless it is not called at present"
        yield Examination(area="metric", name=f"calls to {one.name}", state="ok" if there else "note", found=found, mend=mend)
