"""The nodes that carry the service's pods: are they ready, short of anything, or busy; and is there room for more pods?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.analysis.episodes import Episode, latest_episode
from runbook_lib.analysis.series import largest, long, split
from runbook_lib.checks.asking import Answers, Question, as_far_as_answered, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.figure import LineFigure, Threshold
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.window import format_instant

_UNSCHEDULED = "pending: Unschedulable"


@dataclass(frozen=True, slots=True)
class _Node:
    """One node: the service's pods on it, what is wrong with it (since when), its use now (ratios), its episode without CPU."""

    name: str
    pods: tuple[str, ...]
    troubles: tuple[str, ...]
    since: datetime | None
    cpu: float | None
    memory: float | None
    busy: Episode | None


def node_pressure(context: CheckContext) -> Finding:
    """Conditions of the nodes that carry the service's pods, their use of CPU and memory, and pods that find no node."""
    cluster = context.sources.cluster
    answers = ask(
        {
            "pods": Question(cluster, lambda: cluster.pods(context.selector)),
            "nodes": Question(cluster, lambda: cluster.nodes()),
            "busy": over_time(context, "node_cpu_ratio"),
        },
        deadline_seconds=context.deadline_seconds,
    )
    busy = split(answers.get("busy"), "node") if answers.get("busy") is not None else {}
    nodes = _nodes(context, answers, busy)
    waiting = _waiting(answers.get("pods"))
    summary = _summary(context, nodes, waiting, answers)
    return Finding(
        name="node_pressure",
        title="Nodes",
        summary=summary,
        status=_status(context, nodes, waiting),
        command="kubectl describe nodes; kubectl top nodes",
        tables=(("Nodes with pods of the service", _table(nodes)),) if nodes else (),
        figure=_figure(context, {name: busy[name] for name in busy if name in {node.name for node in nodes}}, summary),
        notes=(*_notes(nodes, answers), *answers.warnings),
        signals=(
            _troubled(nodes, answers),
            as_far_as_answered(_short(context, nodes, answers), answers, "busy"),
            _homeless(waiting, answers),
        ),
        sources=answers.sources,
    )


def _nodes(context: CheckContext, answers: Answers, busy: Mapping[str, pd.Series]) -> list[_Node]:
    """Those that carry pods; without permission to see nodes what Prometheus knows of them."""
    pods: Frame | None = answers.get("pods")
    if pods is None:
        return []
    carried: dict[str, list[str]] = {}
    for pod, name in zip(pods["pod"], pods["node"], strict=True):
        if name:
            carried.setdefault(str(name), []).append(str(pod))
    known = answers.get("nodes")
    rows: dict[str, Mapping[Any, Any]] = (
        {} if known is None or known.empty else {str(row["node"]): row for row in known.to_dict("records")}
    )
    return [_node(context, name, carried[name], rows.get(name, {}), busy.get(name)) for name in sorted(carried)]


def _node(context: CheckContext, name: str, pods: Sequence[str], row: Mapping[Any, Any], series: pd.Series | None) -> _Node:
    episode = _episode(context, series)
    now = float(series.iloc[-1]) if series is not None and len(series) else None
    since = row.get("since")
    return _Node(
        name=name,
        pods=tuple(pods),
        troubles=tuple(row.get("troubles") or ()),
        since=pd.Timestamp(since).to_pydatetime() if since is not None and not pd.isna(since) else None,
        cpu=now if now is not None else _share(row, "cpu_cores", "cpu_allocatable_cores"),
        memory=_share(row, "memory_bytes", "memory_allocatable_bytes"),
        busy=episode,
    )


def _share(row: Mapping[Any, Any], used: str, whole: str) -> float | None:
    part, total = row.get(used), row.get(whole)
    return None if part is None or not total or pd.isna(part) or pd.isna(total) else float(part) / float(total)


def _episode(context: CheckContext, series: pd.Series | None) -> Episode | None:
    if series is None or series.empty:
        return None
    episode = latest_episode(series, threshold=context.service.thresholds.cpu_ratio.critical, gap=context.gap)
    return episode if episode is not None and context.concerns(episode) else None


def _waiting(pods: Frame | None) -> dict[str, str]:
    """Pods that no node takes, and why."""
    if pods is None or pods.empty:
        return {}
    found = pods[pods["state"] == _UNSCHEDULED]
    return {str(pod): str(why) for pod, why in zip(found["pod"], found["message"], strict=True)}


