"""The service files that ship: the lab's, and the example that explains every field."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from runbook_lib.service import Service, load_service
from runbook_lib.service.yaml_source import YamlSource

PARAMETERS = Path(__file__).parents[3] / "parameters"
EXAMPLE = PARAMETERS / "service.example.yaml"


def fields_of(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Every field below a model, as a dotted name; those of list items under the list's name."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        names.add(f"{prefix}{name}")
        for below in models_in(field.annotation):
            names |= fields_of(below, f"{prefix}{name}.")
    return names


def models_in(annotation) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def keys_of(value, prefix: str = "") -> set[str]:
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item, prefix)}
    if not isinstance(value, dict):
        return set()
    return {f"{prefix}{key}" for key in value} | {
        key for name, item in value.items() for key in keys_of(item, f"{prefix}{name}.")
    }


@pytest.mark.parametrize("name", ["service.example.yaml", "orders.lab.yaml"])
def test_the_files_that_ship_are_right(name):
    assert load_service(PARAMETERS / name).name == "orders"


def test_the_example_shows_every_field():
    shown = keys_of(yaml.safe_load(EXAMPLE.read_text())["service"])
    # One use of a shared model is enough, and a user's password excludes the token: a comment shows it.
    elsewhere = re.compile(
        r"thresholds\.(?!error_ratio)\w+\.below|connections\.(postgres|http)\.tls\.\w+|connections\.prometheus\.(username|password)"
    )
    assert {field for field in fields_of(Service) if not elsewhere.fullmatch(field)} - shown == set()
    assert "or: username: orders with password: env:PROMETHEUS_PASSWORD" in EXAMPLE.read_text()


def test_the_example_tells_defaults_truly():
    """A line that says `(this is the default)` has the model's own."""
    source, lines = YamlSource(EXAMPLE), EXAMPLE.read_text().splitlines()
    told = {number for number, line in enumerate(lines, 1) if "(this is the default)" in line}
    checked = set()

    def compare(model: type[BaseModel], values: dict, location: tuple) -> None:
        for name, field in model.model_fields.items():
            value, line = values.get(name), source.line_of((*location, name))
            items = [(value, (*location, name))] if isinstance(value, dict) else []
            if isinstance(value, list):
                items = [(item, (*location, name, index)) for index, item in enumerate(value) if isinstance(item, dict)]
            for below in models_in(field.annotation):
                for item, where in items:
                    compare(below, item, where)
            if line in told and name in values and not items:
                default = field.get_default()
                assert value == (list(default) if isinstance(default, tuple) else default), f"line {line}"
                checked.add(line)

    compare(Service, source.data["service"], ("service",))
    assert checked == told


def test_the_labs_connections_are_references_only():
    service = load_service(PARAMETERS / "orders.lab.yaml")
    connections = service.connections
    for reference in (connections.prometheus.url, connections.postgres.dsn, connections.postgres.password, connections.redis.url):
        assert not reference.is_literal
