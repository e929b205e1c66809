"""From what a Prometheus has to the PromQL of every measure of a service."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from runbook_lib.durations import parse_duration
from runbook_lib.errors import ConfigurationError
from runbook_lib.service.instrumentation.cache_metrics import cache_expressions
from runbook_lib.service.instrumentation.catalogue import Catalogue, pod_pattern
from runbook_lib.service.instrumentation.choosing import POD_LABELS, VERSION_LABELS, Chosen, Finder
from runbook_lib.service.instrumentation.cluster_metrics import cluster_expressions
from runbook_lib.service.instrumentation.measures import MEASURES
from runbook_lib.service.instrumentation.presets import PRESETS, Breaker, Part, Pool, Preset, Requests
from runbook_lib.service.instrumentation.promql import Matchers, mean, quantile, quotient, rate, vector
from runbook_lib.service.instrumentation.statement_metrics import statement_expressions
from runbook_lib.service.models import Service

__all__ = ["Expression", "Expressions", "resolve"]

_DEFAULT_WINDOW_SECONDS = 300.0  # the seed's alert: rate(...[5m])
_SCRAPES_IN_A_WINDOW = 4  # Prometheus' own advice: a rate over fewer jumps, and one lost scrape makes a gap
_PLACEHOLDER = re.compile(r"\$([a-z_]+)")
_PLACEHOLDERS = ("selector", "window", "namespace", "pods", "quantile")
Found = Iterator[tuple[str, str, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Expression:
    """A measure as this service exports it. `labels` maps our label names to theirs; `unit` is that of the measure.

    quantiles: those that it has, ascending, where it is a summary; empty where any can be computed.
    """

    promql: str
    unit: str
    labels: Mapping[str, str] = field(default_factory=dict)
    quantiles: tuple[str, ...] = ()

    def promql_for(self, **values: str) -> str:
        """The PromQL with its placeholders filled in; `quantile` is 0.95 unless it is given."""
        filled = {**values, "quantile": self.quantile_for(values.get("quantile", "0.95"))}
        return _PLACEHOLDER.sub(lambda found: filled.get(found[1], found[0]), self.promql)

    def quantile_for(self, wanted: str) -> str:
        """The quantile that is asked for: of a summary the next that it has, upwards, as it spells it."""
        above = (known for known in self.quantiles if float(known) >= float(wanted))
        return next(above, self.quantiles[-1] if self.quantiles else wanted)


@dataclass(frozen=True, kw_only=True)
class Expressions:
    """All measures of a service. `chosen` says in sentences what was found, for the person who wonders.

    `counted` selects the series that count its requests; empty when none were found.
    """

    known: Mapping[str, Expression]
    rate_window_seconds: float
    chosen: tuple[str, ...] = ()
    counted: str = ""

    def get(self, name: str) -> Expression | None:
        """The measure of this name; None when the service does not export it."""
        return self.known.get(name)


def resolve(service: Service, catalogue: Catalogue, *, scrape_interval_seconds: float | None = None) -> Expressions:
    """Find every measure of the service.

    instrumentation.preset names whose metrics count the requests; `auto` takes the first that has series of the service.
    Pools, calls and breakers are looked for in all presets, that one first. instrumentation.metrics overrides what was found.
    Raises SourceError when Prometheus cannot be asked, ConfigurationError for an unknown preset, measure or placeholder.
    """
    presets = _presets(service)
    seconds = _window_seconds(service, scrape_interval_seconds)
    window = f"{seconds:g}s"
    finder = Finder(service, catalogue)
    name, requests = _requests(service, finder, presets)
    known: dict[str, Expression] = {}
    for found in (
        _request_expressions(requests, window) if requests else iter(()),
        _call_expressions(finder, presets, window),
        _pool_expressions(finder, presets, catalogue, window),
        _breaker_expressions(finder, presets),
        cache_expressions(service, finder, catalogue, window),
        cluster_expressions(service, catalogue, window),
        statement_expressions(service, catalogue, window),
    ):
        for measure, promql, labels in found:
            known.setdefault(measure, Expression(promql, MEASURES[measure].unit, labels))
    if requests and requests.timing and requests.timing.quantiles:
        of_summary = [name for name in known if name == "latency_quantile" or name.startswith("latency_by_")]
        known.update({name: replace(known[name], quantiles=requests.timing.quantiles) for name in of_summary})
    known.update(_overrides(service, requests.matchers if requests else Matchers(), window))
    counted = vector(requests.metric, requests.matchers) if requests else ""
    return Expressions(known=known, rate_window_seconds=seconds, chosen=tuple(_told(name, requests, known)), counted=counted)


def _presets(service: Service) -> dict[str, Preset]:
    """The presets in the order in which they are tried."""
    name = service.instrumentation.preset
    if name == "auto":
        return PRESETS
    if name not in PRESETS:
        close = difflib.get_close_matches(name, PRESETS, n=1)
        mend = f"did you mean {close[0]}?" if close else f"there are auto, {', '.join(PRESETS)}"
        raise ConfigurationError(f"instrumentation.preset: there is no preset {name!r}; {mend}")
    return {name: PRESETS[name], **PRESETS}


def _window_seconds(service: Service, scrape_interval_seconds: float | None) -> float:
    chosen = service.instrumentation.rate_window
    if chosen != "auto":
        return parse_duration(chosen).total_seconds()
    return max(_DEFAULT_WINDOW_SECONDS, _SCRAPES_IN_A_WINDOW * (scrape_interval_seconds or 0.0))


def _requests(service: Service, finder: Finder, presets: Mapping[str, Preset]) -> tuple[str, Chosen | None]:
    """The preset that counts the service's requests. A named one is taken at its word, even while the service is silent."""
    named = service.instrumentation.preset
    without_status: tuple[str, Chosen | None] = ("", None)
    for name, preset in presets.items():
        if preset.requests and named in ("auto", name) and (found := finder.requests(preset.requests)):
            if found.status:
                return name, found
            # Names are shared: http_server_request_duration_seconds is OpenTelemetry's, with its labels, and Ruby's, with others.
            without_status = without_status if without_status[1] else (name, found)
    if without_status[1]:
        return without_status
    if named != "auto" and (spec := presets[named].requests):
        return named, finder.requests(spec, silent=True)
    return "", None


