from datetime import UTC, datetime

from runbook_lib.models.window import Window
from runbook_lib.sources.events import EVENT_COLUMNS, event_rows

WINDOW = Window(datetime(2026, 5, 4, 3, 0, tzinfo=UTC), datetime(2026, 5, 4, 4, 0, tzinfo=UTC))


def event(message="Back-off restarting failed container", name="orders-3-abcde", **fields):
    times = {"firstTimestamp": "2026-05-04T03:10:00Z", "lastTimestamp": "2026-05-04T03:20:00Z", "count": 3}
    about = {"involvedObject": {"kind": "Pod", "name": name}, "type": "Warning", "reason": "BackOff", "message": message}
    return {"metadata": {"creationTimestamp": "2026-05-04T03:10:00Z"}, **about, **times, **fields}


def rows(*events, names=()):
    return [dict(zip(EVENT_COLUMNS, row, strict=True)) for row in event_rows(events, window=WINDOW, names=names)]


def test_an_event_is_told_with_first_and_last_time_and_count():
    (found,) = rows(event())
    assert (found["first_seen"].minute, found["time"].minute, found["count"]) == (10, 20, 3)
    assert (found["kind"], found["name"], found["type"], found["reason"]) == ("Pod", "orders-3-abcde", "Warning", "BackOff")


def test_a_series_of_the_new_api_has_its_times_elsewhere():
    series = {"eventTime": "2026-05-04T03:11:00.123456Z", "series": {"count": 9, "lastObservedTime": "2026-05-04T03:31:00.5Z"}}
    (found,) = rows(event(firstTimestamp=None, lastTimestamp=None, count=None, **series))
    assert (found["first_seen"].minute, found["time"].minute, found["count"]) == (11, 31, 9)
    (found,) = rows(event(firstTimestamp=None, lastTimestamp=None, count=None, eventTime="2026-05-04T03:11:00.1Z"))
    assert (found["time"].minute, found["count"]) == (11, 1)


def test_the_shape_of_events_k8s_io_is_understood():
    new = {"note": "Readiness probe failed", "regarding": {"kind": "Pod", "name": "orders-1"}, "deprecatedCount": 4}
    times = {"deprecatedFirstTimestamp": "2026-05-04T03:10:00Z", "deprecatedLastTimestamp": "2026-05-04T03:20:00Z"}
    (found,) = rows({"metadata": {}, "type": "Warning", "reason": "Unhealthy", **new, **times})
    assert (found["message"], found["name"], found["count"], found["time"].minute) == (
        "Readiness probe failed",
        "orders-1",
        4,
        20,
    )


def test_the_same_message_about_the_same_object_is_told_once():
    later = event(firstTimestamp="2026-05-04T03:30:00Z", lastTimestamp="2026-05-04T03:40:00Z", count=2)
    (found,) = rows(event(), later)
    assert (found["first_seen"].minute, found["time"].minute, found["count"]) == (10, 40, 5)


def test_events_that_span_the_window_belong_to_it_and_others_do_not():
    spanning = event("spans", firstTimestamp="2026-05-04T02:00:00Z", lastTimestamp="2026-05-04T05:00:00Z")
    before = event("before", firstTimestamp="2026-05-04T02:00:00Z", lastTimestamp="2026-05-04T02:30:00Z")
    assert [row["message"] for row in rows(spanning, before)] == ["spans"]


def test_names_are_prefixes():
    found = rows(event(name="orders-3-abcde"), event(name="payments-1"), event(name="orders"), names=["orders"])
    assert {row["name"] for row in found} == {"orders-3-abcde", "orders"}


def test_events_come_oldest_first():
    found = rows(event("b", lastTimestamp="2026-05-04T03:50:00Z"), event("a", lastTimestamp="2026-05-04T03:12:00Z"))
    assert [row["message"] for row in found] == ["a", "b"]
