"""Prometheus, and what speaks its API (Thanos, Mimir, VictoriaMetrics), on prometheus-api-client."""

from __future__ import annotations

import math
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import numpy as np

from runbook_lib.errors import ConfigurationError, SourceAnswerInvalid, SourceError, SourceUnreachable
from runbook_lib.importing import importing
from runbook_lib.models.finding import SourceStatus
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import Window
from runbook_lib.service.instrumentation import Matchers
from runbook_lib.service.models import PrometheusConnection
from runbook_lib.sources.prometheus_answers import Answer, AnswerReader, decode_names, to_frame

if TYPE_CHECKING:
    from prometheus_api_client import PrometheusConnect

__all__ = ["PrometheusMetrics", "step_for"]

_NAME = "prometheus"
_POINTS = 240  # of a figure: more than this is not seen, and costs
_MOST_POINTS = 11_000  # Prometheus refuses a query with more for each series
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_SAMPLES_WINDOW = "30m"  # of a target that is scraped every five minutes, too, three samples and one that was missed
_Item = TypeVar("_Item")


def step_for(window: Window, step_seconds: float | None = None) -> float:
    """The step of a range query in seconds: about 240 points, or the one asked for, and never more than 11,000 points."""
    least = window.seconds / (_MOST_POINTS - 1)
    if step_seconds is not None:
        return max(step_seconds, least)
    wanted = max(window.seconds / _POINTS, least)
    return float(next((step for step in _STEPS if step >= wanted), math.ceil(wanted)))


