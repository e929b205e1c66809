"""Who may talk to the cluster: two identities with bearer tokens, the certificate, and the kubeconfig that holds both."""

import base64
import secrets
import ssl
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path

import yaml

from runbook_lab.cluster.certificates import ServingCertificate, issue_serving_certificate
from runbook_lab.cluster.errors import Unauthorized

READER, OPERATOR = "lab-reader", "lab-operator"
_AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True)
class Identity:
    """Who sends a request."""

    user: str
    groups: tuple[str, ...] = (_AUTHENTICATED,)


@dataclass(frozen=True)
class Access:
    """The cluster's tokens (by user) and its certificate; made anew for each cluster."""

    certificate: ServingCertificate
    tokens: dict[str, str] = field(repr=False)

    @classmethod
    def issue(cls, directory: Path) -> "Access":
        """Make a certificate below `directory`, and a random token for each of the two identities."""
        return cls(issue_serving_certificate(directory), {user: secrets.token_urlsafe(32) for user in (READER, OPERATOR)})

    def ssl_context(self) -> ssl.SSLContext:
        """Make the API server's TLS context."""
        return self.certificate.ssl_context()

    def identify(self, authorization: str | None) -> Identity:
        """Tell who a request's Authorization header speaks for; Unauthorized for nobody."""
        scheme, _, presented = (authorization or "").partition(" ")
        for user, token in self.tokens.items():
            if scheme.lower() == "bearer" and compare_digest(presented.strip().encode(), token.encode()):
                return Identity(user)
        raise Unauthorized("Unauthorized")

    def write_kubeconfig(self, path: Path, *, server: str, namespace: str, current: str = READER) -> None:
        """Write a kubeconfig (mode 0600) with a context for each identity; `server` is the API's URL."""
        cluster = {"server": server, "certificate-authority-data": base64.b64encode(self.certificate.authority).decode()}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "runbook-lab", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}} for user, token in self.tokens.items()],
            "contexts": [
                {"name": user, "context": {"cluster": "runbook-lab", "user": user, "namespace": namespace}}
                for user in self.tokens
            ],
            "current-context": current,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        # Nobody else may read it at any moment, also not between its creation and a later chmod.
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
