"""What stands behind the service's name: endpoints against the pods that are ready, the selector against the pods' labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.pods import staying
from runbook_lib.errors import SourceMissingObject
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.selectors import selector_text, selects
from runbook_lib.models.window import format_instant
from runbook_lib.sources.interface import Cluster

_GONE: Mapping[str, Any] = {}  # the answer for a Service that does not exist


def endpoints(context: CheckContext) -> Finding:
    """Does the service's name lead to its ready pods? Its endpoints, and its selector against the labels of the pods."""
    name = context.service.components.application.kubernetes_service
    if name is None:
        return _unnamed(context)
    cluster = context.sources.cluster
    answers = ask(
        {
            "service": Question(cluster, lambda: _service(cluster, name)),
            "endpoints": Question(cluster, lambda: cluster.endpoints(name)),
            "pods": Question(cluster, lambda: cluster.pods(context.selector)),
        },
        deadline_seconds=context.deadline_seconds,
    )
    service, behind, pods = answers.get("service"), answers.get("endpoints"), staying(answers.get("pods"))
    missed = _missed(service, pods)
    signals = (
        _mismatch(context, name, answers, missed),
        _gone(context, name, answers),
        _port(context, name, answers),
        _empty(context, name, answers),
    )
    return Finding(
        name="endpoints",
        title="Endpoints",
        summary=_summary(name, service, behind, pods, missed, answers),
        status=_status(context, signals, answers),
        command=f"kubectl -n {context.namespace} get service {name} -o wide; "
        f"kubectl -n {context.namespace} get endpointslices -l kubernetes.io/service-name={name}; "
        f"kubectl -n {context.namespace} get pods -l {context.selector} --show-labels",
        tables=tuple(_tables(service, behind, pods)),
        signals=signals,
        sources=answers.sources,
    )


def _service(cluster: Cluster, name: str) -> Mapping[str, Any]:
    try:
        return cluster.service(name)
    except SourceMissingObject:
        return _GONE


def _unnamed(context: CheckContext) -> Finding:
    text = f"The service file of {context.service.name} names no Service (components.application.kubernetes_service)."
    names = ("service_selects_no_pod", "service_gone", "service_port_unknown", "no_endpoints")
    return Finding(
        name="endpoints",
        title="Endpoints",
        summary=text,
        status=FindingStatus.INFO,
        signals=tuple(Signal(name=name, presence=Presence.ABSENT, text=text.rstrip(".")) for name in names),
    )


def _missed(service: Mapping[str, Any] | None, pods: Frame | None) -> dict[str, str]:
    """The labels that the selector asks for and that no pod of the application has, with the values that the pods have instead.
    Empty: the selector fits, is not there, or nothing can be said."""
    if not service or not service["selector"] or pods is None or pods.empty:
        return {}
    if any(selects({"matchLabels": service["selector"]}, labels) for labels in pods["labels"]):
        return {}
    labels = list(pods["labels"])
    return {
        key: ", ".join(sorted({str(one.get(key)) for one in labels if key in one})) or "none"
        for key, value in service["selector"].items()
        if any(one.get(key) != value for one in labels)
    }


def _summary(
    name: str,
    service: Mapping[str, Any] | None,
    behind: Frame | None,
    pods: Frame | None,
    missed: Mapping[str, str],
    answers: Answers,
) -> str:
    if service is not None and not service:
        return f"There is no service {name}: its name leads nowhere."
    if service is None or behind is None:
        return f"The endpoints could not be read: {answers.why_missing('service') or answers.why_missing('endpoints')}."
    ready = behind["pod"][behind["ready"].astype(bool)].nunique()
    pods_ready = f"{int(pods['ready'].sum()) if len(pods) else 0} of {len(pods)} pods are ready" if pods is not None else ""
    if missed:
        asked = ", ".join(f"{key}={service['selector'][key]} (the pods have {has})" for key, has in missed.items())
        return f"Service {name} selects none of the pods: it asks for {asked}; {pods_ready}."
    changed = behind.attrs.get("changed_at")
    at = f", last changed at {format_instant(changed)}" if changed is not None else ""
    return f"Service {name} leads to {ready} ready endpoints{at}; {pods_ready or 'the pods could not be read'}."


