"""The columns of configuration, network, nodes and events."""

from datetime import datetime

from runbook_lab.cluster.tables.columns import NAME, NONE, Column, Object, first, labels_text, selector_text
from runbook_lab.cluster.tables.duration import age


def _age(obj: Object, now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _keys(obj: Object, _: datetime) -> int:
    return len(obj.get("data") or {}) + len(obj.get("binaryData") or {})


def _ports(obj: Object, _: datetime) -> str:
    ports = obj["spec"].get("ports") or ()
    return ",".join(f"{p['port']}{':' + str(p['nodePort']) if p.get('nodePort') else ''}/{p['protocol']}" for p in ports) or NONE


def _endpoints(obj: Object, _: datetime) -> str:
    return first(
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or ()
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    )


def _slice_addresses(obj: Object, _: datetime) -> str:
    return first(address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ())


def _slice_ports(obj: Object, _: datetime) -> str:
    return first(str(port.get("port", "*")) for port in obj.get("ports") or ())


def _node_status(node: Object, _: datetime) -> str:
    ready = next((c for c in node.get("status", {}).get("conditions") or () if c["type"] == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready["status"] == "True" else "NotReady"]
    if node.get("spec", {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_roles(node: Object, _: datetime) -> str:
    prefix = "node-role.kubernetes.io/"
    roles = [key.removeprefix(prefix) for key in node["metadata"].get("labels") or {} if key.startswith(prefix)]
    return ",".join(sorted(roles)) or NONE


def _node_info(field: str) -> Column:
    header = {"kubeletVersion": "Version", "osImage": "OS-Image", "kernelVersion": "Kernel-Version"}.get(
        field, "Container-Runtime"
    )
    return Column(
        header, lambda node, _: node.get("status", {}).get("nodeInfo", {}).get(field) or "<unknown>", wide=header != "Version"
    )


def _node_address(kind: str) -> Column:
    def cell(node: Object, _: datetime) -> str:
        addresses = node.get("status", {}).get("addresses") or ()
        return next((str(entry["address"]) for entry in addresses if entry["type"] == kind), NONE)

    return Column("Internal-IP" if kind == "InternalIP" else "External-IP", cell, wide=True)


def _last_seen(event: Object, now: datetime) -> str:
    series = event.get("series") or {}
    first_seen = event.get("firstTimestamp") or event.get("eventTime")
    last = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    count = series.get("count") or event.get("count") or 1
    if count > 1 and first_seen:
        return f"{age(last, now)} (x{count} over {age(first_seen, now)})"
    return age(last, now)


def _object(event: Object, _: datetime) -> str:
    involved = event.get("involvedObject") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _source(event: Object, _: datetime) -> str:
    source = event.get("source") or {}
    return ", ".join(part for part in (source.get("component") or event.get("reportingComponent"), source.get("host")) if part)


def _role_of(obj: Object, _: datetime) -> str:
    return f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"


_AGE = Column("Age", _age)
_CREATED = Column("Created At", lambda obj, _: obj["metadata"].get("creationTimestamp"), "date")
DEFAULT = (NAME, _CREATED)

CONFIG_MAPS = (NAME, Column("Data", _keys, "integer"), _AGE)
SECRETS = (NAME, Column("Type", lambda obj, _: obj.get("type")), Column("Data", _keys, "integer"), _AGE)
SERVICE_ACCOUNTS = (NAME, Column("Secrets", lambda obj, _: len(obj.get("secrets") or ()), "integer"), _AGE)
NAMESPACES = (NAME, Column("Status", lambda obj, _: obj.get("status", {}).get("phase")), _AGE)
SERVICES = (
    NAME,
    Column("Type", lambda obj, _: obj["spec"].get("type")),
    Column("Cluster-IP", lambda obj, _: obj["spec"].get("clusterIP") or NONE),
    Column("External-IP", lambda obj, _: ",".join(obj["spec"].get("externalIPs") or ()) or NONE),
    Column("Port(s)", _ports),
    _AGE,
    Column("Selector", lambda obj, _: labels_text(obj["spec"].get("selector")), wide=True),
)
ENDPOINTS = (NAME, Column("Endpoints", _endpoints), _AGE)
ENDPOINT_SLICES = (
    NAME,
    Column("AddressType", lambda obj, _: obj.get("addressType")),
    Column("Ports", _slice_ports),
    Column("Endpoints", _slice_addresses),
    _AGE,
)
NODES = (
    NAME,
    Column("Status", _node_status),
    Column("Roles", _node_roles),
    _AGE,
    _node_info("kubeletVersion"),
    _node_address("InternalIP"),
    _node_address("ExternalIP"),
    _node_info("osImage"),
    _node_info("kernelVersion"),
    _node_info("containerRuntimeVersion"),
)
EVENTS = (
    Column("Last Seen", _last_seen),
    Column("Type", lambda obj, _: obj.get("type")),
    Column("Reason", lambda obj, _: obj.get("reason")),
    Column("Object", _object),
    Column("Subobject", lambda obj, _: (obj.get("involvedObject") or {}).get("fieldPath", ""), wide=True),
    Column("Source", _source, wide=True),
    Column("Message", lambda obj, _: str(obj.get("message", "")).strip()),
    Column("First Seen", lambda obj, now: age(obj.get("firstTimestamp") or obj.get("eventTime"), now), wide=True),
    Column("Count", lambda obj, _: obj.get("count", 1), "integer", wide=True),
    Column("Name", lambda obj, _: obj["metadata"]["name"], wide=True, format="name"),
)
NETWORK_POLICIES = (NAME, Column("Pod-Selector", lambda obj, _: selector_text(obj["spec"].get("podSelector"))), _AGE)
INGRESSES = (
    NAME,
    Column("Class", lambda obj, _: obj["spec"].get("ingressClassName") or NONE),
    Column("Hosts", lambda obj, _: first(rule.get("host", "*") for rule in obj["spec"].get("rules") or ())),
    Column("Address", lambda _obj, _now: ""),
    Column("Ports", lambda obj, _: "80, 443" if obj["spec"].get("tls") else "80"),
    _AGE,
)
LEASES = (NAME, Column("Holder", lambda obj, _: obj.get("spec", {}).get("holderIdentity", "")), _AGE)
ROLE_BINDINGS = (NAME, Column("Role", _role_of), _AGE)
