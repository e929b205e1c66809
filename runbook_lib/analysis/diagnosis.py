"""From signals to verdicts: the declared rules of a playbook, applied.

A cause is confirmed when its mechanism is seen, it began no later than the symptom, and no other cause that stands explains it.
What stands but is explained is `suspected` with `because_of`: a consequence. What could not be looked at is `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from runbook_lib.models.cause import Cause, CauseRule, Conjunction, Evidence, ExplainedBy, Symptom, Verdict
from runbook_lib.models.finding import Finding, Presence, Signal
from runbook_lib.models.window import format_duration, format_instant

# Confidence: the mechanism seen in time is worth 0.75, its supporting signals up to 0.24 together; each piece of evidence that
# could not be had takes 0.05, a cause behind it that could not be looked at 0.1, and a mechanism that is seen but not confirmed
# never reaches 0.5. The figures order causes; they are not probabilities.
_STANDING, _SUPPORT, _MISSING, _NOT_CONFIRMED, _UNTOLD = 0.75, 0.24, 0.05, 0.45, 0.1

_CLOSE = 3  # tolerances within which two things began together
_RANK = {Verdict.CONFIRMED: 0, Verdict.SUSPECTED: 2, Verdict.UNKNOWN: 3, Verdict.RULED_OUT: 4}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What all findings together say of one signal."""

    presence: Presence
    signal: Signal | None
    finding: str


class _Board:
    """Signals by name. A signal that no finding speaks of is unknown."""

    def __init__(self, findings: Iterable[Finding], conjunctions: Sequence[Conjunction], close: timedelta) -> None:
        self._seen: dict[str, _Seen] = {}
        self._close = close
        for finding in findings:
            for signal in finding.signals:
                self._note(signal, finding.name)
        for conjunction in conjunctions:
            self._note(self._joined(conjunction), "")

    def __getitem__(self, name: str) -> _Seen:
        return self._seen.get(name, _Seen(Presence.UNKNOWN, None, ""))

    def _note(self, signal: Signal, finding: str) -> None:
        known = self._seen.get(signal.name)
        if known is None or known.signal is None or _outweighs(signal, known.signal):
            self._seen[signal.name] = _Seen(signal.presence, signal, finding)

    def _joined(self, conjunction: Conjunction) -> Signal:
        parts = [self[name] for name in conjunction.all_of]
        known = [part.signal for part in parts if part.signal is not None]
        times = [signal.since for signal in known if signal.since is not None]
        presence = self._presence_of(conjunction, parts, times)
        texts = "; ".join(signal.text for signal in known if signal.presence is presence)
        lead = {Presence.PRESENT: "", Presence.ABSENT: "no sign that ", Presence.UNKNOWN: "it is not known whether "}[presence]
        return Signal(
            name=conjunction.name,
            presence=presence,
            text=f"{lead}{conjunction.text} ({texts})" if texts else f"{lead}{conjunction.text}",
            since=max(times) if times else None,
            subject=next((signal.subject for signal in known if signal.subject), None),
            pods=_pods(known),
        )

    def _presence_of(self, conjunction: Conjunction, parts: Sequence[_Seen], times: Sequence[datetime]) -> Presence:
        presences = {part.presence for part in parts}
        contradicted = any(self[name].presence is Presence.PRESENT for name in conjunction.none_of)
        apart = conjunction.close_in_time and bool(times) and max(times) - min(times) > self._close
        if Presence.ABSENT in presences or contradicted or apart:
            return Presence.ABSENT
        return Presence.UNKNOWN if Presence.UNKNOWN in presences else Presence.PRESENT


def _outweighs(new: Signal, old: Signal) -> bool:
    order = {Presence.PRESENT: 2, Presence.UNKNOWN: 1, Presence.ABSENT: 0}
    if order[new.presence] != order[old.presence]:
        return order[new.presence] > order[old.presence]
    return new.since is not None and (old.since is None or new.since < old.since)


