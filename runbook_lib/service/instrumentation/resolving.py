"""From what a Prometheus has to the PromQL of every measure of a service."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runbook_lib.durations import parse_duration
from runbook_lib.errors import ConfigurationError, SourceError
from runbook_lib.service.instrumentation.cache_metrics import cache_expressions
from runbook_lib.service.instrumentation.catalogue import Catalogue, accepted_names, pod_pattern
from runbook_lib.service.instrumentation.choosing import POD_LABELS, VERSION_LABELS, Chosen, Finder, identifies
from runbook_lib.service.instrumentation.cluster_metrics import cluster_expressions
from runbook_lib.service.instrumentation.measures import MEASURES
from runbook_lib.service.instrumentation.pool_metrics import pool_expressions
from runbook_lib.service.instrumentation.presets import PRESETS, Breaker, Preset, Requests
from runbook_lib.service.instrumentation.probe_routes import only_probes, without_probes
from runbook_lib.service.instrumentation.promql import Matchers, mean, quantile, quotient, vector
from runbook_lib.service.instrumentation.statement_metrics import statement_expressions
from runbook_lib.service.models import Service

__all__ = ["Expression", "Expressions", "resolve"]

_DEFAULT_WINDOW_SECONDS = 300.0  # the seed's alert: rate(...[5m])
_SCRAPES_IN_A_WINDOW = 4  # Prometheus' own advice: a rate over fewer jumps, and one lost scrape makes a gap
_FEWEST_SCRAPES = 2  # in a window of less there is often one sample, and no rate: that looks like a service without requests
_PLACEHOLDER = re.compile(r"\$([a-z_]+)")
_PLACEHOLDERS = ("selector", "window", "namespace", "pods", "quantile")
Found = Iterator[tuple[str, str, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Expression:
    """A measure as this service exports it. `labels` maps our label names to theirs; `unit` is that of the measure.

    quantiles: those that it has, ascending, where it is a summary; empty where any can be computed. ends: where the buckets of a
    histogram end, in the measure's unit, above which no quantile is told; None where there is no such end.
    """

    promql: str
    unit: str
    labels: Mapping[str, str] = field(default_factory=dict)
    quantiles: tuple[str, ...] = ()
    ends: float | None = None

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

    `counted` selects the series that count its requests; empty when none were found. `corrections` says in sentences where the
    service file could not be followed. `unanswered` is what was missing while they were looked for, in words: a measure that is
    not among them may be exported all the same.
    """

    known: Mapping[str, Expression]
    rate_window_seconds: float
    chosen: tuple[str, ...] = ()
    counted: str = ""
    corrections: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()

    def get(self, name: str) -> Expression | None:
        """The measure of this name; None when the service does not export it, as far as is known (see `why_unknown`)."""
        return self.known.get(name)

    def why_unknown(self, name: str) -> str:
        """Why it is not known whether the service exports this measure; empty when that is known."""
        lacking = bool(self.unanswered) and name not in self.known
        return f"{name} was not found, and not all was asked: {'; '.join(self.unanswered)}" if lacking else ""


