"""No name and no label value can break out of the PromQL that it is written into."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.service.instrumentation.promql import Matchers, quantile, quote, quotient, rate, vector

STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
UNESCAPED = {'\\"': '"', "\\\\": "\\", "\\n": "\n", "\\r": "\r"}
texts = st.text(max_size=40) | st.text(alphabet='"\\\n\r{}[](),=~ab', max_size=20)


def unquoted(string: str) -> str:
    """What Prometheus reads: the reverse of quoting."""
    return re.sub(r"\\.", lambda found: UNESCAPED[found[0]], string[1:-1])


@given(texts)
def test_a_string_ends_where_it_should_and_says_what_it_should(text):
    quoted = quote(text)
    assert STRING.fullmatch(quoted)
    assert unquoted(quoted) == text


@given(st.dictionaries(st.sampled_from(["service", "namespace", "pod"]), texts, min_size=1), st.sampled_from(["[5m]", ""]))
def test_label_values_stay_within_their_quotes(labels, after):
    written = vector("up", Matchers.equal(labels)) + after
    left = STRING.sub("", written)
    assert left == "up{" + ",".join(f"{label}=" for label in labels) + "}" + after


@given(texts)
def test_names_that_are_none_are_quoted(name):
    written = vector(name, Matchers().where(name, "=", "x"))
    assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", name) or written.startswith(f"{{{quote(name)},")
    assert '"' not in STRING.sub("", written)


def test_a_ratio_is_nothing_without_requests_and_zero_without_errors():
    part, whole = rate("bad", Matchers(), "5m"), rate("all", Matchers(), "5m")
    assert quotient(part, whole) == "(sum (rate(bad[5m])) or 0 * sum (rate(all[5m]))) / (sum (rate(all[5m])) > 0)"
    assert quotient(part, whole, by="pod").count("sum by (pod)") == 3


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("classic", 'histogram_quantile($quantile, sum by (le, route) (rate(t_bucket{a="b"}[5m])))'),
        ("native", 'histogram_quantile($quantile, sum by (route) (rate(t{a="b"}[5m])))'),
        ("summary", 'max by (route) (t{a="b",quantile="$quantile"})'),
    ],
)
def test_a_quantile_is_asked_for_as_the_kind_of_duration_needs(kind, expected):
    assert quantile("t", Matchers.equal({"a": "b"}), "5m", kind=kind, by="route") == expected
