"""Do the service's pods reach what they need, and how long does connecting take them? Tried from inside of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import pandas as pd

from runbook_lib.analysis.addresses import CACHE, Address, addresses
from runbook_lib.analysis.connecting import Reach, reaches, slow_pods
from runbook_lib.analysis.episodes import latest_episode
from runbook_lib.analysis.pod_troubles import serving
from runbook_lib.analysis.series import split
from runbook_lib.checks.asking import Answers, Question, as_far_as_answered, ask
from runbook_lib.checks.connecting import attempts_of, by_hand, settings
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.measures import over_time
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal, SourceStatus
from runbook_lib.models.frame import Frame, frame
from runbook_lib.models.units import written
from runbook_lib.models.window import format_instant

_SAMPLED = 6  # pods: enough to tell one from the others, few enough for a service with hundreds
# Of all segments: below this TCP makes up for losses without anybody noticing.
_LOSSES, _TIMES_AS_MANY, _USUAL = 0.01, 3.0, 0.1
_SHARE_FOR_LISTS = 0.5  # of the deadline: the pods and the settings must be known before anything can be tried

_SHARE_FOR_TRIES = 0.8  # of what is left then: whatever came of the tries must be read, too


def connectivity(context: CheckContext) -> Finding:
    """Can the pods connect to the database, the cache and what they call, how long does that take, and from which pods?"""
    began = time.monotonic()
    known = ask(_lists(context), deadline_seconds=_SHARE_FOR_LISTS * context.deadline_seconds)
    wanted = addresses(context.service, known.get("settings") or {})
    pods = _sample(known.get("pods"))
    left = context.deadline_seconds - (time.monotonic() - began)
    tried = ask({**_measures(context), **_tries(context, pods, wanted, left)}, deadline_seconds=left)
    found = reaches(one for pod in pods for one in tried.get(pod) or ())
    slow = slow_pods(found)
    why = _why_not(context, known, tried, pods, wanted)
    return Finding(
        name="connectivity",
        title="Connections from inside the pods",
        summary=_summary(context, found, slow, wanted, why),
        status=_status(found, slow),
        command=by_hand(context.namespace, pods[0], wanted[0]) if pods and wanted else "",
        tables=(("Connections from inside the pods", _table(found, wanted)),) if found else (),
        notes=(*_notes(known, tried, pods), *tried.warnings),
        signals=(
            *_slow(found, slow, why),
            _late(context, tried, found, slow, why),
            _failing(found, wanted, why),
            _cache_failing(found, wanted, why),
            as_far_as_answered(_retransmits(context, tried), tried, "retransmits"),
        ),
        sources=_sources(known, tried, pods),
    )


def _lists(context: CheckContext) -> dict[str, Question]:
    cluster = context.sources.cluster
    questions = {"pods": Question(cluster, lambda: cluster.pods(context.selector))}
    if context.service.components.application.config_map is not None:
        questions["settings"] = Question(cluster, lambda: settings(context))
    return questions


def _measures(context: CheckContext) -> dict[str, Question]:
    """What is measured all the time. Asked beside the tries, which do not need it: of many pods it takes its time, too."""
    return {
        "latency": over_time(context, "latency_by_pod", steps="coarse", quantile="0.95"),
        "retransmits": over_time(context, "tcp_retransmit_ratio"),
    }


def _sample(pods: Frame | None) -> list[str]:
    """Pods that run, and are no job's, some from the whole length of the list where there are many."""
    there = serving(pods) if pods is not None else None
    if there is None or there.empty:
        return []
    running = sorted(str(name) for name in there["pod"][there["state"].str.startswith("running")])
    step = max(1.0, len(running) / _SAMPLED)
    return [running[int(place * step)] for place in range(min(_SAMPLED, len(running)))]


def _tries(context: CheckContext, pods: Sequence[str], wanted: Sequence[Address], seconds: float) -> dict[str, Question]:
    if not context.live or not wanted:
        return {}
    cluster, container = context.sources.cluster, context.service.components.application.container
    places = [address.place for address in wanted]
    tries = partial(attempts_of, cluster, container=container, places=places, seconds=_SHARE_FOR_TRIES * seconds)
    return {pod: Question(cluster, partial(tries, pod)) for pod in pods}


def _why_not(context: CheckContext, known: Answers, tried: Answers, pods: Sequence[str], wanted: Sequence[Address]) -> str:
    """Why nothing was tried, in words."""
    if not context.live:
        return "a past window is looked at"
    if not pods:
        return known.why_missing("pods") or "no pod of the service runs"
    if not wanted:
        return known.why_missing("settings") or "neither the service file nor the config map names an address"
    return next((tried.why_missing(pod) for pod in pods if tried.why_missing(pod)), "nothing answered")