@dataclass(frozen=True, slots=True)
class _Case:
    """One rule held against the board."""

    rule: CauseRule
    mechanism: Presence
    since: datetime | None
    subject: str | None
    pods: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    lacking: str  # what speaks against its mechanism; empty when nothing does
    objection: str  # why it does not stand although its mechanism is seen; empty when it stands
    ruled_out_by: str


def judge(
    *,
    rules: Sequence[CauseRule],
    conjunctions: Sequence[Conjunction],
    findings: Iterable[Finding],
    symptom: Symptom,
    tolerance: timedelta,
) -> tuple[Cause, ...]:
    """Apply the rules to the findings' signals and rank the causes.

    `tolerance` is how much later than the symptom's onset a cause may seem to begin, because both are measured through a rate
    window and a scrape interval.
    """
    board = _Board(findings, conjunctions, _CLOSE * tolerance)
    cases = [_case(rule, board, symptom, tolerance) for rule in rules]
    standing = {case.rule.name for case in cases if _stands(case, symptom)}
    explained = {case.rule.name: _explanation(case.rule, board, standing) for case in cases if case.rule.name in standing}
    untold = {case.rule.name: case.rule.title for case in cases if case.mechanism is Presence.UNKNOWN and not case.ruled_out_by}
    causes = [_doubted(_verdict(case, board, symptom, explained), case.rule, board, untold) for case in cases]
    return _ranked(causes)


def _case(rule: CauseRule, board: _Board, symptom: Symptom, tolerance: timedelta) -> _Case:
    groups = [_any_of(group, board) for group in rule.mechanism]
    if Presence.ABSENT in groups:
        mechanism = Presence.ABSENT
    else:
        mechanism = Presence.UNKNOWN if Presence.UNKNOWN in groups else Presence.PRESENT
    names = rule.onset or tuple(name for group in rule.mechanism for name in group)
    dated = [board[name].signal for name in names if board[name].presence is Presence.PRESENT]
    times = [signal.since for signal in dated if signal is not None and signal.since is not None]
    since = min(times) if times else None
    against = next((board[name] for name in rule.against if board[name].presence is Presence.PRESENT), None)
    return _Case(
        rule=rule,
        mechanism=mechanism,
        since=since,
        subject=next((signal.subject for signal in dated if signal is not None and signal.subject), None),
        pods=_pods(signal for signal in dated if signal is not None),
        evidence=tuple(_evidence(rule, board)),
        lacking=next(
            (_text(group, board) for group, seen in zip(rule.mechanism, groups, strict=True) if seen is Presence.ABSENT), ""
        ),
        objection=_objection(rule, since, symptom, tolerance),
        ruled_out_by=against.signal.text if against is not None and against.signal is not None else "",
    )


def _pods(signals: Iterable[Signal]) -> tuple[str, ...]:
    """The pods that any of the signals was seen in, in the order in which they are named."""
    return tuple(dict.fromkeys(pod for signal in signals for pod in signal.pods))


def _any_of(names: Sequence[str], board: _Board) -> Presence:
    presences = {board[name].presence for name in names}
    if Presence.PRESENT in presences:
        return Presence.PRESENT
    return Presence.UNKNOWN if Presence.UNKNOWN in presences else Presence.ABSENT


def _text(names: Sequence[str], board: _Board) -> str:
    """What the first of these signals that a finding speaks of says."""
    return next((signal.text for name in names if (signal := board[name].signal) is not None), "its mechanism is not there")


def _objection(rule: CauseRule, since: datetime | None, symptom: Symptom, tolerance: timedelta) -> str:
    if symptom.breached is False:
        return f"{symptom.title} is within its threshold, so there is nothing for it to have caused"
    if symptom.onset_at is None:
        return "the symptom's onset is not known, so that it cannot be tied to it in time"
    if since is None:
        return "it is not known when it began"
    if since > symptom.onset_at + tolerance:
        return f"it began {format_duration(since - symptom.onset_at)} after the symptom"
    if rule.lookback_seconds is not None and since < symptom.onset_at - timedelta(seconds=rule.lookback_seconds):
        return f"it lies {format_duration(symptom.onset_at - since)} before the symptom, too long to be its cause"
    return ""


