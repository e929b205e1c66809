"""Where a service's pods connect to is taken from the service file, else from its settings."""

import pytest

from runbook_lib.analysis.addresses import addresses
from runbook_lib.analysis.connecting import OWN, Attempt, reaches, slow_pods
from runbook_lib.testing import service

SETTINGS = {
    "LOG_LEVEL": "INFO",
    "DATABASE_URL": "postgresql://postgres/shop",
    "REDIS_URL": "redis://redis:6380/0",
    "PAYMENTS_URL": "https://payments.internal/v2",
    "INVENTORY_URL": "http://inventory:8080",
}


def test_urls_among_the_settings_name_database_cache_and_what_is_called():
    found = {one.name: one.place for one in addresses(service(), SETTINGS)}
    # inventory's keys are not in the service file: which setting is its address is not known
    assert found == {"database shop": "postgres:5432", "cache": "redis:6380", "payments": "payments.internal:443"}


@pytest.mark.parametrize("value", ["", "postgres", "postgresql://", "postgresql://db:${PORT}/shop", "mysql://db:3306/shop"])
def test_a_setting_that_is_no_such_url_names_nobody(value):
    assert addresses(service(), {"DATABASE_URL": value}) == ()


def test_a_jdbc_url_and_an_address_of_ipv6_are_understood():
    settings = {"SPRING_DATASOURCE_URL": "jdbc:postgresql://[fd00::7]:6432/shop?ssl=true"}
    (found,) = addresses(service(), settings)
    assert (found.place, found.host, found.port) == ("[fd00::7]:6432", "[fd00::7]", 6432)


# --- what the tries tell


def tries(pod, seconds, *, own=0.0, places=("db:5432", "redis:6379")):
    return [Attempt(pod, OWN, 0.0, own)] + [Attempt(pod, place, 0.0, seconds + own) for place in places for _ in range(3)]


def test_a_pod_that_is_slow_to_all_is_told_from_those_that_are_not():
    found = reaches([*tries("a", 0.3), *tries("b", 0.002)])
    assert slow_pods(found) == {"a": pytest.approx(0.3)}


def test_what_a_pod_takes_to_reach_itself_is_not_the_networks():
    assert slow_pods(reaches(tries("a", 0.01, own=0.4))) == {}


def test_one_address_alone_tells_nothing_of_the_network():
    assert slow_pods(reaches(tries("a", 0.3, places=("db:5432",)))) == {}


def test_a_region_that_is_far_for_all_pods_alike_is_slow_and_named_as_such():
    assert set(slow_pods(reaches([*tries("a", 0.09), *tries("b", 0.08)]))) == {"a", "b"}


def test_an_address_that_is_not_reached_does_not_hide_that_the_others_are_slow():
    silent = Attempt("a", "payments:8080", 0.0, 1.0, "timed out")
    assert set(slow_pods(reaches([*tries("a", 0.3), silent]))) == {"a"}