def _unreached(found: Sequence[Reach]) -> dict[str, list[Reach]]:
    """The addresses that none of the pods reached, with what each pod said."""
    by_place: dict[str, list[Reach]] = {}
    for one in found:
        by_place.setdefault(one.place, []).append(one)
    return {place: ones for place, ones in by_place.items() if not any(one.reached for one in ones)}


def _summary(
    context: CheckContext, found: Sequence[Reach], slow: Mapping[str, float], wanted: Sequence[Address], why: str
) -> str:
    if not found:
        return f"Whether the pods of {context.service.name} reach what they need could not be tried: {why}."
    names = {address.place: address.name for address in wanted}
    pods = len({one.pod for one in found})
    if unreached := _unreached(found):
        told = ", ".join(f"{names[place]} at {place} ({ones[0].problem})" for place, ones in unreached.items())
        return f"No connection from {pods} pods of {context.service.name} to {told}."
    if slow:
        return f"{_told(found, slow)}."
    longest = max((one for one in found if one.connect_seconds is not None), key=lambda one: one.connect_seconds or 0.0)
    time_taken = f"the longest, to {names[longest.place]}, takes {written(longest.connect_seconds, 'seconds')}"
    return f"{pods} pods of {context.service.name} connect to all of {len(names)} addresses; {time_taken}."


def _told(found: Sequence[Reach], slow: Mapping[str, float]) -> str:
    """How slow which pods are, and how quick the others."""
    others = [one.connect_seconds for one in found if one.pod not in slow and one.connect_seconds is not None]
    rest = f", the others no more than {written(max(others), 'seconds')}" if others else ""
    least, most = written(min(slow.values()), "seconds"), written(max(slow.values()), "seconds")
    if len(slow) == 1:
        return f"Pod {next(iter(slow))} takes {most} to connect to anything that it needs{rest}"
    pods = len({one.pod for one in found})
    return f"{len(slow)} of {pods} pods take {least} to {most} to connect to anything that they need{rest}"


def _status(found: Sequence[Reach], slow: Mapping[str, float]) -> FindingStatus:
    if not found:
        return FindingStatus.UNKNOWN
    if _unreached(found):
        return FindingStatus.CRITICAL
    troubled = slow or any(not one.reached for one in found)
    return FindingStatus.WARNING if troubled else FindingStatus.NORMAL


def _table(found: Sequence[Reach], wanted: Sequence[Address]) -> Frame:
    names = {address.place: address.name for address in wanted}
    rows: list[dict[str, Any]] = [
        {
            "pod": one.pod,
            "to": names[one.place],
            "address": one.place,
            "name seconds": one.name_seconds,
            "connect seconds": one.connect_seconds,
            "tries": one.tries,
            "problem": one.problem,
        }
        for one in sorted(found, key=lambda one: (one.pod, list(names).index(one.place)))
    ]
    return frame(rows)


def _notes(known: Answers, tried: Answers, pods: Sequence[str]) -> list[str]:
    there = len(serving(known.get("pods"))) if known.get("pods") is not None else 0
    notes = [f"Tried from {len(pods)} of {there} pods."] if there > len(pods) > 0 else []
    notes += [f"Pod {pod}: {tried.why_missing(pod)}." for pod in pods if tried.why_missing(pod)]
    if any(tried.get(pod) for pod in pods):
        notes.append("Without what a pod takes to connect to itself: a pod that is short of CPU is slow at that, too.")
    return notes


def _slow(found: Sequence[Reach], slow: Mapping[str, float], why: str) -> tuple[Signal, Signal]:
    """Whether connecting takes long, and, where it was tried, whether it does not."""
    long, quick, text = Presence.UNKNOWN, Presence.UNKNOWN, f"how long connecting takes is not known: {why}"
    if slow:
        told = _told(found, slow)
        long, quick, text = Presence.PRESENT, Presence.ABSENT, f"{told[0].lower()}{told[1:]}"
    elif any(one.reached for one in found):
        long, quick, text = Presence.ABSENT, Presence.PRESENT, "no pod takes long to connect to all that it needs"
    value = max(slow.values(), default=None)
    return (
        Signal(name="connects_slow", presence=long, text=text, pods=tuple(slow), value=value, unit="seconds"),
        Signal(name="connects_quick", presence=quick, text=text),
    )