def _stands(case: _Case, symptom: Symptom) -> bool:
    return bool(symptom.breached) and case.mechanism is Presence.PRESENT and not case.objection and not case.ruled_out_by


def _explanation(rule: CauseRule, board: _Board, standing: set[str]) -> str | None:
    for explained in rule.explained_by:
        held = all(board[name].presence is Presence.PRESENT for name in explained.when)
        stands_alone = any(board[name].presence is Presence.PRESENT for name in explained.unless)
        if explained.cause in standing and held and not stands_alone:
            return explained.cause
    return None


def _doubted(cause: Cause, rule: CauseRule, board: _Board, untold: Mapping[str, str]) -> Cause:
    """A confirmed cause that may be a consequence of one that could not be looked at says so, and is less sure of itself."""
    if cause.verdict is not Verdict.CONFIRMED:
        return cause
    behind = next(
        (explained for explained in rule.explained_by if explained.cause in untold and _may_hold(explained, board)), None
    )
    if behind is None:
        return cause
    text = (
        f"whether it is only a consequence of something else is not known: {untold[behind.cause].lower()} could not be looked at"
    )
    doubt = Evidence(bearing="missing", signal=behind.cause, text=text)
    return replace(cause, confidence=round(cause.confidence - _UNTOLD, 2), evidence=(*cause.evidence, doubt))


def _may_hold(explained: ExplainedBy, board: _Board) -> bool:
    """Whether an explanation waits for nothing but what is not known. Without conditions of its own it is none to wait for."""
    alone = any(board[name].presence is Presence.PRESENT for name in explained.unless)
    return bool(explained.when) and not alone and all(board[name].presence is not Presence.ABSENT for name in explained.when)


def _evidence(rule: CauseRule, board: _Board) -> Iterable[Evidence]:
    needed = [name for group in rule.mechanism for name in group]
    spare = _spare(rule, board)
    for name in dict.fromkeys([*needed, *rule.supports, *rule.against]):
        if name in spare:
            continue
        seen = board[name]
        speaks_for = name not in rule.against
        if seen.presence is Presence.UNKNOWN:
            text = seen.signal.text if seen.signal is not None else f"no finding speaks of {name.replace('_', ' ')}"
            yield Evidence(bearing="missing", signal=name, text=text, finding=seen.finding)
        elif seen.signal is not None and (speaks_for or seen.presence is Presence.PRESENT):
            bearing: Literal["for", "against"] = "for" if speaks_for and seen.presence is Presence.PRESENT else "against"
            yield Evidence(bearing=bearing, signal=name, text=seen.signal.text, finding=seen.finding)


def _spare(rule: CauseRule, board: _Board) -> set[str]:
    """The other ways in which a mechanism that is seen could have shown: a dozen of "no sign that ..." would bury what does speak
    against it. A plain signal stays: that no error tells of the full pool is worth a thought."""
    groups = [group for group in rule.mechanism if _any_of(group, board) is Presence.PRESENT]
    spare = {name for group in groups for name in group if board[name].presence is Presence.ABSENT and not board[name].finding}
    return spare.difference(rule.supports, rule.against)


