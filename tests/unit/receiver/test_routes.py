from pathlib import Path

import pytest

from runbook_lib.errors import ConfigurationError
from runbook_lib.receiver.routes import Route, load_routes

PARAMETERS = Path(__file__).parents[3] / "parameters"


def route(*matchers: str) -> Route:
    return Route(matchers=matchers, notebook="high_error_rate", service="orders.lab.yaml")


def test_every_matcher_must_fit():
    chosen = route('runbook="high_error_rate"', 'severity=~"page|critical"')
    assert chosen.matches({"runbook": "high_error_rate", "severity": "page"})
    assert not chosen.matches({"runbook": "high_error_rate", "severity": "pager"})
    assert not chosen.matches({"runbook": "high_latency", "severity": "page"})


def test_a_missing_label_counts_as_empty():
    assert route('team!="payments"').matches({})
    assert route('team!~"pay.*"').matches({})
    assert not route('team="orders"').matches({})


def test_the_first_route_that_fits_counts(tmp_path):
    (tmp_path / "a.yaml").touch()
    (tmp_path / "b.yaml").touch()
    (tmp_path / "alert_routes.yaml").write_text(
        """
routes:
  - {matchers: ['alertname="X"'], notebook: first, service: a.yaml}
  - {matchers: ['alertname=~".*"'], notebook: second, service: b.yaml}
"""
    )
    routes = load_routes(tmp_path)
    assert [routes.route_for({"alertname": name}).notebook for name in ("X", "Y")] == ["first", "second"]


def test_the_routes_that_ship_are_right_and_take_the_labs_alert():
    labels = {"alertname": "HighErrorRate", "runbook": "high_error_rate", "service": "orders", "environment": "lab"}
    assert load_routes(PARAMETERS).route_for(labels).notebook == "high_error_rate"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{matchers: ['alertname'], notebook: x, service: a.yaml}", "line 2: routes[0].matchers must be matchers such as"),
        ("{matchers: ['a=~\"(\"'], notebook: x, service: a.yaml}", "line 2: routes[0].matchers must hold regular expressions"),
        ("{matchers: [], notebook: x, service: a.yaml}", "line 2: routes[0].matchers is wrong"),
        ("{matchers: ['a=\"b\"'], notebook: ../x, service: a.yaml}", "line 2: routes[0].notebook is wrong"),
        ("{matchers: ['a=\"b\"'], notebook: x, service: ../a.yaml}", "line 2: routes[0].service is wrong"),
        ("{matchers: ['a=\"b\"'], notebook: x, service: missing.yaml}", "line 2: there is no service file"),
    ],
)
def test_what_is_wrong_with_a_route_is_told_with_its_line(line, message, tmp_path):
    (tmp_path / "a.yaml").touch()
    (tmp_path / "alert_routes.yaml").write_text(f"routes:\n  - {line}\n")
    with pytest.raises(ConfigurationError) as refused:
        load_routes(tmp_path)
    assert message in str(refused.value)
