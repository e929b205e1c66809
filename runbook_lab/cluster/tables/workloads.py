"""The columns of what makes pods, and of what scales and guards them."""

from datetime import datetime

from runbook_lab.cluster.tables.columns import NAME, NONE, Column, Object, first, selector_text
from runbook_lab.cluster.tables.duration import age


def _age(obj: Object, now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _count(obj: Object, field: str) -> int:
    return int(obj.get("status", {}).get(field) or 0)


def _ready_of_wanted(obj: Object, _: datetime) -> str:
    return f"{_count(obj, 'readyReplicas')}/{obj['spec'].get('replicas', 1)}"


def _containers(obj: Object) -> list[Object]:
    return list(obj["spec"]["template"]["spec"].get("containers") or ())


def _controller(obj: Object, _: datetime) -> str:
    owners = obj["metadata"].get("ownerReferences") or ()
    owner = next((one for one in owners if one.get("controller")), None)
    if not owner:
        return NONE
    group = owner["apiVersion"].partition("/")[0] if "/" in owner["apiVersion"] else ""
    return f"{owner['kind'].lower()}{'.' + group if group else ''}/{owner['name']}"


def _targets(obj: Object, _: datetime) -> str:
    current = {entry.get("resource", {}).get("name"): entry for entry in obj.get("status", {}).get("currentMetrics") or ()}
    parts = []
    for metric in obj["spec"].get("metrics") or ():
        source = metric.get(metric["type"][:1].lower() + metric["type"][1:]) or {}
        seen = current.get(source.get("name"), {}).get("resource", {}).get("current", {})
        text = f"{_amount(seen)}/{_amount(source.get('target') or {})}"
        parts.append(f"{source['name']}: {text}" if "name" in source else text)
    return first(parts, 2)


def _amount(side: Object) -> str:
    """Write what a metric is, or should be: a share where there is one, else an amount."""
    if (share := side.get("averageUtilization")) is not None:
        return f"{share}%"
    return str(side.get("averageValue") or side.get("value") or "<unknown>")


def _reference(obj: Object, _: datetime) -> str:
    target = obj["spec"].get("scaleTargetRef") or {}
    return f"{target.get('kind')}/{target.get('name')}"


_NAMES = Column("Containers", lambda obj, _: ",".join(c["name"] for c in _containers(obj)), wide=True)
_IMAGES = Column("Images", lambda obj, _: ",".join(c.get("image", "") for c in _containers(obj)), wide=True)
_SELECTOR = Column("Selector", lambda obj, _: selector_text(obj["spec"].get("selector")), wide=True)
_AGE = Column("Age", _age)

SCALES = (
    NAME,
    Column("Desired", lambda obj, _: obj["spec"].get("replicas", 0), "integer"),
    Column("Available", lambda obj, _: _count(obj, "replicas"), "integer"),
    _AGE,
)
DEPLOYMENTS = (
    NAME,
    Column("Ready", _ready_of_wanted),
    Column("Up-to-date", lambda obj, _: _count(obj, "updatedReplicas"), "integer"),
    Column("Available", lambda obj, _: _count(obj, "availableReplicas"), "integer"),
    _AGE,
    _NAMES,
    _IMAGES,
    _SELECTOR,
)
REPLICASETS = (
    NAME,
    Column("Desired", lambda obj, _: obj["spec"].get("replicas", 1), "integer"),
    Column("Current", lambda obj, _: _count(obj, "replicas"), "integer"),
    Column("Ready", lambda obj, _: _count(obj, "readyReplicas"), "integer"),
    _AGE,
    _NAMES,
    _IMAGES,
    _SELECTOR,
)
STATEFULSETS = (NAME, Column("Ready", _ready_of_wanted), _AGE, _NAMES, _IMAGES)
CONTROLLER_REVISIONS = (
    NAME,
    Column("Controller", _controller),
    Column("Revision", lambda obj, _: obj.get("revision", 0), "integer"),
    _AGE,
)
AUTOSCALERS = (
    NAME,
    Column("Reference", _reference),
    Column("Targets", _targets),
    Column("MinPods", lambda obj, _: obj["spec"].get("minReplicas") or "<unset>"),
    Column("MaxPods", lambda obj, _: obj["spec"].get("maxReplicas"), "integer"),
    Column("Replicas", lambda obj, _: _count(obj, "currentReplicas"), "integer"),
    _AGE,
)
DISRUPTION_BUDGETS = (
    NAME,
    Column("Min Available", lambda obj, _: str(obj["spec"].get("minAvailable", "N/A"))),
    Column("Max Unavailable", lambda obj, _: str(obj["spec"].get("maxUnavailable", "N/A"))),
    Column("Allowed Disruptions", lambda obj, _: _count(obj, "disruptionsAllowed"), "integer"),
    _AGE,
)