def _status(context: CheckContext, signals: Sequence[Signal], answers: Answers) -> FindingStatus:
    present = [signal for signal in signals if signal.presence is Presence.PRESENT]
    pods = staying(answers.get("pods"))
    if any(signal.name != "service_port_unknown" for signal in present) or (present and not _may_work(context, answers, pods)):
        return FindingStatus.CRITICAL
    if any(signal.presence is Presence.UNKNOWN for signal in signals):
        return FindingStatus.UNKNOWN
    well = not present and (pods is None or bool(pods["ready"].all()))
    return FindingStatus.NORMAL if well else FindingStatus.WARNING


def _may_work(context: CheckContext, answers: Answers, pods: Frame | None) -> bool:
    """Whether the strange ports are numbers, which the pods may listen on all the same: they are ready, and nobody complains."""
    service, behind = answers.get("service"), answers.get("endpoints")
    unnamed = _strange_ports(service, pods, behind)[0] if service and pods is not None else ()
    return not unnamed and bool(_led_to(behind)) and context.onset is None


def _tables(service: Mapping[str, Any] | None, behind: Frame | None, pods: Frame | None) -> list[tuple[str, Frame]]:
    tables = []
    if service:
        rows = [(key, value, _having(pods, key)) for key, value in sorted(service["selector"].items())]
        tables.append(
            ("Selector against the labels of the pods", frame(rows, columns=["label", "selector asks for", "pods have"]))
        )
    if behind is not None and len(behind):
        tables.append(("Endpoints", behind))
    return tables


def _having(pods: Frame | None, key: str) -> str:
    if pods is None:
        return "not known"
    counts = pd.Series([str(labels.get(key, "(none)")) for labels in pods["labels"]], dtype="object").value_counts()
    return ", ".join(f"{value} ({count})" for value, count in counts.items()) or "no pods"


def _mismatch(context: CheckContext, name: str, answers: Answers, missed: Mapping[str, str]) -> Signal:
    signal = "service_selects_no_pod"
    service, pods = answers.get("service"), answers.get("pods")
    if service is None or pods is None or not context.live:
        return Signal(name=signal, presence=Presence.UNKNOWN, text=_not_known("whom the service selects", answers))
    if not service:
        text = f"there is no service {name}"
        return Signal(name=signal, presence=Presence.ABSENT, text=text)
    if not missed:
        text = f"the selector of service {name} ({selector_text({'matchLabels': service['selector']})}) fits the pods"
        return Signal(name=signal, presence=Presence.ABSENT, text=text)
    asked = ", ".join(f"{key}={service['selector'][key]}, the pods have {has}" for key, has in missed.items())
    text = f"service {name} selects no pod: it asks for {asked}"
    return Signal(name=signal, presence=Presence.PRESENT, text=text, since=_since(answers), subject=f"service/{name}")


def _gone(context: CheckContext, name: str, answers: Answers) -> Signal:
    """Whether the Service was deleted. That leaves no date, so that the symptom's stands for it: nobody comes by it since."""
    signal, service = "service_gone", answers.get("service")
    if service is None or not context.live:
        return Signal(name=signal, presence=Presence.UNKNOWN, text=_not_known("whether the service is there", answers))
    if service:
        return Signal(name=signal, presence=Presence.ABSENT, text=f"service {name} is there")
    text = f"there is no service {name}: its name leads nowhere"
    return Signal(name=signal, presence=Presence.PRESENT, text=text, since=context.onset, subject=f"service/{name}")


def _since(answers: Answers) -> datetime | None:
    """When the endpoints went; else when the selector was written, which may be older than that."""
    behind, service = answers.get("endpoints"), answers.get("service")
    changed: datetime | None = behind.attrs.get("changed_at") if behind is not None else None
    return changed or (service["updated_at"] if service else None)