def resolve(service: Service, catalogue: Catalogue, *, scrape_interval_seconds: float | None = None) -> Expressions:
    """Find every measure of the service.

    instrumentation.preset names whose metrics count the requests; `auto` takes the first that has series of the service.
    Pools, calls and breakers are looked for in all presets, that one first. instrumentation.metrics overrides what was found.
    Raises SourceError when Prometheus cannot be asked, ConfigurationError for an unknown preset, measure or placeholder.
    """
    presets = _presets(service)
    seconds, corrections = _window_seconds(service, scrape_interval_seconds)
    window = f"{seconds:g}s"
    finder = Finder(service, catalogue)
    name, requests = _requests(service, finder, presets, catalogue)
    timed_by, timed = _timed(finder, presets, name, requests)
    requests = without_probes(requests, service, catalogue) if requests else None
    timed = without_probes(timed, service, catalogue) if timed else None
    known: dict[str, Expression] = {}
    for found in (
        _request_expressions(requests, window) if requests else iter(()),
        _mean(requests.undivided, window) if requests else iter(()),
        _latency_expressions(timed, window) if timed else iter(()),
        _call_expressions(finder, presets, window),
        pool_expressions(finder, presets, catalogue, window),
        _breaker_expressions(finder, presets),
        cache_expressions(service, finder, catalogue, window),
        cluster_expressions(service, catalogue, window),
        statement_expressions(service, catalogue, window),
    ):
        for measure, promql, labels in found:
            known.setdefault(measure, Expression(promql, MEASURES[measure].unit, labels))
    if timed and timed.timing and timed.timing.quantiles:
        of_summary = [name for name in known if name == "latency_quantile" or name.startswith("latency_by_")]
        known.update({name: replace(known[name], quantiles=timed.timing.quantiles) for name in of_summary})
    if timed and "latency_quantile" in known:
        ends = _end_of_buckets(timed.undivided, catalogue)
        known["latency_quantile"] = replace(known["latency_quantile"], ends=ends)
    known.update(_overrides(service, requests.matchers if requests else Matchers(), window))
    counted = vector(requests.metric, requests.matchers) if requests else ""
    unanswered = catalogue.unanswered()
    told = (*_told(name, requests), *_told_of_time(timed_by, requests, timed), *_missing(known, unanswered), *corrections)
    return Expressions(
        known=known,
        rate_window_seconds=seconds,
        chosen=told,
        counted=counted,
        corrections=corrections,
        unanswered=unanswered,
    )


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


def _window_seconds(service: Service, scrape_interval_seconds: float | None) -> tuple[float, tuple[str, ...]]:
    """The range of rates, and a sentence when the one of the service file cannot have any."""
    chosen, interval = service.instrumentation.rate_window, scrape_interval_seconds or 0.0
    enough = _SCRAPES_IN_A_WINDOW * interval
    if chosen == "auto":
        return max(_DEFAULT_WINDOW_SECONDS, enough), ()
    seconds = parse_duration(chosen).total_seconds()
    if seconds >= _FEWEST_SCRAPES * interval:
        return seconds, ()
    return enough, (
        f"instrumentation.rate_window {chosen} is shorter than {_FEWEST_SCRAPES} scrapes, which come every {interval:g} s: "
        f"rates are taken over {enough:g} s.",
    )


def _requests(service: Service, finder: Finder, presets: Mapping[str, Preset], catalogue: Catalogue) -> tuple[str, Chosen | None]:
    """The preset that counts the service's requests. A named one is taken at its word, even while the service is silent."""
    named = service.instrumentation.preset
    second: tuple[str, Chosen | None] = ("", None)
    for name, preset in presets.items():
        if preset.requests and named in ("auto", name) and (found := finder.requests(preset.requests)):
            if found.status and (named == name or not only_probes(found, service, catalogue)):
                return name, found
            # Names are shared: http_server_request_duration_seconds is OpenTelemetry's, with its labels, and Ruby's, with others.
            # And a service that speaks gRPC has its probes on HTTP. The one that tells how its requests ended is the better one.
            if second[1] is None or (found.status and not second[1].status):
                second = (name, found)
    if second[1]:
        return second
    if named != "auto" and (spec := presets[named].requests):
        return named, finder.requests(spec, silent=True)
    return "", None


def _timed(finder: Finder, presets: Mapping[str, Preset], name: str, counted: Chosen | None) -> tuple[str, Chosen | None]:
    """What tells how long the requests take: what counts them, else a mesh or an ingress in front of the same service.

    Only what counts the same kind of requests: the calls of gRPC beside those of HTTP are other ones.
    """
    if counted is None or counted.undivided.has_quantiles:
        return name, counted
    for other, preset in presets.items():
        if other != name and preset.requests and preset.requests.failed == counted.spec.failed:
            found = finder.requests(preset.requests)
            if found and found.undivided.has_quantiles:
                return other, found
    return name, counted


