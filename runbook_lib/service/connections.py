"""How the systems of a service are reached."""

from __future__ import annotations

import shlex
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from runbook_lib.errors import ConfigurationError
from runbook_lib.service.fields import Fields, FilePath, KubernetesName, Seconds
from runbook_lib.service.reference import PathReference, Reference, SecretReference
from runbook_lib.service.secret_names import names_secret

__all__ = [
    "Connections",
    "HttpConnection",
    "KubernetesConnection",
    "PostgresConnection",
    "PrometheusConnection",
    "RedisConnection",
    "Tls",
]


class Tls(Fields):
    """Certificates of an HTTPS or TLS connection. Paths may use `${NAME}` and `~`, and are relative to the service file."""

    ca_file: FilePath | None = None
    """Certificates that are trusted; None: the system's."""
    certificate_file: FilePath | None = None
    """Our own certificate, for mutual TLS."""
    key_file: FilePath | None = None
    """Its private key."""
    verify: bool = True
    """False trusts any server: for a first look only."""

    @model_validator(mode="after")
    def _a_certificate_has_its_key(self) -> Self:
        if self.key_file and not self.certificate_file:
            raise ValueError("must have certificate_file beside key_file")
        return self


class PrometheusConnection(Fields):
    """How Prometheus, or anything that speaks its API, is reached."""

    url: Reference
    external_url: str | None = None
    """Address for links in the report, when people reach Prometheus by another one."""
    bearer_token: SecretReference | None = None
    username: str | None = None
    password: SecretReference | None = None
    tls: Tls = Tls()
    timeout_seconds: Seconds = 8
    headers: dict[str, Reference] = Field(default_factory=dict)
    """Further headers, such as X-Scope-OrgID."""

    @model_validator(mode="after")
    def _one_identity_and_no_secret_header(self) -> Self:
        if self.bearer_token and (self.username or self.password):
            raise ValueError("must have either bearer_token or username and password; found both")
        if bool(self.username) != bool(self.password):
            raise ValueError("must have username and password together; found one of them")
        for header, value in self.headers.items():
            if value.is_literal and names_secret(header):
                raise ValueError(f"must give header {header} as a reference such as env:NAME; found a literal value")
        return self


class KubernetesConnection(Fields):
    """How the cluster is reached."""

    kubeconfig: PathReference | None = None
    """Path of a kubeconfig; None: the in-cluster account, else the usual KUBECONFIG."""
    context: str | None = None
    """Context of the kubeconfig; None: its current one."""
    namespace: KubernetesName
    timeout_seconds: Seconds = 8
    impersonate: str | None = None
    """User to act as, such as system:serviceaccount:shop:runbook-reader."""
    operator_context: str | None = None
    """Context used for actions only, when reading and changing have different identities."""


class PostgresConnection(Fields):
    """How the database is reached, best with a role that is a member of pg_monitor."""

    dsn: Reference
    """A DSN without a password, or a reference to one with it."""
    password: SecretReference | None = None
    operator_dsn: Reference | None = None
    """DSN used for actions only; None: the same as for reading. Its role is best a member of pg_signal_backend, to cancel
    statements and end sessions, and of the tables' owner, who alone may create an index; which is done on the server itself, not
    through a pooler."""
    operator_password: SecretReference | None = None
    statement_timeout_seconds: Seconds = 5
    connect_timeout_seconds: Seconds = 4
    tls: Tls | None = None


class RedisConnection(Fields):
    """How the cache is reached."""

    url: Reference
    username: str | None = None
    password: SecretReference | None = None
    timeout_seconds: Seconds = 3

    def command_line(self) -> str:
        """How a person begins a command for this Redis: its address, never a password (`REDISCLI_AUTH` or a prompt gives it).

        Without the address `redis-cli config set` goes to whatever Redis runs on the reader's own machine.
        """
        try:
            url = urlsplit(self.url.resolve())
            host, port, user = url.hostname, url.port or 6379, self.username or url.username
        except (ConfigurationError, ValueError):
            return "redis-cli"
        if url.scheme == "unix":
            return shlex.join(["redis-cli", "-s", url.path])
        number = url.path.strip("/")
        words = ["redis-cli", "-h", host or "localhost", "-p", str(port)]
        words += ["--tls"] if url.scheme == "rediss" else []
        words += ["-n", number] if number not in ("", "0") else []
        words += ["--user", user] if user else []
        return shlex.join([*words, *(["--askpass"] if self.password or url.password else [])])


class HttpConnection(Fields):
    """How health and admin endpoints are called."""

    timeout_seconds: Seconds = 5
    bearer_token: SecretReference | None = None
    tls: Tls = Tls()


class Connections(Fields):
    """The systems that are asked. One that is left out is reported as not configured."""

    prometheus: PrometheusConnection | None = None
    kubernetes: KubernetesConnection | None = None
    postgres: PostgresConnection | None = None
    redis: RedisConnection | None = None
    http: HttpConnection = HttpConnection()

    @property
    def redis_cli(self) -> str:
        """How a person begins a command for the cache."""
        return self.redis.command_line() if self.redis is not None else "redis-cli"