class PrometheusMetrics:
    """One Prometheus; see `Metrics` in interface.py for what each method answers.

    Nothing is opened before the first question. `attrs["notes"]` of a frame has the warnings of Prometheus. A query that it
    cannot parse raises UsageError with Prometheus' own words; one that finds nothing while a store behind it does not answer
    raises SourceAnswerInvalid, since what is missing there is not known to be missing.
    """

    name = _NAME

    def __init__(self, connection: PrometheusConnection) -> None:
        self._connection = connection
        self._opening = threading.Lock()
        self._opened: tuple[PrometheusConnect, str] | None = None
        self._unanswered: dict[str, None] = {}  # in the order in which it was told

    def instant(self, promql: str, *, at: datetime | None = None) -> Frame:
        """A query at an instant, now by default."""
        params = {"query": promql, **({"time": f"{at.timestamp():.3f}"} if at else {})}
        return to_frame(self._query("query", params), query=promql, command=self._command("query", params))

    def range(self, promql: str, *, window: Window, step_seconds: float | None = None) -> Frame:
        """A query over a window. The last point lies at the window's end, the first no earlier than its start."""
        step = step_for(window, step_seconds)
        end = window.end.timestamp()
        start = end - math.floor(window.seconds / step) * step
        params = {"query": promql, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        return to_frame(self._query("query_range", params), query=promql, command=self._command("query_range", params))

    def label_values(self, label: str, *, match: Sequence[str] = (), window: Window | None = None) -> list[str]:
        """Values of a label, sorted."""
        return self._names(f"label/{quote(label, safe='')}/values", _scope(match, window))

    def label_names(self, *, match: Sequence[str] = (), window: Window | None = None) -> list[str]:
        """Names of the labels of the series that match, sorted."""
        return self._names("labels", _scope(match, window))

    def unanswered(self) -> list[str]:
        """What was missing from values and names of labels so far, each once."""
        return list(self._unanswered)

    def series(self, match: Sequence[str], *, window: Window | None = None, limit: int = 10_000) -> Frame:
        """The label sets that match, at most `limit` of them."""
        chosen = window or Window.ending_at(datetime.now(UTC), "5m")
        params = {"match[]": list(match), "limit": str(limit)}
        found = self._ask(lambda client: client.get_series(chosen.start, chosen.end, params), dict)
        names = sorted({name for labels in found for name in labels})
        rows = [[labels.get(name) for name in names] for labels in found[:limit]]
        command = self._command("series", {"match[]": match})
        return frame(rows, columns=names, source=_NAME, query=", ".join(match), command=command)

    def metadata(self, metric: str | None = None) -> Frame:
        """Type, help and unit of metrics as their exporters tell them."""
        found = self._ask(lambda client: client.get_metric_metadata(metric or ""), dict)
        rows = [(one["metric_name"], one["type"], one["help"], one["unit"]) for one in found]
        return frame(rows, columns=["metric", "type", "help", "unit"], source=_NAME, query=metric or "")

    def scrape_interval_seconds(self, match: str) -> float | None:
        """The median distance of one matching series' samples; None when it has fewer than three."""
        found = self._query("query", {"query": f"topk(1, {match})"}).series
        if not found:
            return None
        one = f"{{{Matchers.equal(found[0].labels)}}}"
        samples = self._query("query", {"query": f"{one}[{_SAMPLES_WINDOW}]"}).series
        times = samples[0].times if samples else np.empty(0)
        return float(np.median(np.diff(times))) if len(times) > 2 else None

    def url_for(self, promql: str) -> str:
        """A link that opens the query in Prometheus' own pages."""
        return f"{self._address()}/graph?g0.expr={quote(promql, safe='')}&g0.tab=0"

    def probe(self) -> SourceStatus:
        """Ask for a constant, which needs the API and the credentials and no series."""
        started = time.monotonic()
        try:
            self._query("query", {"query": "vector(1)"})
        except SourceError as error:
            return SourceStatus(name=self.name, status=error.status, error=error.reason)
        return SourceStatus(name=self.name, status="ok", seconds=time.monotonic() - started)

    def close(self) -> None:
        """Give back the connections."""
        with self._opening:
            if self._opened:
                self._opened[0].close()
                self._opened = None

    def _open(self) -> tuple[PrometheusConnect, str]:
        with self._opening:
            if self._opened is None:
                with importing("prometheus_api_client"):
                    from prometheus_api_client import PrometheusConnect

                    from runbook_lib.sources.prometheus_session import PrometheusSession, retries

                try:
                    url = self._connection.url.resolve().rstrip("/")
                    session = PrometheusSession(self._connection)
                except ConfigurationError as error:
                    raise SourceUnreachable(_NAME, str(error)) from error
                self._opened = PrometheusConnect(url=url, session=session, auth=session.auth, retry=retries()), url
            return self._opened

    def _ask(self, question: Callable[[PrometheusConnect], Any], kind: type[_Item]) -> list[_Item]:
        """One of the client's own calls, which takes whatever it is given; what it should give is a list of this kind."""
        client, _ = self._open()
        try:
            found = question(client)
            if not isinstance(found, list) or not all(isinstance(one, kind) for one in found):
                raise TypeError(f"a list of {kind.__name__} was expected")
            return found
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceAnswerInvalid(_NAME, f"something else than Prometheus answers: {type(error).__name__}") from error

    def _names(self, kind: str, params: Mapping[str, Any]) -> list[str]:
        """Names by the client's session: the client's own calls lose the warnings that not all was asked."""
        client, url = self._open()
        names, missing = decode_names(client._session.read(f"{url}/api/v1/{kind}", params, arriving=lambda _: None))
        self._unanswered |= dict.fromkeys(missing)
        return sorted(names)

    def _query(self, kind: str, params: Mapping[str, str]) -> Answer:
        """A query by the client's session, decoded here: the client's own frame takes twice as long, and loses warnings."""
        client, url = self._open()
        reader = AnswerReader()
        answer = reader.answer(client._session.read(f"{url}/api/v1/{kind}", params, arriving=reader.more))
        if answer.missing and not answer.series:
            raise SourceAnswerInvalid(_NAME, f"nothing was found, and not all was asked: {'; '.join(answer.missing)}")
        return answer

    def _address(self) -> str:
        """The address for people; without the credentials that may stand in it."""
        if self._connection.external_url:
            return self._connection.external_url.rstrip("/")
        try:
            parts = urlsplit(self._connection.url.resolve().rstrip("/"))
        except ConfigurationError:
            return "$PROMETHEUS"
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def _command(self, kind: str, params: Mapping[str, str | Sequence[str]]) -> str:
        """What a person would type; credentials as shell variables."""
        words = ["curl", "-sG", f"{self._address()}/api/v1/{kind}"]
        if self._connection.bearer_token:
            words += ["-H", '"Authorization: Bearer $TOKEN"']
        if self._connection.username:
            words += ["-u", f'"{self._connection.username}:$PASSWORD"']
        quoted = [word if word.startswith('"') else shlex.quote(word) for word in words]
        for name, value in params.items():
            for one in (value,) if isinstance(value, str) else value:
                option = "--data-urlencode" if name in ("query", "match[]") else "-d"
                quoted.append(f"{option} {shlex.quote(f'{name}={one}')}")
        return " ".join(quoted)


def _scope(match: Sequence[str], window: Window | None) -> dict[str, Any]:
    scope: dict[str, Any] = {"match[]": list(match)} if match else {}
    if window is not None:
        # An hour more: what was exported until shortly before the window belongs to the service, too.
        scope |= {"start": (window.start - timedelta(hours=1)).timestamp(), "end": window.end.timestamp()}
    return scope
