"""Prometheus asked over real HTTP: sick servers become our errors, within the deadline; healthy answers become frames."""

from __future__ import annotations

import gzip
import json
import math
import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.errors import (
    SourceAnswerInvalid,
    SourceRefused,
    SourceTimeout,
    SourceUnreachable,
    UsageError,
)
from runbook_lib.models.window import Window
from runbook_lib.service.models import PrometheusConnection
from runbook_lib.sources import prometheus_session
from runbook_lib.sources.prometheus import PrometheusMetrics, step_for
from tests.unit.sources.certificates import Authority
from tests.unit.sources.http_server import Reply, answering, refusing_url

END = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = Window.ending_at(END, "60m")


def body(result, kind="matrix", **more):
    return json.dumps(
        {"status": "success", "data": {"resultType": kind, "result": result}, **more}, separators=(",", ":")
    ).encode()


ONE = Reply(body([{"metric": {"pod": "a"}, "values": [[END.timestamp(), "1"]]}]))


def metrics(url, **connection):
    return PrometheusMetrics(PrometheusConnection.model_validate({"url": url, "timeout_seconds": 5, **connection}))


def data(content):
    return Reply(json.dumps({"status": "success", "data": content}).encode())


def error(status, message, kind="bad_data"):
    return Reply(json.dumps({"status": "error", "errorType": kind, "error": message}).encode(), status)


SICK = {
    "HTTP 500": (Reply(b"oh no", 500), SourceAnswerInvalid, "HTTP 500"),
    "an error of its own": (error(500, "expanding series: i/o", "internal"), SourceAnswerInvalid, "expanding series: i/o"),
    "too slow a query": (error(503, "query timed out in expression evaluation", "timeout"), SourceTimeout, "timed out"),
    "a gateway's timeout": (Reply(b"<html>504</html>", 504), SourceTimeout, "HTTP 504"),
    "no credentials": (Reply(b"", 401), SourceRefused, "credentials"),
    "no permission": (error(403, "tenant is not yours"), SourceRefused, "tenant is not yours"),
    "too many questions": (Reply(b"", 429), SourceRefused, "too many"),
    "another server": (Reply(b"not found", 404), SourceAnswerInvalid, "does the url need a path"),
    "a login page": (Reply(b"<html>Please log in</html>"), SourceAnswerInvalid, "not JSON but '<html>Please log in"),
    "nothing": (Reply(b""), SourceAnswerInvalid, "not JSON but empty"),
    "another JSON": (Reply(b"[1, 2]"), SourceAnswerInvalid, "not a success"),
    "another success": (data({"resultType": "matrix", "result": [{"metric": 1, "values": 7}]}), SourceAnswerInvalid, "shape"),
    "no success": (Reply(b'{"status":"error","error":"no such luck"}'), SourceAnswerInvalid, "no such luck"),
    "half an answer": (Reply(ONE.body[:-9]), SourceAnswerInvalid, "not JSON"),
    "a connection that breaks": (Reply(ONE.body[:40], length=len(ONE.body)), SourceAnswerInvalid, "broke off"),
    "letters for numbers": (Reply(ONE.body.replace(b'"1"', b'"one"')), SourceAnswerInvalid, "shape"),
    "broken compression": (Reply(b"not gzip", headers={"Content-Encoding": "gzip"}), SourceAnswerInvalid, "broke off"),
}  # fmt: skip


@pytest.mark.parametrize("name", SICK)
def test_a_sick_server_is_told_as_what_it_is(name):
    reply, kind, words = SICK[name]
    with answering(reply) as server:
        source = metrics(server.url)
        with pytest.raises(kind, match=words) as raised:
            source.range("up", window=HOUR)
        assert raised.value.source == "prometheus"
        assert source.probe().status == kind.status


