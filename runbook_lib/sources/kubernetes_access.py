"""Who the cluster takes us for, and what it lets us do."""

from __future__ import annotations

import base64
import binascii
import json
import re

from runbook_lib.errors import SourceAnswerInvalid, SourceMissingObject, SourceRefused
from runbook_lib.sources.kubernetes_api import Kind, KubernetesApi

__all__ = ["can", "identity"]

_ACCESS = Kind("selfsubjectaccessreviews", "authorization.k8s.io")
_SELF = tuple(Kind("selfsubjectreviews", "authentication.k8s.io", version) for version in ("v1", "v1beta1", "v1alpha1"))
_AS = re.compile(r" as (\S+);")


def can(api: KubernetesApi, verb: str, resource: str, *, group: str, name: str | None, subresource: str | None) -> bool:
    """Ask a SelfSubjectAccessReview, which every authenticated identity may."""
    attributes = {"namespace": api.namespace, "verb": verb, "group": group, "resource": resource}
    attributes |= {key: value for key, value in (("name", name), ("subresource", subresource)) if value}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    allowed = (api.create_review(_ACCESS, body).get("status") or {}).get("allowed")
    if not isinstance(allowed, bool):
        raise SourceAnswerInvalid("kubernetes", "answered an access review without saying whether it is allowed")
    return allowed


def identity(api: KubernetesApi) -> str:
    """The user name as the cluster knows it.

    Kubernetes says so itself from 1.26 on (SelfSubjectReview; on by default from 1.28). Before, a service account's token
    names it; else there is only the name that the kubeconfig gives its user, and the answer says that it comes from there.
    """
    for kind in _SELF:
        body = {"apiVersion": f"{kind.group}/{kind.version}", "kind": "SelfSubjectReview"}
        try:
            answer = api.create_review(kind, body)
        except SourceMissingObject:
            continue
        except SourceRefused as refused:
            # A refusal names whom it refuses; without a name the credentials themselves were not accepted.
            named = _AS.search(refused.reason)
            if named is None:
                raise
            return named[1]
        return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "unknown")
    return _impersonated(api) or _token_subject(api) or f"{api.login.user or 'unknown'} (user of the kubeconfig)"


def _impersonated(api: KubernetesApi) -> str:
    return str(api.client.default_headers.get("Impersonate-User") or "")


def _token_subject(api: KubernetesApi) -> str:
    """The subject of a JSON web token, unverified: the cluster has accepted it, and it is only shown."""
    token = str((api.client.configuration.auth_settings().get("BearerToken") or {}).get("value") or "")
    parts = token.split(".")
    if len(parts) != 3:
        return ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return ""
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return str(subject) if subject else ""