def _request_expressions(chosen: Chosen, window: str) -> Found:
    spec, every = chosen.spec, chosen.rate(window)
    yield "request_rate", f"sum({every})", {}
    status, route = chosen.status, chosen.label(spec.route)
    pod, version = (chosen.label(labels) if spec.own_pods else None for labels in (POD_LABELS, VERSION_LABELS))
    if status:
        failed = chosen.rate(window, failed=True)
        yield "error_ratio", quotient(failed, every), {}
        yield "requests_by_status", f"sum by ({status}) ({every})", {"status": status}
        yield "errors_by_status", f"sum by ({status}) ({failed})", {"status": status}
        if route:
            yield "errors_by_route", f"sum by ({route}) ({failed})", {"route": route}
        if pod:
            yield "error_ratio_by_pod", quotient(failed, every, by=pod), {"pod": pod}
        if version:
            yield "error_ratio_by_version", quotient(failed, every, by=version), {"version": version}
        if exception := chosen.label(spec.exception):
            yield "errors_by_exception", f"sum by ({exception}) ({failed})", {"exception": exception}
    yield from _mean(chosen, window)
    yield from _latencies(chosen, window, "latency_quantile", {})
    for name, by in (("route", route), ("pod", pod), ("version", version)):
        if by:
            yield from _latencies(chosen, window, f"latency_by_{name}", {name: by})


def _mean(chosen: Chosen, window: str) -> Found:
    if chosen.timing is not None:
        duration = chosen.timing.duration
        promql = mean(duration.name, chosen.matchers, window, kind=chosen.timing.kind)
        yield "latency_mean", promql if duration.seconds == 1 else f"{promql} * {duration.seconds:g}", {}


def _latencies(chosen: Chosen, window: str, name: str, labels: dict[str, str]) -> Found:
    if chosen.timing is None or chosen.timing.kind == "none":
        return
    duration = chosen.timing.duration
    promql = quantile(duration.name, chosen.matchers, window, kind=chosen.timing.kind, by=next(iter(labels.values()), ""))
    yield name, promql if duration.seconds == 1 else f"{promql} * {duration.seconds:g}", labels


