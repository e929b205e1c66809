"""What the API fills in where a manifest is silent: the same values as Kubernetes, so that `describe` and diffs read alike."""

import base64
from typing import Any

Object = dict[str, Any]


def apply_defaults(plural: str, obj: Object) -> None:
    """Fill in the defaults of an object, in place."""
    fill = _BY_PLURAL.get(plural)
    if fill:
        fill(obj)


def _fill(target: Object, **defaults: Any) -> None:
    for key, value in defaults.items():
        if target.get(key) is None:
            target[key] = value


def pod_spec(spec: Object) -> None:
    """Fill in a pod's spec, also inside the template of a workload."""
    _fill(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        securityContext={},
    )
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            _container(container)


def _container(container: Object) -> None:
    image = container.get("image") or ""
    floating = ":" not in image.rpartition("/")[2] or image.endswith(":latest")
    _fill(
        container,
        imagePullPolicy="Always" if floating else "IfNotPresent",
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
    )
    for port in container.get("ports") or ():
        _fill(port, protocol="TCP")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe):
            _fill(container[probe], timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            if container[probe].get("httpGet"):
                _fill(container[probe]["httpGet"], path="/", scheme="HTTP")
    for entry in container.get("env") or ():
        field = (entry.get("valueFrom") or {}).get("fieldRef")
        if field:
            _fill(field, apiVersion="v1")


def _requests(container: Object) -> None:
    """Take a limit without a request for the request too: of a pod only, so that a template's limit can be lowered by itself."""
    resources = container["resources"]
    for name, amount in (resources.get("limits") or {}).items():
        resources.setdefault("requests", {}).setdefault(name, amount)


def _pod(obj: Object) -> None:
    pod_spec(obj.setdefault("spec", {}))
    for container in (obj["spec"].get("initContainers") or []) + (obj["spec"].get("containers") or []):
        _requests(container)
    _fill(obj["spec"], serviceAccountName="default", enableServiceLinks=True)
    _fill(obj.setdefault("status", {}), phase="Pending", qosClass=qos_class(obj["spec"]))


def _template(spec: Object) -> None:
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
    pod_spec(template.setdefault("spec", {}))


def _deployment(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
    _fill(spec["strategy"], type="RollingUpdate")
    if spec["strategy"]["type"] == "RollingUpdate":
        _fill(spec["strategy"], rollingUpdate={})
        _fill(spec["strategy"]["rollingUpdate"], maxSurge="25%", maxUnavailable="25%")
    _template(spec)


def _replicaset(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _fill(spec, replicas=1)
    _template(spec)
    _fill(obj.setdefault("status", {}), replicas=0)


def _statefulset(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _fill(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady", serviceName="")
    _fill(spec, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    _template(spec)


def _service(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _fill(spec, type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster", ipFamilyPolicy="SingleStack")
    _fill(spec, ipFamilies=["IPv4"])
    for port in spec.get("ports") or ():
        _fill(port, protocol="TCP")
        _fill(port, targetPort=port.get("port"))


def _secret(obj: Object) -> None:
    _fill(obj, type="Opaque")
    # Only for writing: what comes as text is kept, and given back, as data.
    for key, text in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()


def _namespace(obj: Object) -> None:
    obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
    _fill(obj.setdefault("spec", {}), finalizers=["kubernetes"])
    _fill(obj.setdefault("status", {}), phase="Active")


def _event(obj: Object) -> None:
    _fill(obj, type="Normal", source={}, reportingComponent="", reportingInstance="")


def _autoscaler(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _fill(spec, minReplicas=1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    _fill(obj.setdefault("status", {}), currentReplicas=0, desiredReplicas=0)


_BY_PLURAL = {
    "pods": _pod,
    "deployments": _deployment,
    "replicasets": _replicaset,
    "statefulsets": _statefulset,
    "services": _service,
    "secrets": _secret,
    "namespaces": _namespace,
    "events": _event,
    "horizontalpodautoscalers": _autoscaler,
}


def qos_class(spec: Object) -> str:
    """Tell a pod's quality of service from the requests and limits of its containers."""
    containers = spec.get("containers") or []
    resources = [container.get("resources") or {} for container in containers]
    if not any(r.get("requests") or r.get("limits") for r in resources):
        return "BestEffort"
    guaranteed = all(
        set(r.get("limits") or {}) >= {"cpu", "memory"} and (r.get("requests") or r["limits"]) == r["limits"] for r in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"