def _late(context: CheckContext, tried: Answers, found: Sequence[Reach], slow: Mapping[str, float], why: str) -> Signal:
    """Since when the pods that connect slowly answer late, while those that connect quickly do not: it dates their network."""
    name = "slow_pods_answer_late"
    latency = tried.get("latency")
    parts = split(latency, "pod") if latency is not None else {}
    onsets = {pod: _late_since(context, series) for pod, series in parts.items() if len(series)}
    if not slow:
        if not any(one.reached for one in found):
            return Signal(name=name, presence=Presence.UNKNOWN, text=f"which pods connect slowly is not known: {why}")
        return Signal(name=name, presence=Presence.ABSENT, text="no pod takes long to connect")
    if not set(onsets) >= set(slow) or len(onsets) < 2:
        reason = tried.why_missing("latency") or "there is no response time for each of them"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether these pods answer late is not known: {reason}")
    moments = [at for pod, at in onsets.items() if at is not None and pod in slow]
    well = [pod for pod, at in onsets.items() if at is None and pod not in slow]
    if len(moments) < len(slow) or not well:
        return Signal(name=name, presence=Presence.ABSENT, text="it is not just the pods which connect slowly that answer late")
    text = f"these pods answer late since {format_instant(min(moments))}, the {len(well)} others do not"
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=min(moments), pods=tuple(slow))


def _late_since(context: CheckContext, series: pd.Series) -> datetime | None:
    limit = context.service.thresholds.latency_p95_seconds.critical
    episode = latest_episode(series, threshold=limit, gap=context.gap)
    return episode.onset if episode is not None and context.concerns(episode) else None


def _retransmits(context: CheckContext, tried: Answers) -> Signal:
    """Since when a node sends more TCP segments again than it usually does."""
    name = "retransmits_rose"
    answer = tried.get("retransmits")
    parts = {node: series for node, series in split(answer, "node").items() if len(series)} if answer is not None else {}
    if not parts:
        reason = tried.why_missing("retransmits") or "Prometheus has no node_netstat_Tcp_RetransSegs"
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"TCP retransmits are not known: {reason}")
    limits = {node: max(_LOSSES, _TIMES_AS_MANY * float(series.quantile(_USUAL))) for node, series in parts.items()}
    risen = {node: latest_episode(series, threshold=limits[node], gap=context.gap) for node, series in parts.items()}
    worst = max(
        ((node, episode) for node, episode in risen.items() if episode is not None and context.concerns(episode)),
        key=lambda item: item[1].peak,
        default=None,
    )
    if worst is None:
        return Signal(name=name, presence=Presence.ABSENT, text="no node sends more TCP segments again than it usually does")
    node, episode = worst
    text = f"node {node} sends up to {written(episode.peak, 'ratio')} of its TCP segments again"
    text += f" since {format_instant(episode.onset)}, before {written(episode.baseline, 'ratio')}"
    return Signal(name=name, presence=Presence.PRESENT, text=text, since=episode.onset, subject=f"node/{node}")


def _failing(found: Sequence[Reach], wanted: Sequence[Address], why: str) -> Signal:
    name = "connects_fail"
    names = {address.place: address.name for address in wanted}
    if unreached := _unreached(found):
        first = next(iter(unreached))
        told = ", ".join(f"{names[place]} ({place})" for place in unreached)
        text = f"no pod can connect to {told}: {unreached[first][0].problem}"
        return Signal(name=name, presence=Presence.PRESENT, text=text, subject=names[first])
    if not found:
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether pods reach what they need is not known: {why}")
    return Signal(name=name, presence=Presence.ABSENT, text="pods connect to all that they need")


def _cache_failing(found: Sequence[Reach], wanted: Sequence[Address], why: str) -> Signal:
    """A cache that nobody reaches shows as look-ups that miss: this tells it from one that answers and has nothing."""
    name, unreached = "cache_connects_fail", _unreached(found)
    place = next((address.place for address in wanted if address.name == CACHE), None)
    if place in unreached:
        text = f"no pod can connect to the cache at {place}: {unreached[place][0].problem}"
        return Signal(name=name, presence=Presence.PRESENT, text=text, subject=CACHE)
    if found and place is None:
        return Signal(
            name=name, presence=Presence.ABSENT, text="neither the service file nor the config map names a cache's address"
        )
    if not any(one.place == place for one in found):
        return Signal(name=name, presence=Presence.UNKNOWN, text=f"whether pods reach the cache is not known: {why}")
    return Signal(name=name, presence=Presence.ABSENT, text="pods connect to the cache")


def _sources(known: Answers, tried: Answers, pods: Sequence[str]) -> tuple[SourceStatus, ...]:
    """The state of each source that was asked; an answer of one pod is enough for the cluster's."""
    states = {status.name: status for status in known.sources}
    in_vain = bool(pods) and not any(tried.get(pod) for pod in pods)
    states |= {status.name: status for status in tried.sources if in_vain or status.name not in states}
    return tuple(states.values())
