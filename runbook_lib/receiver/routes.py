"""Which alert starts which runbook: `parameters/alert_routes.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from runbook_lib.errors import ConfigurationError
from runbook_lib.service.yaml_source import YamlSource

__all__ = ["ROUTES_FILE", "Route", "Routes", "load_routes"]

ROUTES_FILE = "alert_routes.yaml"

_MATCHER = re.compile(r"\s*(?P<label>[A-Za-z_][A-Za-z0-9_]*)\s*(?P<operator>=~|!~|!=|=)\s*\"(?P<value>.*)\"\s*")


class Route(BaseModel):
    """Alerts whose labels fulfil every matcher start `notebook` for the service in the file `service`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    matchers: tuple[str, ...] = Field(min_length=1)
    """As in Alertmanager: `alertname="HighErrorRate"`, `severity=~"critical|page"`, != and !~. A regex matches whole values."""
    notebook: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Stem of the notebook, such as high_error_rate."""
    service: str = Field(pattern=r"^[^/]+\.ya?ml$")
    """Name of the service file, in the folder of the routes."""

    @field_validator("matchers")
    @classmethod
    def _matchers_can_be_read(cls, matchers: tuple[str, ...]) -> tuple[str, ...]:
        for matcher in matchers:
            parts = _MATCHER.fullmatch(matcher)
            if parts is None:
                raise ValueError(f'must be matchers such as alertname="HighErrorRate"; found {matcher}')
            if "~" in parts["operator"]:
                try:
                    re.compile(parts["value"])
                except re.error as error:
                    raise ValueError(f"must hold regular expressions; in {matcher}: {error}") from error
        return matchers

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels takes this route. A label that is missing counts as empty, as in Prometheus."""
        return all(_fulfils(matcher, labels) for matcher in self.matchers)


class Routes(BaseModel):
    """All routes, in order; the first that matches counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    routes: tuple[Route, ...]

    def route_for(self, labels: Mapping[str, str]) -> Route | None:
        """The first route that these labels take; None when there is none."""
        return next((route for route in self.routes if route.matches(labels)), None)


def _fulfils(matcher: str, labels: Mapping[str, str]) -> bool:
    parts = _MATCHER.fullmatch(matcher)
    if parts is None:  # the model has refused such a matcher
        return False
    actual = labels.get(parts["label"], "")
    equal = bool(re.fullmatch(parts["value"], actual)) if "~" in parts["operator"] else actual == parts["value"]
    return equal != parts["operator"].startswith("!")


def load_routes(folder: Path) -> Routes:
    """Read the routes of a folder of parameters.

    Raises ConfigurationError with a line for each thing that is wrong: also for a route whose service file does not exist.
    """
    source = YamlSource(folder / ROUTES_FILE)
    try:
        routes = Routes.model_validate(source.data)
    except ValidationError as error:
        problems = [
            source.message(source.line_of(details["loc"]), f"{_dotted(details['loc'])} {_said(details['msg'])}")
            for details in error.errors(include_url=False)
        ]
        raise ConfigurationError("\n".join(problems)) from None
    missing = [
        source.message(source.line_of(("routes", index, "service")), f"there is no service file {folder / route.service}")
        for index, route in enumerate(routes.routes)
        if not (folder / route.service).is_file()
    ]
    if missing:
        raise ConfigurationError("\n".join(missing))
    return routes


def _said(message: str) -> str:
    text = message.removeprefix("Value error, ")
    return text if text.startswith("must ") else f"is wrong: {text[:1].lower()}{text[1:]}"


def _dotted(location: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).lstrip(".") or "the file"
