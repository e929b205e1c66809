"""Verdicts follow from declared rules, time and explanation - never from a threshold alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from runbook_lib.analysis.diagnosis import judge
from runbook_lib.models.cause import Cause, CauseRule, Conjunction, ExplainedBy, Remedy, Symptom, Verdict
from runbook_lib.models.finding import Finding, FindingStatus, Presence, Signal

ONSET = datetime(2026, 3, 1, 3, 12, 40, tzinfo=UTC)
TOLERANCE = timedelta(seconds=60)

POOL = CauseRule(
    name="pool",
    title="Pool exhausted",
    mechanism=(("pool_full", "pool_errors"),),
    supports=("held",),
    explained_by=(ExplainedBy(cause="deploy", when=("diff_and_pool",), unless=("held",)),),
    remedies=(Remedy(action="restart", unless=("blocked",)), Remedy(action="enlarge")),
)
DEPLOY = CauseRule(
    name="deploy",
    title="Deployment",
    mechanism=(("rollout",), ("diff_and_pool",)),
    onset=("rollout",),
    lookback_seconds=3600,
)
RULES = (POOL, DEPLOY)
TOGETHER = (Conjunction(name="diff_and_pool", all_of=("diff", "pool_full"), text="since", close_in_time=True),)


def symptom(breached: bool | None = True) -> Symptom:
    onset = ONSET if breached else None
    return Symptom(
        name="error_rate", title="error rate", value=0.3, unit="ratio", threshold=0.05, breached=breached, onset_at=onset
    )


def present(name: str, after: float = 0.0) -> Signal:
    return Signal(name=name, presence=Presence.PRESENT, text=f"{name} is there", since=ONSET + timedelta(seconds=after))


def absent(name: str) -> Signal:
    return Signal(name=name, presence=Presence.ABSENT, text=f"{name} is not there")


def unknown(name: str) -> Signal:
    return Signal(name=name, presence=Presence.UNKNOWN, text=f"{name} could not be seen")


def diagnose(*signals: Signal, of: Symptom | None = None) -> dict[str, Cause]:
    finding = Finding(name="check", title="Check", summary="", status=FindingStatus.INFO, signals=signals)
    causes = judge(rules=RULES, conjunctions=TOGETHER, findings=[finding], symptom=of or symptom(), tolerance=TOLERANCE)
    return {cause.name: cause for cause in causes}


CALM = (absent("pool_errors"), absent("held"), absent("rollout"), absent("diff"), absent("blocked"))


def test_a_mechanism_that_began_with_the_symptom_is_confirmed():
    causes = diagnose(present("pool_full", -20), *CALM)
    assert causes["pool"].verdict is Verdict.CONFIRMED
    assert causes["deploy"].verdict is Verdict.RULED_OUT
    assert list(causes) == ["pool", "deploy"]


def test_nothing_is_confirmed_while_the_symptom_is_within_its_threshold():
    assert diagnose(present("pool_full"), *CALM, of=symptom(breached=False))["pool"].verdict is Verdict.SUSPECTED


def test_a_mechanism_that_began_after_the_symptom_is_only_suspected():
    cause = diagnose(present("pool_full", 600), *CALM)["pool"]
    assert cause.verdict is Verdict.SUSPECTED
    assert "after the symptom" in cause.why


def test_an_undated_mechanism_is_not_confirmed():
    signal = Signal(name="pool_full", presence=Presence.PRESENT, text="full")
    assert diagnose(signal, *CALM)["pool"].verdict is Verdict.SUSPECTED


def test_missing_evidence_makes_a_cause_unknown_not_ruled_out():
    causes = diagnose(unknown("pool_full"), absent("pool_errors"), absent("held"), unknown("rollout"), unknown("diff"))
    assert causes["pool"].verdict is Verdict.UNKNOWN
    assert causes["deploy"].verdict is Verdict.UNKNOWN


def test_one_source_that_still_sees_the_mechanism_is_enough():
    assert diagnose(unknown("pool_full"), present("pool_errors"), absent("held"))["pool"].verdict is Verdict.CONFIRMED


def test_an_unmeasured_symptom_makes_what_is_seen_unknown():
    assert diagnose(present("pool_full"), *CALM, of=symptom(breached=None))["pool"].verdict is Verdict.UNKNOWN


def test_what_a_deployment_explains_is_its_consequence_and_stands_below_it():
    causes = diagnose(present("pool_full"), present("diff", -30), present("rollout", -30), absent("held"))
    assert list(causes) == ["deploy", "pool"]
    assert causes["deploy"].verdict is Verdict.CONFIRMED
    assert causes["pool"].because_of == "deploy"
    assert causes["pool"].verdict is Verdict.SUSPECTED


def test_what_stands_on_its_own_feet_is_not_explained_away():
    causes = diagnose(present("pool_full"), present("diff", -30), present("rollout", -30), present("held"))
    assert {name for name, cause in causes.items() if cause.verdict is Verdict.CONFIRMED} == {"deploy", "pool"}


def test_a_change_long_before_the_pool_filled_does_not_explain_it():
    causes = diagnose(present("pool_full"), present("diff", -1800), present("rollout", -1800), absent("held"))
    assert causes["deploy"].verdict is Verdict.RULED_OUT
    assert causes["pool"].because_of is None


def test_remedies_that_would_not_help_are_not_offered():
    assert diagnose(present("pool_full"), *CALM)["pool"].actions == ("restart", "enlarge")
    assert diagnose(present("pool_full"), present("blocked"), absent("held"))["pool"].actions == ("enlarge",)


def test_evidence_is_told_for_against_and_missing():
    cause = diagnose(present("pool_full"), unknown("held"), absent("pool_errors"), absent("rollout"), absent("diff"))["pool"]
    assert {line.signal: line.bearing for line in cause.evidence} == {
        "pool_full": "for",
        "pool_errors": "against",
        "held": "missing",
    }


def test_support_raises_the_confidence_and_missing_evidence_lowers_it():
    full = diagnose(present("pool_full"), present("pool_errors"), present("held"))["pool"].confidence
    plain = diagnose(present("pool_full"), absent("pool_errors"), absent("held"))["pool"].confidence
    lacking = diagnose(present("pool_full"), unknown("pool_errors"), unknown("held"))["pool"].confidence
    assert full > plain
    assert full > lacking
    assert full <= 1


def test_a_cause_that_may_follow_from_one_nobody_could_look_at_says_so_and_is_less_sure():
    sure = diagnose(present("pool_full", -20), *CALM)["pool"]
    dead = (absent("pool_errors"), absent("held"), absent("blocked"), unknown("rollout"), unknown("diff"))
    doubted = diagnose(present("pool_full", -20), *dead)["pool"]
    assert doubted.verdict is Verdict.CONFIRMED
    assert doubted.confidence < sure.confidence
    assert [line.text for line in doubted.evidence if line.signal == "deploy"] == [
        "whether it is only a consequence of something else is not known: deployment could not be looked at"
    ]


def test_other_ways_to_see_a_mechanism_that_is_seen_are_no_evidence_against_it():
    rule = replace(POOL, mechanism=(("pool_full", "diff_and_pool"),), supports=(), explained_by=())
    finding = Finding(
        name="check", title="Check", summary="", status=FindingStatus.INFO, signals=(present("pool_full"), absent("diff"))
    )
    (cause,) = judge(rules=[rule], conjunctions=TOGETHER, findings=[finding], symptom=symptom(), tolerance=TOLERANCE)
    assert [line.signal for line in cause.evidence] == ["pool_full"]


def test_a_reason_that_says_since_when_is_given_no_second_time():
    dated = replace(present("pool_full"), text="the pool is full since 2026-03-01T03:12:41Z")
    assert diagnose(dated, *CALM)["pool"].why == "the pool is full since 2026-03-01T03:12:41Z"
    assert diagnose(present("pool_full"), *CALM)["pool"].why == "pool_full is there (since 2026-03-01T03:12:40Z)"
