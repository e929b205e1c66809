"""Opening the official client with the identity that the service file names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import ConfigurationError, SourceUnreachable
from runbook_lib.importing import importing
from runbook_lib.service.models import KubernetesConnection

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["Login", "open_client"]

_CONNECTIONS = 32  # kept open at most: logs are read by many threads at once
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


@dataclass(frozen=True, slots=True)
class Login:
    """A client, and the name that its kubeconfig gives to the user (empty inside a cluster)."""

    client: ApiClient
    user: str


def open_client(connection: KubernetesConnection, *, context: str | None, impersonate: str | None) -> Login:
    """Read the kubeconfig (or the pod's own account) and make a client that does not retry on its own.

    Without a kubeconfig and a context, a pod uses its service account; everyone else their usual KUBECONFIG. A login helper that
    the kubeconfig names is run here. Raises SourceUnreachable when there is nothing to log in with.
    """
    # Late: this import takes half a second, and most commands never need a cluster.
    with importing("kubernetes"):
        from kubernetes import client

    configuration = client.Configuration()
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.retries = False  # every request is bounded in time and repeated only where that is safe: see KubernetesApi
    user = _configure(configuration, connection, context)
    opened = client.ApiClient(configuration)
    if impersonate:
        opened.default_headers["Impersonate-User"] = impersonate
    return Login(opened, user)


def _configure(configuration: Any, connection: KubernetesConnection, context: str | None) -> str:
    with importing("kubernetes"):
        from kubernetes import config as typed

    config: Any = typed  # its functions carry no types
    try:
        if connection.kubeconfig is None and context is None and os.environ.get(_IN_CLUSTER):
            config.load_incluster_config(client_configuration=configuration)
            return ""
        return _load(config, configuration, connection, context)
    except ConfigurationError as error:
        raise SourceUnreachable("kubernetes", str(error)) from error
    except (config.ConfigException, OSError, ValueError, TypeError, KeyError) as error:
        named = f" with context {context}" if context else ""
        reason = f"the kubeconfig {_described(connection)}{named} cannot be used: {error}"
        raise SourceUnreachable("kubernetes", reason) from error


def _load(config: Any, configuration: Any, connection: KubernetesConnection, context: str | None) -> str:
    with importing("kubernetes"):
        from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION

    value = connection.kubeconfig.resolve() if connection.kubeconfig is not None else KUBE_CONFIG_DEFAULT_LOCATION
    if "\n" in value:  # a CI variable often holds the file itself
        content = _parsed(value)
        config.load_kube_config_from_dict(content, context=context, client_configuration=configuration)
        return _user(content.get("contexts") or [], context or content.get("current-context"))
    path = os.path.expanduser(value)  # noqa: PTH111 - KUBECONFIG may be a list of paths
    if connection.kubeconfig is not None and not Path(path).is_file():
        raise SourceUnreachable(
            "kubernetes",
            f"the kubeconfig {path} does not exist; create it, or correct connections.kubernetes.kubeconfig "
            f"({connection.kubeconfig}) in the service file",
        )
    config.load_kube_config(path, context=context, client_configuration=configuration)
    contexts, current = config.list_kube_config_contexts(path)
    return _user(contexts, context or (current or {}).get("name"))


def _parsed(text: str) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        content = None
    if not isinstance(content, dict):
        # Not shown: what stands there may be a credential.
        raise ValueError("it is neither a path nor the text of a kubeconfig")
    return content


def _user(contexts: list[Any], name: str | None) -> str:
    return next((str((entry.get("context") or {}).get("user") or "") for entry in contexts if entry.get("name") == name), "")


def _described(connection: KubernetesConnection) -> str:
    return str(connection.kubeconfig) if connection.kubeconfig is not None else "of this account (KUBECONFIG)"
