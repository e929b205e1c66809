"""Opening the sources of a service asks no system anything, and names what the service file lacks."""

from __future__ import annotations

from dataclasses import fields

import pytest

from runbook_lib.errors import SourceNotConfigured
from runbook_lib.sources.interface import Sources
from runbook_lib.sources.opening import open_sources
from runbook_lib.testing import service
from tests.unit.sources.http_server import Reply, answering


def bare(**sections):
    return service("orders", connections={}, **sections)


@pytest.mark.parametrize(
    ("source", "ask", "field"),
    [
        ("metrics", lambda sources: sources.metrics.instant("up"), "prometheus"),
        ("cluster", lambda sources: sources.cluster.pods("app=orders"), "kubernetes"),
        ("logs", lambda sources: sources.logs.read("app=orders", window=None), "kubernetes"),
        ("database", lambda sources: sources.database.connections(), "postgres"),
        ("cache", lambda sources: sources.cache.info(), "redis"),
    ],
)
def test_a_system_that_the_service_file_lacks_is_named_with_its_field(source, ask, field):
    sources = open_sources(bare())
    with pytest.raises(SourceNotConfigured, match=rf"the service file has no connections\.{field}$"):
        ask(sources)
    status = getattr(sources, source).probe()
    assert (status.status, status.error) == ("not_configured", f"the service file has no connections.{field}")
    sources.close()


def test_opening_needs_none_of_the_systems():
    sources = open_sources(service("orders"))  # all of its hosts end in .invalid
    assert {one.name for one in fields(Sources)} == {"metrics", "cluster", "logs", "database", "cache", "http"}
    sources.close()


def test_the_token_for_endpoints_goes_to_the_applications_own_host(monkeypatch):
    monkeypatch.setenv("TOKEN", "s3cret")
    with answering(Reply(b"{}")) as server:
        known = service("orders").components.application.model_dump(exclude_none=True) | {"url": server.url}
        connections = {"http": {"bearer_token": "env:TOKEN"}}
        open_sources(service("orders", components={"application": known}, connections=connections)).http.get(server.url)
        open_sources(service("orders", connections=connections)).http.get(server.url)
        assert [asked.headers.get("Authorization") for asked in server.asked] == ["Bearer s3cret", None]


def test_an_address_that_cannot_be_resolved_keeps_no_source_from_being_opened(monkeypatch):
    monkeypatch.delenv("NO_URL", raising=False)
    known = service("orders").components.application.model_dump(exclude_none=True) | {"url": "env:NO_URL"}
    open_sources(service("orders", components={"application": known})).close()