@pytest.mark.parametrize("question", ["label_values", "label_names", "series", "metadata"])
@pytest.mark.parametrize("sick", [Reply(b"<html>"), Reply(b'{"status":"success"}'), Reply(b"{}", 500), data("text"), data(7)])
def test_no_question_lets_the_clients_own_errors_out(question, sick):
    with answering(sick) as server:
        source = metrics(server.url)
        ask = {
            "label_values": lambda: source.label_values("pod"),
            "label_names": source.label_names,
            "series": lambda: source.series(["up"]),
            "metadata": source.metadata,
        }[question]
        with pytest.raises(SourceAnswerInvalid):
            ask()


def test_nobody_listens():
    source = metrics(refusing_url())
    with pytest.raises(SourceUnreachable, match="Connection refused"):
        source.instant("up")
    assert source.probe().status == "unreachable"


def test_a_name_that_does_not_exist():
    with pytest.raises(SourceUnreachable):
        metrics("http://prometheus.invalid:9090").instant("up")


@pytest.mark.parametrize(
    "reply",
    [Reply(hang=True), Reply(ONE.body, pieces=len(ONE.body), pause=0.05), Reply(b"", 500, length=10)],
    ids=["hangs", "drips", "stops"],
)
def test_a_server_that_takes_too_long_costs_its_deadline_and_no_more(reply):
    with answering(reply) as server:
        began = time.monotonic()
        with pytest.raises((SourceTimeout, SourceAnswerInvalid)):
            metrics(server.url, timeout_seconds=0.3).range("up", window=HOUR)
        assert time.monotonic() - began < 3


def test_a_body_without_end_is_not_taken_in(monkeypatch):
    monkeypatch.setattr(prometheus_session, "_MAXIMUM_BYTES", 100_000)
    huge = gzip.compress(b" " * 10_000_000)
    with (
        answering(Reply(huge, headers={"Content-Encoding": "gzip"})) as server,
        pytest.raises(SourceAnswerInvalid, match="larger"),
    ):
        metrics(server.url).instant("up")


def test_a_query_that_is_wrong_is_told_in_prometheus_words():
    with answering(error(400, 'invalid parameter "query": 1:3: parse error: unexpected end')) as server:
        with pytest.raises(UsageError, match="parse error: unexpected end"):
            metrics(server.url).instant("up{")
        assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_server_that_says_not_now_is_asked_once_more(status):
    with answering(lambda _: Reply(b"", status) if len(server.asked) == 1 else ONE) as server:
        assert len(metrics(server.url).range("up", window=HOUR)) == 1
        assert len(server.asked) == 2


def test_a_reference_that_leads_nowhere_is_a_source_that_cannot_be_reached_and_not_one_that_is_not_wanted(monkeypatch):
    monkeypatch.delenv("NO_SUCH_URL", raising=False)
    source = PrometheusMetrics(PrometheusConnection.model_validate({"url": "env:NO_SUCH_URL"}))
    with pytest.raises(SourceUnreachable, match="NO_SUCH_URL"):
        source.instant("up")
    assert source.probe().status == "unreachable"


