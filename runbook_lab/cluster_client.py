"""The lab's own hand in its cluster: objects as plain JSON, over the same API that kubectl uses.

The official client takes half a second to import, and is not needed: the kubeconfig is the lab's own and holds one kind of login.
"""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml

_SECONDS = 10.0
_PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{namespace}/statefulsets",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
}
Object = dict[str, Any]


class ClusterError(RuntimeError):
    """The cluster refused a request, or does not answer; `code` is the HTTP status, None without an answer."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class ClusterClient:
    """The operator's access to one namespace. Every method raises ClusterError; a request takes 10 s at most."""

    def __init__(self, kubeconfig: Path, *, namespace: str = "shop", context: str = "lab-operator") -> None:
        content = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster = content["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._server = cluster["server"]
        self._token = next(user["user"]["token"] for user in content["users"] if user["name"] == context)
        self._tls = ssl.create_default_context(cadata=authority)
        self._namespace = namespace

    def find(self, kind: str, name: str) -> Object | None:
        """Give an object, None when there is none of this name."""
        try:
            return self._ask("GET", self._path(kind, name))
        except ClusterError as error:
            if error.code == 404:
                return None
            raise

    def list(self, kind: str, **labels: str) -> list[Object]:
        """Give the objects of a kind that carry these labels."""
        selector = urllib.parse.urlencode({"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())})
        found: list[Object] = self._ask("GET", f"{self._path(kind)}?{selector}")["items"]
        return found

    def create(self, manifest: Object) -> Object:
        """Create an object."""
        return self._ask("POST", self._path(manifest["kind"]), manifest)

    def replace(self, manifest: Object, *, dry_run: bool = False) -> Object:
        """Replace an object, and give what the server made of it. A dry run stores nothing."""
        query = "?dryRun=All" if dry_run else ""
        return self._ask("PUT", self._path(manifest["kind"], manifest["metadata"]["name"]) + query, manifest)

    def patch(self, kind: str, name: str, patch: Object, *, manager: str) -> Object:
        """Apply a strategic merge patch, as `kubectl patch` and `kubectl set` do; `manager` is who is noted for it."""
        path = f"{self._path(kind, name)}?{urllib.parse.urlencode({'fieldManager': manager})}"
        return self._ask("PATCH", path, patch, content_type="application/strategic-merge-patch+json")

    def delete(self, kind: str, name: str) -> None:
        """Delete an object; none of this name is no error."""
        try:
            self._ask("DELETE", self._path(kind, name))
        except ClusterError as error:
            if error.code != 404:
                raise

    def _path(self, kind: str, name: str = "") -> str:
        return _PATHS[kind].format(namespace=self._namespace) + (f"/{name}" if name else "")

    def _ask(self, method: str, path: str, body: Object | None = None, *, content_type: str = "application/json") -> Object:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", "Content-Type": content_type}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._server + path, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS, context=self._tls) as response:
                answer: Object = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise ClusterError(f"{method} {path}: HTTP {error.code} {_message(text)}", error.code) from error
        except OSError as error:
            raise ClusterError(f"{method} {path}: {error}") from error


def _message(text: str) -> str:
    try:
        return str(json.loads(text).get("message", text))
    except (ValueError, AttributeError):
        return text[:200]
