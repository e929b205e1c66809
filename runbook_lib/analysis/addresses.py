"""Where a service's pods connect to: what its file says, else the URLs among its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from runbook_lib.service.models import Downstream, Service

__all__ = ["CACHE", "Address", "address_of_cache", "address_of_database", "address_of_downstream", "addresses"]

CACHE = "cache"  # its name among them

# The schemes by which each kind of server is known in the URLs of settings, and its usual port. A JDBC URL has one more in front.
_DATABASE = {"postgresql": 5432, "postgres": 5432}
_CACHE = {"redis": 6379, "rediss": 6379}
_QUEUE = {"amqp": 5672, "amqps": 5671}
_HTTP = {"http": 80, "https": 443, "grpc": 80}


@dataclass(frozen=True, slots=True)
class Address:
    """What a pod connects to: `name` as people call it, and `place` as `host:port`."""

    name: str
    place: str

    @property
    def host(self) -> str:
        """The host alone."""
        return self.place.rpartition(":")[0]

    @property
    def port(self) -> int:
        """The port alone."""
        return int(self.place.rpartition(":")[2])


def addresses(service: Service, settings: Mapping[str, str]) -> tuple[Address, ...]:
    """Database, cache, queue, downstream and external services, each once; those whose address nobody says are left out."""
    components, dependencies = service.components, service.dependencies
    found = [address_of_database(service, settings), address_of_cache(service, settings)]
    if components.queue is not None:
        found.append(_address("queue", components.queue.address or _among(settings, _QUEUE)))
    found += [address_of_downstream(called, settings) for called in dependencies.downstream]
    found += [_address(outside.name, outside.address) for outside in dependencies.external]
    places = {address.place: address for address in reversed(found) if address is not None}
    return tuple(reversed(places.values()))


def address_of_database(service: Service, settings: Mapping[str, str]) -> Address | None:
    """Where its pods connect to for their database; None when there is none, or nobody says.

    The DSN of the service file does not: it is how we connect, and often past the PgBouncer that the pods go through.
    """
    database = service.components.database
    if database is None:
        return None
    return _address(f"database {database.name}", database.address or _among(settings, _DATABASE))


def address_of_cache(service: Service, settings: Mapping[str, str]) -> Address | None:
    """Where its pods connect to for their cache; None when there is none, or nobody says."""
    cache = service.components.cache
    return _address(CACHE, cache.address or _among(settings, _CACHE)) if cache is not None else None


def address_of_downstream(called: Downstream, settings: Mapping[str, str]) -> Address | None:
    """Where its pods connect to for a service that it calls; None when nobody says."""
    own = {key: settings[key] for key in called.setting_keys if key in settings}
    return _address(called.name, called.address or _among(own, _HTTP))


def _address(name: str, place: str | None) -> Address | None:
    return Address(name, place) if place is not None else None


def _among(settings: Mapping[str, str], schemes: Mapping[str, int]) -> str | None:
    """The first setting that is a URL with one of the schemes, as host and port."""
    return next((place for value in settings.values() for place in _places(value, schemes)), None)


def _places(value: str, schemes: Mapping[str, int]) -> Iterator[str]:
    try:
        url = urlsplit(value.strip().removeprefix("jdbc:"))
        host, port = url.hostname, url.port
    except ValueError:  # such as a port that a template left open
        return
    if url.scheme in schemes and host:
        yield f"[{host}]:{port or schemes[url.scheme]}" if ":" in host else f"{host}:{port or schemes[url.scheme]}"