def _request_expressions(chosen: Chosen, window: str) -> Found:
    spec, every = chosen.spec, chosen.rate(window)
    yield "request_rate", f"sum({every})", {}
    status, route = chosen.status, chosen.route
    pod, version = _pod_and_version(chosen)
    if status:
        failed = chosen.rate(window, failed=True)
        yield "error_ratio", quotient(failed, every), {}
        yield "requests_by_status", f"sum by ({status}) ({every})", {"status": status}
        yield "errors_by_status", chosen.failed_by_status(window), {"status": status}
        if route:
            yield "errors_by_route", f"sum by ({route}) ({failed})", {"route": route}
        if pod:
            yield "error_ratio_by_pod", quotient(failed, every, by=pod), {"pod": pod}
        if version:
            yield "error_ratio_by_version", quotient(failed, every, by=version), {"version": version}
        if exception := chosen.label(spec.exception):
            yield "errors_by_exception", f"sum by ({exception}) ({failed})", {"exception": exception}


def _pod_and_version(chosen: Chosen) -> tuple[str | None, str | None]:
    """The labels of the pod and the version that answered; none where a proxy elsewhere counts."""
    own = chosen.spec.own_pods
    return (chosen.label(POD_LABELS), chosen.label(VERSION_LABELS)) if own else (None, None)


def _latency_expressions(chosen: Chosen, window: str) -> Found:
    pod, version = _pod_and_version(chosen)
    yield from _mean(chosen.undivided, window)
    yield from _latencies(chosen.undivided, window, "latency_quantile", {})
    for name, by in (("route", chosen.route), ("pod", pod), ("version", version)):
        if by:
            # The pod is a label of the scrape, which all durations have.
            yield from _latencies(chosen.undivided if name == "pod" else chosen, window, f"latency_by_{name}", {name: by})


def _end_of_buckets(chosen: Chosen, catalogue: Catalogue) -> float | None:
    """The highest finite bound of a classic histogram, in seconds; None when there is none."""
    if chosen.timing is None or chosen.timing.kind != "classic":
        return None
    duration = chosen.timing.duration
    try:
        bounds = catalogue.values("le", f"{duration.name}_bucket", chosen.matchers)
    except SourceError:
        return None  # it only qualifies what is known without it; a replay of an incident may lack this answer
    finite = [bound * duration.seconds for bound in map(float, bounds) if math.isfinite(bound)]
    return max(finite, default=None)


def _mean(chosen: Chosen, window: str) -> Found:
    if chosen.timing is not None:
        duration = chosen.timing.duration
        promql = mean(duration.name, chosen.matchers, window, kind=chosen.timing.kind)
        yield "latency_mean", promql if duration.seconds == 1 else f"{promql} * {duration.seconds:g}", {}


def _latencies(chosen: Chosen, window: str, name: str, labels: dict[str, str]) -> Found:
    if chosen.timing is None or not chosen.has_quantiles:
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
    given = service.instrumentation.selector
    selector = Matchers.equal(given) if identifies(given, accepted_names(service)) or not found else found
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


def _told(name: str, requests: Chosen | None) -> Iterator[str]:
    if requests is not None:
        yield f"Requests are counted by {requests.metric} ({PRESETS[name].title}), selected by {requests.matchers or 'nothing'}."
        if requests.status is None and (label := requests.label(requests.spec.status)):
            yield (
                f"How they ended is not known: {label} of {requests.metric} holds no status codes; "
                "instrumentation.metrics.error_ratio can say what an error is."
            )


def _told_of_time(name: str, requests: Chosen | None, timed: Chosen | None) -> Iterator[str]:
    if timed is not None and timed.timing is not None and timed is not requests:
        by = f"{timed.timing.duration.name} ({PRESETS[name].title})"
        yield f"Their duration is that of {by}, selected by {timed.matchers or 'nothing'}."


def _missing(known: Mapping[str, Expression], unanswered: Sequence[str]) -> Iterator[str]:
    missing = [measure for measure in MEASURES if measure not in known]
    if missing:
        told = f"Not found, while not all was asked ({'; '.join(unanswered)})" if unanswered else "Not exported"
        yield f"{told}: {', '.join(missing)}."
