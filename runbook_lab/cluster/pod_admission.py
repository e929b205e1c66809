"""What lets a pod in, or refuses it, before it is stored: the service account and the priority class that it names must exist."""

from runbook_lab.cluster.errors import Forbidden, NotFound
from runbook_lab.cluster.resources import BY_PLURAL
from runbook_lab.cluster.store import Object, Store

# Every cluster has these two; others are objects of a kind that is not served here.
_PRIORITY_CLASSES = ("system-cluster-critical", "system-node-critical")
# Each namespace gets one; a pod that comes before it waits for nothing here.
DEFAULT_ACCOUNT = "default"


def admit_pod(store: Store, pod: Object, *, namespace: str) -> None:
    """Raise Forbidden for a pod whose service account or priority class there is not."""
    spec, metadata = pod.get("spec") or {}, pod["metadata"]
    name = str(metadata.get("name") or metadata.get("generateName") or "")
    account, priority = spec.get("serviceAccountName") or DEFAULT_ACCOUNT, spec.get("priorityClassName")
    if account != DEFAULT_ACCOUNT:
        try:
            store.get("serviceaccounts", account, namespace=namespace)
        except NotFound as error:
            why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
            raise _forbidden(name, why) from error
    if priority and priority not in _PRIORITY_CLASSES:
        raise _forbidden(name, f"no PriorityClass with name {priority} was found")


def _forbidden(name: str, why: str) -> Forbidden:
    return Forbidden(f'pods "{name}" is forbidden: {why}', resource=BY_PLURAL["pods"], name=name)
