import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.service.models import LogFormat
from runbook_lib.sources.log_records import records

AT = "2026-05-04T03:12:40.123456789Z"


def read(*lines, log_format=None, at=AT):
    return records([line if isinstance(line, bytes) else f"{at} {line}".encode() for line in lines], log_format or LogFormat())


def test_a_json_line_gives_level_message_and_fields():
    (found,) = read('{"level": "ERROR", "msg": "pool timed out", "ts": 1777864360.5, "order": 7}')
    assert (found.level, found.message) == ("error", "pool timed out")
    assert found.fields["order"] == 7
    assert found.time == datetime(2026, 5, 4, 3, 12, 40, 500000, tzinfo=UTC)


def test_nested_and_dotted_field_names_are_both_found():
    assert read('{"log": {"level": "warn"}, "message": "m"}')[0].level == "warning"
    assert read('{"log.level": "warn", "message": "m"}')[0].level == "warning"


@pytest.mark.parametrize(
    ("value", "level"), [("50", "error"), ("30", "info"), ('"WARNING"', "warning"), ('"crit"', "critical"), ("null", "")]
)
def test_levels_have_one_name_each(value, level):
    assert read(f'{{"level": {value}, "msg": "m"}}')[0].level == level


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-05-04 03:12:40,123 ERROR [main] c.s.Orders - pool timed out", "error"),
        ("03:12:40 [WARN] slow", "warning"),
        ("[error] 12#12: *3 connect() failed", "error"),
        ('time="2026-05-04T03:12:40Z" level=warning msg="slow"', "warning"),
        ("E0504 03:12:40.123456       1 reflector.go:138] failed", "error"),
        ("2026-05-04 03:12:40 UTC [77] FATAL:  remaining connection slots are reserved", "fatal"),
        ("GET /errors?ERROR=1 200", ""),
        ("served 200 requests", ""),
    ],
)
def test_levels_are_found_in_text(line, level):
    assert read(line)[0].level == level


def test_a_java_stack_trace_belongs_to_its_record():
    found = read(
        "2026-05-04 03:12:40 ERROR request failed",
        "java.lang.IllegalStateException: pool exhausted",
        "\tat shop.Orders.get(Orders.java:12)",
        "Caused by: java.net.SocketTimeoutException: timed out",
        "\t... 12 more",
        "2026-05-04 03:12:41 INFO next",
    )
    assert [record.level for record in found] == ["error", "info"]
    assert found[0].message.count("\n") == 4


def test_a_python_traceback_belongs_to_its_record_with_its_cause():
    found = read(
        "2026-05-04 03:12:40 ERROR request failed",
        "Traceback (most recent call last):",
        '  File "app.py", line 3, in get',
        "    raise KeyError(name)",
        "KeyError: 'x'",
        "",
        "During handling of the above exception, another exception occurred:",
        "",
        "Traceback (most recent call last):",
        '  File "app.py", line 9, in get',
        "ValueError: no x",
        "served 1 request",
    )
    assert len(found) == 2
    assert found[0].message.endswith("ValueError: no x")


def test_a_traceback_does_not_hide_behind_a_harmless_line():
    found = read(
        "2026-05-04 03:12:40 INFO started", "Traceback (most recent call last):", '  File "a.py", line 1', "ValueError: x"
    )
    assert [record.level for record in found] == ["info", "error"]
    assert found[1].message.endswith("ValueError: x")


def test_a_panic_of_go_is_one_record():
    found = read(
        "panic: runtime error: nil map", "", "goroutine 1 [running]:", "main.main()", "\t/app/main.go:7 +0x1d", "exit status 2"
    )
    assert found[0].level == "error"
    assert "goroutine 1" in found[0].message


def test_a_line_written_much_later_is_no_continuation():
    first = f"{AT} 2026-05-04 03:12:40 ERROR failed".encode()
    later = b"2026-05-04T03:14:00Z   indented"
    assert len(read(first, later)) == 2


def test_after_a_json_line_text_is_a_record_of_its_own():
    found = read('{"level": "info", "msg": "m"}', "Traceback (most recent call last):", '  File "a.py"', "KeyError: 1")
    assert [record.level for record in found] == ["info", "error"]


def test_the_applications_clock_counts_only_near_the_kubelets_and_with_an_offset():
    kubelet = datetime(2026, 5, 4, 3, 12, 40, 123456, tzinfo=UTC)
    assert read('{"msg": "m", "time": "2026-05-04T03:12:39Z"}')[0].time == datetime(2026, 5, 4, 3, 12, 39, tzinfo=UTC)
    assert read('{"msg": "m", "time": "2026-05-04T05:12:39+02:00"}')[0].time == datetime(2026, 5, 4, 3, 12, 39, tzinfo=UTC)
    assert read('{"msg": "m", "time": "2026-05-04T05:12:39"}')[0].time == kubelet
    assert read('{"msg": "m", "time": "2020-01-01T00:00:00Z"}')[0].time == kubelet


def test_colours_and_broken_bytes_are_taken_out():
    (found,) = read(AT.encode() + b" \x1b[31mERROR\x1b[0m caf\xe9 \x00broken")
    assert found.level == "error"
    assert found.message == "ERROR caf\ufffd broken"


def test_partial_lines_are_joined():
    found = read(f"{AT} stdout P hello ".encode(), f"{AT} stdout F world".encode())
    assert [record.message for record in found] == ["hello world"]


def test_times_that_an_old_kubelet_put_into_a_long_line_are_taken_out():
    line = json.dumps({"level": "error", "msg": "x" * 20_000})
    broken = line[: 16 * 1024] + f"{AT} " + line[16 * 1024 :]
    (found,) = read(broken)
    assert found.fields is not None
    assert found.level == "error"


def test_a_message_is_bounded():
    assert len(read("x" * 100_000)[0].message) <= 16_000
    traced = read("2026-05-04 03:12:40 ERROR deep recursion", *(f"  File {number}" for number in range(5000)))
    assert len(traced) == 1
    assert traced[0].message.count("\n") < 200


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_no_line_whatever_it_holds_breaks_the_reading(lines):
    for record in read(*(AT.encode() + b" " + line.replace(b"\n", b"") for line in lines)):
        assert record.time.tzinfo is not None
        assert record.level == record.level.lower()


def test_a_private_key_that_was_logged_line_by_line_is_one_record():
    key = ["-----BEGIN PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "NMoSfm76oqFvAp8=", "-----END PRIVATE KEY-----"]
    assert [record.message for record in read("ERROR loading key", *key, "done")] == ["ERROR loading key", "\n".join(key), "done"]
