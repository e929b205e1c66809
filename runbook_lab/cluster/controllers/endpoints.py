"""Which pods stand behind a service: EndpointSlices, and the older Endpoints that some clients still read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from runbook_lab.cluster.controllers import pods
from runbook_lab.cluster.controllers.loop import Controller
from runbook_lab.cluster.metadata import Key, Object, is_terminating, key_of, owner_reference
from runbook_lab.cluster.selectors import parse_labels
from runbook_lab.cluster.store import NotFound

_SERVICE_LABEL = "kubernetes.io/service-name"
_SLICE_MANAGER = "endpointslice-controller.k8s.io"
_ENDED = ("Succeeded", "Failed")


class EndpointsController(Controller):
    """Keeps one slice and one Endpoints object per service that selects pods; a pod is ready in them as its condition says."""

    plural: ClassVar[str] = "services"
    watched: ClassVar[tuple[str, ...]] = ("services", "pods")

    def concerned(self, plural: str, obj: Object) -> Iterable[Key]:
        """A pod concerns every service of its namespace: its labels may have been others before."""
        if plural == "services":
            yield key_of(obj)
        else:
            yield from (key_of(service) for service in self.store.list("services", namespace=obj["metadata"]["namespace"]))

    def reconcile(self, key: Key) -> float | None:
        """Write down the pods that a service selects now."""
        namespace, name = key
        try:
            service = self.store.get("services", name, namespace=namespace)
        except NotFound:
            return None
        selector = service["spec"].get("selector")
        if is_terminating(service) or not selector:
            return None
        matches = parse_labels(selector)
        behind = [
            pod
            for pod in self.store.list("pods", namespace=namespace)
            if matches(pod) and pod["status"].get("podIP") and pod["status"].get("phase") not in _ENDED
        ]
        self._write("endpointslices", _slice(service, behind, self._slice_name(service)), namespace)
        self._write("endpoints", _endpoints(service, behind), namespace)
        return None

    def _slice_name(self, service: Object) -> str:
        """Give the slice's generated name, which stays while the service lives."""
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        present = self.store.list("endpointslices", namespace=namespace, labels={_SERVICE_LABEL: name})
        return str(present[0]["metadata"]["name"]) if present else ""

    def _write(self, plural: str, obj: Object, namespace: str) -> None:
        try:
            present = self.store.get(plural, obj["metadata"].get("name", ""), namespace=namespace)
        except NotFound:
            self.store.create(plural, obj, namespace=namespace, manager="endpoint-controller")
            return
        present["metadata"].pop("resourceVersion")
        self.store.update(
            plural, {**present, **obj, "metadata": {**present["metadata"], **obj["metadata"]}}, manager="endpoint-controller"
        )


def _slice(service: Object, behind: Sequence[Object], name: str) -> Object:
    metadata: Object = {
        "namespace": service["metadata"]["namespace"],
        "labels": {
            **(service["metadata"].get("labels") or {}),
            _SERVICE_LABEL: service["metadata"]["name"],
            "endpointslice.kubernetes.io/managed-by": _SLICE_MANAGER,
        },
        "ownerReferences": [owner_reference(service)],
    }
    metadata |= {"name": name} if name else {"generateName": f"{service['metadata']['name']}-"}
    return {
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": [_slice_endpoint(pod) for pod in behind],
        "ports": _ports(service, behind),
    }


def _slice_endpoint(pod: Object) -> Object:
    ready, terminating = pods.is_ready(pod), is_terminating(pod)
    endpoint: Object = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready and not terminating, "serving": ready, "terminating": terminating},
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": _target(pod),
    }
    if pod["spec"].get("subdomain"):
        endpoint["hostname"] = pod["spec"]["hostname"]
    return endpoint


def _endpoints(service: Object, behind: Sequence[Object]) -> Object:
    serving = [pod for pod in behind if not is_terminating(pod)]
    addresses: dict[str, list[Object]] = {"addresses": [], "notReadyAddresses": []}
    for pod in serving:
        address = {"ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": _target(pod)}
        addresses["addresses" if pods.is_ready(pod) else "notReadyAddresses"].append(address)
    subset = {name: entries for name, entries in addresses.items() if entries}
    metadata = {"name": service["metadata"]["name"], "ownerReferences": [owner_reference(service)]}
    return {"metadata": metadata, "subsets": [subset | {"ports": _ports(service, serving)}] if subset else []}


def _target(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {"kind": "Pod", "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}


def _ports(service: Object, behind: Sequence[Object]) -> list[Object]:
    ports = []
    for port in service["spec"].get("ports") or ():
        number = target_port(port["targetPort"], behind[0]) if behind else None
        if number is not None:
            ports.append({"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")})
    return ports


def target_port(target: Any, pod: Object) -> int | None:
    """Resolve a service's targetPort, a number or the name of a container's port; None where the pod has no such port."""
    if isinstance(target, int):
        return target
    ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or ())
    return next((port["containerPort"] for port in ports if port.get("name") == target), None)
