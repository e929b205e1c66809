"""Who calls a service, and whom it calls."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from runbook_lib.service.fields import Fields, HostAndPort, Name, Ratio, Seconds, Selector, UrlPath, require_unique
from runbook_lib.service.reference import Reference, SecretReference

__all__ = ["CircuitBreaker", "Dependencies", "Downstream", "External", "Upstream"]


class CircuitBreaker(Fields):
    """The breaker in front of a dependency, and the admin endpoints that show and move it."""

    enabled: bool = True
    threshold_ratio: Ratio | None = None
    """Share of failing calls at which it opens."""
    name: str | None = None
    """Name of the breaker in the admin endpoints and metrics; the dependency's name unless given."""
    status_path: UrlPath | None = None
    """Path on the application's url, such as /admin/circuit-breaker-status."""
    open_path: UrlPath | None = None
    """POST path, such as /admin/circuit-breaker/open?name={name}; `{name}` is replaced."""
    close_path: UrlPath | None = None
    """POST path that undoes it."""
    per_pod: bool = True
    """The breaker's state lives in each pod, so that every pod must be told."""
    token: SecretReference | None = None
    """Bearer token of the admin endpoints."""


class Upstream(Fields):
    """A service that calls this one."""

    name: Name
    purpose: str = ""
    """What it calls for."""
    impact_if_down: str = ""
    """What its users notice while this service is down."""
    fallback: str = ""
    """What it does then."""
    selector: Selector | None = None
    """Label selector of its pods, when it runs in the namespace of this service; None: those of the Service of its name."""


class Downstream(Fields):
    """A service that this one calls."""

    name: Name
    purpose: str = ""
    """What it is called for."""
    timeout_seconds: Seconds | None = None
    """How long this service waits for an answer."""
    circuit_breaker: CircuitBreaker | None = None
    fallback: str = ""
    """What this service does while it is down."""
    health_url: Reference | None = None
    """Address that answers 2xx while it is well."""
    address: HostAndPort | None = None
    """Where a pod of this service connects to, such as `payments:8080`; None: what the settings of `setting_keys` say."""
    label: str | None = None
    """Its name in the label of the downstream metrics, when that is neither `name` nor a host that begins with it."""
    setting_keys: tuple[str, ...] = ()
    """Configuration keys that hold its address or timeout, such as PAYMENTS_URL."""


class External(Fields):
    """Something outside the company that this service needs."""

    name: Name
    provider: str = ""
    timeout_seconds: Seconds | None = None
    """How long this service waits for an answer."""
    fallback: str = ""
    """What happens while it is down."""
    address: HostAndPort | None = None
    """Where a pod of this service connects to, such as `api.cards.example.com:443`; None: it is not tried."""
    status_url: Reference | None = None
    """The provider's status page or health address."""


class Dependencies(Fields):
    """Who calls this service, and whom it calls."""

    upstream: tuple[Upstream, ...] = ()
    downstream: tuple[Downstream, ...] = ()
    external: tuple[External, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for what, group in (("upstream", self.upstream), ("downstream", self.downstream), ("external dependency", self.external)):
            require_unique([one.name for one in group], what)
        return self