def _call_expressions(finder: Finder, presets: Mapping[str, Preset], window: str) -> Found:
    for spec in (calls for preset in presets.values() for calls in preset.calls):
        chosen = finder.requests(spec)
        whom = chosen.label(spec.downstream) if chosen else None
        if chosen is None or whom is None:
            continue
        labels, every = {"downstream": whom}, chosen.rate(window)
        yield "downstream_rate", f"sum by ({whom}) ({every})", labels
        if chosen.status:
            failed = chosen.rate(window, failed=True)
            yield "downstream_errors", f"sum by ({whom}) ({failed})", labels
            yield "downstream_error_ratio", quotient(failed, every, by=whom), labels
        yield from _latencies(chosen, window, "downstream_latency", labels)
        return


def _pool_expressions(finder: Finder, presets: Mapping[str, Preset], catalogue: Catalogue, window: str) -> Found:
    for pool in (pool for preset in presets.values() for pool in preset.pools):
        matchers = finder.owner(pool.in_use.metric, Requests())
        if matchers is None or pool.size.metric not in catalogue.names(matchers):
            continue
        labels = catalogue.labels(pool.in_use.metric, matchers)
        if any(label not in labels for label, _, _ in pool.in_use.where):
            continue
        pod = next((label for label in POD_LABELS if label in labels), "")
        yield from _pool_parts(pool, matchers, pod, catalogue.names(matchers), window)
        return


def _pool_parts(pool: Pool, matchers: Matchers, pod: str, names: frozenset[str], window: str) -> Found:
    by, ours = (f" by ({pod})", {"pod": pod}) if pod else ("", {})
    gauges: tuple[tuple[str, Part | None], ...] = (
        ("pool_in_use", pool.in_use),
        ("pool_size", pool.size),
        ("pool_waiting", pool.waiting),
    )
    for name, part in gauges:
        if part and part.metric in names:
            # A maximum of 0 (Go) or -1 (JDBC) says that there is none.
            limited = " > 0" if part is pool.size else ""
            yield name, f"sum{by} ({vector(part.metric, matchers.also(Matchers(part.where)))}{limited})", ours
    if pool.timeouts and pool.timeouts.metric in names:
        yield "pool_timeouts", f"sum{by} ({rate(pool.timeouts.metric, matchers, window)})", ours


def _breaker_expressions(finder: Finder, presets: Mapping[str, Preset]) -> Found:
    breakers: Iterator[Breaker] = (breaker for preset in presets.values() for breaker in preset.breakers)
    for breaker in breakers:
        matchers = finder.owner(breaker.open.metric, Requests())
        if matchers is not None:
            promql = f"max by ({breaker.downstream}) ({vector(breaker.open.metric, matchers.also(Matchers(breaker.open.where)))})"
            yield "breaker_state", promql, {"downstream": breaker.downstream}
            return


def _overrides(service: Service, found: Matchers, window: str) -> Iterator[tuple[str, Expression]]:
    """The team's own expressions. They must answer in the measure's unit, with its labels by our names."""
    kubernetes = service.connections.kubernetes
    selector = Matchers.equal(service.instrumentation.selector) or found
    values = {
        "selector": str(selector),
        "window": window,
        "namespace": kubernetes.namespace if kubernetes else "",
        "pods": pod_pattern(service),
    }
    for name, promql in service.instrumentation.metrics.items():
        if name not in MEASURES:
            close = difflib.get_close_matches(name, MEASURES, n=1)
            mend = f"did you mean {close[0]}?" if close else f"there are {', '.join(MEASURES)}"
            raise ConfigurationError(f"instrumentation.metrics.{name}: there is no measure of this name; {mend}")
        for placeholder in _PLACEHOLDER.findall(promql):
            if placeholder not in _PLACEHOLDERS:
                raise ConfigurationError(
                    f"instrumentation.metrics.{name}: there is no placeholder ${placeholder}; "
                    f"there are ${', $'.join(_PLACEHOLDERS)}"
                )
        filled = _PLACEHOLDER.sub(lambda one: values.get(one[1], one[0]), promql)
        yield name, Expression(filled, MEASURES[name].unit, {label: label for label in MEASURES[name].labels})


def _told(name: str, requests: Chosen | None, known: Mapping[str, Expression]) -> Iterator[str]:
    if requests is not None:
        yield f"Requests are counted by {requests.metric} ({PRESETS[name].title}), selected by {requests.matchers or 'nothing'}."
    missing = [measure for measure in MEASURES if measure not in known]
    if missing:
        yield f"Not exported: {', '.join(missing)}."