def test_the_bearer_token_is_sent_and_netrc_does_not_replace_it(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("TOKEN", "s3cret")
    with answering(lambda asked: data([]) if "label" in asked.path else ONE) as server:
        source = metrics(server.url, bearer_token="env:TOKEN")
        source.range("up", window=HOUR)
        source.label_values("pod")
        source.label_names()
        assert {asked.headers["Authorization"] for asked in server.asked} == {"Bearer s3cret"}
        assert "s3cret" not in source.range("up", window=HOUR).command


def test_nothing_found_while_a_store_does_not_answer_is_not_known():
    told = pytest.raises(SourceAnswerInvalid, match="not all was asked: store-1 is down")
    with answering(Reply(body([], warnings=["store-1 is down"]))) as server, told:
        metrics(server.url).range("up", window=HOUR)


def test_what_is_found_while_a_store_does_not_answer_is_shown_with_the_warning():
    some = [{"metric": {"pod": "a"}, "values": [[END.timestamp(), "1"]]}]
    with answering(Reply(body(some, warnings=["store-1 is down"]))) as server:
        assert metrics(server.url).range("up", window=HOUR).attrs["notes"] == ["store-1 is down"]


def test_names_that_a_store_does_not_tell_are_missing_from_those_that_are_there():
    def names(asked):
        more = {"warnings": ["store-1 is down"]} if asked.path.endswith("values") else {"infos": ["well"]}
        return Reply(json.dumps({"status": "success", "data": ["a"], **more}).encode())

    with answering(names) as server:
        source = metrics(server.url)
        assert source.label_names(match=["up"]) == ["a"]
        assert source.unanswered() == []
        assert source.label_values("__name__") == source.label_values("pod") == ["a"]
        assert source.unanswered() == ["store-1 is down"]


@pytest.mark.parametrize("more", [{"warnings": ["PromQL warning: mixed histograms"]}, {"infos": ["PromQL info: no counter"]}])
def test_a_word_on_the_query_leaves_an_empty_answer_what_it_is(more):
    with answering(Reply(body([], **more))) as server:
        assert metrics(server.url).range("up", window=HOUR).empty


def test_a_user_and_a_password_are_sent(monkeypatch):
    monkeypatch.setenv("PASSWORD", "pa:ss")
    with answering(ONE) as server:
        shown = metrics(server.url, username="runbook", password="env:PASSWORD").range("up", window=HOUR)
        assert server.asked[0].headers["Authorization"] == "Basic cnVuYm9vazpwYTpzcw=="
        assert '-u "runbook:$PASSWORD"' in shown.command
        assert "pa:ss" not in shown.command


def test_further_headers_are_sent():
    with answering(ONE) as server:
        metrics(server.url, headers={"X-Scope-OrgID": "shop"}).instant("up")
        assert server.asked[0].headers["X-Scope-OrgID"] == "shop"


def test_mutual_tls(tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "of-something-else.pem"))
    authority = Authority(tmp_path)
    ours, theirs = authority.sign("runbook"), authority.sign("prometheus")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.certificate)
    context.load_cert_chain(theirs.certificate, theirs.key)
    context.verify_mode = ssl.CERT_REQUIRED
    with answering(ONE, tls=context) as server:
        known = {"ca_file": authority.certificate, "certificate_file": ours.certificate, "key_file": ours.key}
        tls = {name: str(path) for name, path in known.items()}
        assert len(metrics(server.url, tls=tls).range("up", window=HOUR)) == 1
        with pytest.raises(SourceUnreachable):
            metrics(server.url, tls={"ca_file": tls["ca_file"]}).instant("up")


def test_a_server_that_nobody_vouches_for_is_not_believed(tmp_path):
    theirs = Authority(tmp_path).sign("prometheus")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(theirs.certificate, theirs.key)
    with (
        answering(ONE, tls=context) as server,
        pytest.raises(SourceUnreachable, match=r"TLS failed.*connections\.prometheus\.tls"),
    ):
        metrics(server.url).instant("up")


def test_a_long_query_goes_in_the_body():
    with answering(ONE) as server:
        source = metrics(server.url)
        source.instant("up")
        source.instant("up or " * 600 + "up")
        assert [asked.method for asked in server.asked] == ["GET", "POST"]
        assert server.asked[1].params["query"] == ["up or " * 600 + "up"]


def test_a_range_ends_at_the_windows_end_and_begins_within_it():
    with answering(ONE) as server:
        source = metrics(server.url)
        source.range("up", window=Window.ending_at(END, "61m40s"), step_seconds=60)
        asked = server.asked[0].params
        assert float(asked["end"][0]) == END.timestamp()
        assert float(asked["start"][0]) == END.timestamp() - 61 * 60
        assert asked["step"] == ["60"]