def _summary(context: CheckContext, nodes: list[_Node], waiting: Mapping[str, str], answers: Answers) -> str:
    told = []
    for node in nodes:
        if node.troubles:
            told.append(f"{node.name} is in trouble ({', '.join(node.troubles)}) with {len(node.pods)} pods of the service on it")
        if _is_short(context, node):
            told.append(f"{node.name} uses {node.cpu:.0%} of its CPU")
    if waiting:
        pod, why = next(iter(waiting.items()))
        told.append(f"{len(waiting)} pods find no node: {pod} ({why})")
    if told:
        return "; ".join(told) + "."
    if not nodes:
        return f"The nodes are not known: {answers.why_missing('pods') or 'no pod is on a node'}."
    if answers.get("nodes") is None:
        return f"The nodes could not be looked at: {answers.why_missing('nodes')}."
    fullest = max(nodes, key=lambda node: node.cpu or 0.0)
    use = f"; {fullest.name} uses {fullest.cpu:.0%} of its CPU" if fullest.cpu is not None else ""
    well = f"All {len(nodes)} nodes with pods of the service are" if len(nodes) > 1 else "The node of all pods of the service is"
    return f"{well} well{use}."


def _is_short(context: CheckContext, node: _Node) -> bool:
    return node.busy is not None or (node.cpu is not None and node.cpu > context.service.thresholds.cpu_ratio.critical)


def _status(context: CheckContext, nodes: list[_Node], waiting: Mapping[str, str]) -> FindingStatus:
    if any(node.troubles or _is_short(context, node) for node in nodes):
        return FindingStatus.CRITICAL
    if waiting:
        return FindingStatus.WARNING
    known = [node for node in nodes if node.cpu is not None]
    return FindingStatus.NORMAL if known else FindingStatus.UNKNOWN


def _table(nodes: list[_Node]) -> Frame:
    return frame(
        [
            {
                "node": node.name,
                "pods of the service": len(node.pods),
                "in trouble": ", ".join(node.troubles),
                "since": node.since,
                "share of CPU in use": node.cpu,
                "share of memory in use": node.memory,
            }
            for node in nodes
        ]
    )


def _figure(context: CheckContext, busy: Mapping[str, pd.Series], summary: str) -> LineFigure | None:
    if not busy:
        return None
    limit = Threshold(context.service.thresholds.cpu_ratio.critical, "critical", "critical")
    data = long(largest(dict(busy), 8), unit="ratio")
    return LineFigure(title=summary.partition(";")[0], unit="ratio", frame=data, thresholds=(limit,))


def _notes(nodes: list[_Node], answers: Answers) -> tuple[str, ...]:
    notes = []
    if reason := answers.why_missing("nodes"):
        notes.append(f"Conditions and room of the nodes are not known: {reason}.")
    elif nodes and all(node.cpu is None for node in nodes):
        notes.append("How busy the nodes are is not known: neither metrics-server nor node_exporter tells.")
    return tuple(notes)


def _troubled(nodes: list[_Node], answers: Answers) -> Signal:
    name = "node_troubled"
    if not nodes or answers.get("nodes") is None:
        reason = answers.why_missing("nodes") or answers.why_missing("pods") or "no pod is on a node"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"the nodes' conditions are not known: {reason}")
    some = [node for node in nodes if node.troubles]
    if not some:
        return Signal(name=name, presence=Presence.ABSENT, text="no node with pods of the service is in trouble")
    since = min((node.since for node in some if node.since), default=None)
    text = "; ".join(f"{node.name}: {', '.join(node.troubles)}" for node in some)
    text += f" since {format_instant(since)}" if since else ""
    pods = tuple(pod for node in some for pod in node.pods)
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, subject=f"node/{some[0].name}", pods=pods)


def _short(context: CheckContext, nodes: list[_Node], answers: Answers) -> Signal:
    """Nodes without CPU to give; without a history of it, the present alone dates nothing."""
    name = "node_cpu_short"
    some = [node for node in nodes if _is_short(context, node)]
    if some:
        since = min((node.busy.onset for node in some if node.busy), default=None)
        text = "; ".join(f"{node.name} uses {node.cpu:.0%} of its CPU" for node in some)
        text += f" since {format_instant(since)}" if since else " now; since when is not known without node_exporter"
        pods = tuple(pod for node in some for pod in node.pods)
        return Signal(name=name, presence=Presence.PRESENT, text=text, since=since, subject=f"node/{some[0].name}", pods=pods)
    if not any(node.cpu is not None for node in nodes):
        reason = answers.why_missing("nodes") or answers.why_missing("busy") or answers.why_missing("pods")
        reason = reason or "neither metrics-server nor node_exporter tells"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"how busy the nodes are is not known: {reason}")
    return Signal(name=name, presence=Presence.ABSENT, text="the nodes with pods of the service have CPU to give")


def _homeless(waiting: Mapping[str, str], answers: Answers) -> Signal:
    name = "pods_find_no_node"
    if answers.get("pods") is None:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"pods are not known: {answers.why_missing('pods')}")
    if not waiting:
        return Signal(name=name, presence=Presence.ABSENT, text="no pod waits for a node")
    pod, why = next(iter(waiting.items()))
    return Signal(name=name, presence=Presence.PRESENT, text=f"{len(waiting)} pods find no node: {pod} ({why})")