def _verdict(case: _Case, board: _Board, symptom: Symptom, explained: dict[str, str | None]) -> Cause:
    rule = case.rule
    because_of: str | None = None
    if case.ruled_out_by or case.mechanism is Presence.ABSENT:
        verdict, why = Verdict.RULED_OUT, case.ruled_out_by or case.lacking
    elif case.mechanism is Presence.UNKNOWN:
        verdict, why = Verdict.UNKNOWN, _first(case, "missing", "the evidence could not be had")
    elif symptom.breached is None:
        verdict, why = Verdict.UNKNOWN, f"its mechanism is seen, but {symptom.title} could not be measured: {symptom.text}"
    elif case.objection:
        verdict, why = Verdict.SUSPECTED, f"its mechanism is seen, but {case.objection}"
    elif explained.get(rule.name):
        because_of = _root(rule.name, explained)
        verdict, why = Verdict.SUSPECTED, f"a consequence of {because_of}: {_first(case, 'for', '')}"
    else:
        verdict, why = Verdict.CONFIRMED, _first(case, "for", "")
    return Cause(
        name=rule.name,
        title=rule.title,
        verdict=verdict,
        confidence=_confidence(case, verdict, because_of, board),
        why=_dated(why, case.since) if verdict is Verdict.CONFIRMED else why,
        because_of=because_of,
        since=case.since,
        subject=case.subject,
        pods=case.pods,
        evidence=case.evidence,
        actions=_remedies(rule, board) if verdict is not Verdict.RULED_OUT else (),
        by_hand=_by_hand(rule, board),
    )


def _by_hand(rule: CauseRule, board: _Board) -> str:
    for one in rule.by_hand_when:
        if all(board[name].presence is Presence.PRESENT for name in one.when):
            return one.text
    return rule.by_hand


def _first(case: _Case, bearing: str, otherwise: str) -> str:
    return next((line.text for line in case.evidence if line.bearing == bearing), otherwise)


def _dated(why: str, since: datetime | None) -> str:
    """Its begin behind the reason, unless that has one of its own: two that differ by a second read like a contradiction."""
    return f"{why} (since {format_instant(since)})" if since is not None and " since " not in why else why


def _root(name: str, explained: dict[str, str | None]) -> str:
    """Follow explanations to the cause that nothing explains; rules that explain each other end at the second one seen."""
    passed = {name}
    current = explained.get(name) or name
    while (above := explained.get(current)) and above not in passed:
        passed.add(current)
        current = above
    return current


def _confidence(case: _Case, verdict: Verdict, because_of: str | None, board: _Board) -> float:
    if verdict is Verdict.RULED_OUT:
        return 0.0
    names = [name for group in case.rule.mechanism for name in group] + list(case.rule.supports)
    missing = sum(board[name].presence is Presence.UNKNOWN for name in names)
    # Of a group one signal is enough: the others are alternatives, and their absence takes nothing away.
    pieces = [_any_of(group, board) for group in (*case.rule.mechanism, *((name,) for name in case.rule.supports))]
    known = [piece for piece in pieces if piece is not Presence.UNKNOWN]
    share = sum(piece is Presence.PRESENT for piece in known) / len(known) if known else 0.0
    score = _STANDING + _SUPPORT * min(1.0, share * 1.5) - _MISSING * min(missing, 3)
    if verdict is Verdict.UNKNOWN:
        return round(0.3 * share, 2)
    return round(score if verdict is Verdict.CONFIRMED or because_of else min(score, _NOT_CONFIRMED), 2)


def _remedies(rule: CauseRule, board: _Board) -> tuple[str, ...]:
    def fits(names: Sequence[str]) -> bool:
        return all(board[name].presence is Presence.PRESENT for name in names)

    def excluded(names: Sequence[str]) -> bool:
        return any(board[name].presence is Presence.PRESENT for name in names)

    return tuple(remedy.action for remedy in rule.remedies if fits(remedy.when) and not excluded(remedy.unless))


def _ranked(causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """Confirmed roots, each followed by its consequences, then suspected, unknown, ruled out; the more confident first."""

    def key(cause: Cause) -> tuple[int, float]:
        return _RANK[cause.verdict], -cause.confidence

    ordered: list[Cause] = []
    for cause in sorted((cause for cause in causes if cause.because_of is None), key=key):
        ordered.append(cause)
        ordered.extend(sorted((other for other in causes if other.because_of == cause.name), key=key))
    ordered.extend(cause for cause in causes if cause not in ordered)
    return tuple(ordered)