def _port(context: CheckContext, name: str, answers: Answers) -> Signal:
    """A target port that the pods do not have. By name it leads nowhere at all, and has no endpoints. A number may be one that
    the pods listen on and do not declare: it is suspected only where the Service's ports were written in the window."""
    signal = "service_port_unknown"
    service, pods = answers.get("service"), staying(answers.get("pods"))
    if service is None or pods is None or not context.live:
        return Signal(name=signal, presence=Presence.UNKNOWN, text=_not_known("where the service leads to", answers))
    unnamed, undeclared = _strange_ports(service, pods, answers.get("endpoints"))
    if not (unnamed or undeclared):
        return Signal(name=signal, presence=Presence.ABSENT, text=f"the ports of service {name} are those of the pods")
    known = ", ".join(map(str, _known_ports(pods, named=bool(unnamed)))) or "none"
    text = f"service {name} leads to port {(unnamed or undeclared)[0]}, and the pods have no such port ({known})"
    since = _since(answers) if unnamed else service.get("ports_updated_at")
    if not unnamed and (since is None or since < context.window.start):
        presence = Presence.UNKNOWN if since is None else Presence.ABSENT
        when = "nobody noted when it was given" if since is None else "it had before the window"
        text = f"service {name} leads to port {undeclared[0]}, which the pods do not declare, and which {when}"
        return Signal(name=signal, presence=presence, text=text)
    return Signal(name=signal, presence=Presence.PRESENT, text=text, since=since, subject=f"service/{name}")


def _strange_ports(service: Mapping[str, Any], pods: Frame, behind: Frame | None) -> tuple[list[str], list[int]]:
    """The target ports that no pod has: those by name, unless there are endpoints that nothing else explains, and by number."""
    if pods.empty:
        return [], []
    declared = [port for ports in pods["ports"] for port in ports]
    names, numbers = _known_ports(pods, named=True), _known_ports(pods, named=False)
    asked = [port["target_port"] for port in service.get("ports", ())]
    unnamed = [port for port in asked if isinstance(port, str) and port not in names]
    explained = {port for port in asked if isinstance(port, int)}
    explained |= {int(port["containerPort"]) for port in declared if port.get("name") in asked}
    if unnamed and _led_to(behind) - explained:
        unnamed = []
    return unnamed, [port for port in asked if isinstance(port, int) and numbers and port not in numbers]


def _known_ports(pods: Frame, *, named: bool) -> list[Any]:
    declared = [port for ports in pods["ports"] for port in ports]
    key = "name" if named else "containerPort"
    return sorted({port[key] for port in declared if port.get(key)})


def _led_to(behind: Frame | None) -> set[int]:
    """The ports of the endpoints that are ready. Where a name leads nowhere, there are endpoints, and they have none."""
    return (
        set() if behind is None or behind.empty else {int(port) for port in behind["port"][behind["ready"].astype(bool)].dropna()}
    )


def _empty(context: CheckContext, name: str, answers: Answers) -> Signal:
    """No way in although pods are ready: nothing else than the service itself can be the reason."""
    signal = "no_endpoints"
    behind, pods = answers.get("endpoints"), staying(answers.get("pods"))
    if behind is None or pods is None or not context.live:
        return Signal(name=signal, presence=Presence.UNKNOWN, text=_not_known("how many endpoints there are", answers))
    ready, well = int(behind["ready"].sum()) if len(behind) else 0, int(pods["ready"].sum()) if len(pods) else 0
    text = f"{well} pods are ready, and service {name} leads to {ready} of them"
    if ready or not well:
        return Signal(name=signal, presence=Presence.ABSENT, text=text)
    return Signal(name=signal, presence=Presence.PRESENT, text=text, since=_since(answers), subject=f"service/{name}")


def _not_known(what: str, answers: Answers) -> str:
    names = ("service", "endpoints", "pods")
    why = next((text for name in names if (text := answers.why_missing(name))), "a past window is looked at")
    return f"{what} is not known: {why}"