@given(seconds=st.floats(1, 400 * 86400), step=st.none() | st.floats(1e-3, 1e5))
def test_no_step_makes_more_points_than_prometheus_allows(seconds, step):
    window = Window.ending_at(END, timedelta(seconds=seconds))
    chosen = step_for(window, step)
    # as it is sent: rounded to six digits, the start counted back from the end
    points = math.floor(window.seconds / chosen) * chosen / float(f"{chosen:g}") + 1
    assert points <= 11_000.5
    assert chosen >= (step or 0)


@pytest.mark.parametrize(("duration", "step"), [("60m", 15), ("10m", 5), ("2m", 1), ("24h", 600), ("30d", 14400)])
def test_a_figure_gets_about_240_points(duration, step):
    assert step_for(Window.ending_at(END, duration)) == step


def test_labels_are_asked_for_around_the_window():
    with answering(data(["b", "a"])) as server:
        source = metrics(server.url)
        assert source.label_values("__name__", match=['{service="orders"}'], window=HOUR) == ["a", "b"]
        assert source.label_names(match=["up"]) == ["a", "b"]
        values, names = server.asked
        assert values.path == "/api/v1/label/__name__/values"
        assert values.params["match[]"] == ['{service="orders"}']
        assert float(values.params["start"][0]) == HOUR.start.timestamp() - 3600
        assert float(values.params["end"][0]) == HOUR.end.timestamp()
        assert names.params == {"match[]": ["up"]}


def test_label_sets_become_columns_and_are_bounded():
    found = [{"__name__": "up", "pod": "a"}, {"__name__": "up", "job": "b"}, {"__name__": "up"}]
    with answering(data(found)) as server:
        shown = metrics(server.url).series(["up"], window=HOUR, limit=2)
        assert list(shown.columns) == ["__name__", "job", "pod"]
        assert len(shown) == 2
        assert server.asked[0].params["limit"] == ["2"]


def test_metadata_is_a_table():
    told = {"up": [{"type": "gauge", "help": "Whether it answers.", "unit": ""}]}
    with answering(data(told)) as server:
        shown = metrics(server.url).metadata("up")
        assert shown.to_dict("records") == [{"metric": "up", "type": "gauge", "help": "Whether it answers.", "unit": ""}]


def test_the_scrape_interval_is_the_median_distance_of_samples():
    def reply(asked):
        if asked.params["query"][0].startswith("topk"):
            return Reply(body([{"metric": {"__name__": "up", "pod": 'a"b'}, "value": [0, "1"]}], "vector"))
        assert asked.params["query"] == ['{__name__="up",pod="a\\"b"}[30m]']
        return Reply(body([{"metric": {"__name__": "up"}, "values": [[at, "1"] for at in (0, 15, 30, 60, 75)]}]))

    with answering(reply) as server:
        assert metrics(server.url).scrape_interval_seconds("up") == 15
    with answering(Reply(body([], "vector"))) as server:
        assert metrics(server.url).scrape_interval_seconds("up") is None


def test_what_is_shown_to_people_has_no_credentials_and_can_be_typed(monkeypatch):
    monkeypatch.setenv("PROMETHEUS_URL", "http://user:pass@prometheus.invalid:9090/prefix/")
    source = metrics("env:PROMETHEUS_URL")
    assert source.url_for('up{a="b"}') == "http://prometheus.invalid:9090/prefix/graph?g0.expr=up%7Ba%3D%22b%22%7D&g0.tab=0"
    with answering(ONE) as server:
        shown = metrics(server.url).range("up{a='b'}", window=HOUR)
        assert shown.command.startswith(
            f"curl -sG {server.url}/api/v1/query_range --data-urlencode 'query=up{{a='\"'\"'b'\"'\"'}}'"
        )


def test_a_closed_source_opens_again():
    with answering(ONE) as server:
        source = metrics(server.url)
        source.instant("up")
        source.close()
        source.close()
        assert source.probe().status == "ok"
