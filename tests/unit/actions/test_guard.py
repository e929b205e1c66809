"""What the guard promises, whatever the action."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from runbook_lib.actions.audit import verify_chain
from runbook_lib.actions.cache_ttl import SET_CACHE_TTL
from runbook_lib.actions.configuration import RESTORE_CONFIGURATION
from runbook_lib.actions.guard import carry_out, propose
from runbook_lib.actions.interface import Action, Approval, Approvals
from runbook_lib.actions.locks import holding
from runbook_lib.actions.pool_size import RAISE_POOL_SIZE
from runbook_lib.actions.restart import RESTART_PODS
from runbook_lib.errors import SourceTimeout, UsageError
from runbook_lib.models.plan import Outcome, Plan, Proposal, Refusal
from runbook_lib.service import Service
from tests.unit.actions.cluster_api import Cluster
from tests.unit.actions.situations import Clock, a_context, a_diagnosis, a_service


def plan_of(proposal: Proposal) -> Plan:
    assert proposal.plan is not None, proposal.outcome.text
    return proposal.plan


def audit_of(context: Any) -> list[str]:
    return [entry.event for entry in context.audit.entries()]


def test_a_proposal_alone_changes_nothing(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = propose(RESTART_PODS, a_context(tmp_path, api_client=api))
    assert proposal.outcome.status == "proposed"
    assert proposal.approve is not None
    assert cluster.writes() == []
    assert "kubectl -n shop rollout restart deployment/orders" in plan_of(proposal).command


def test_a_person_approves_and_the_change_is_made_watched_and_audited(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    context = a_context(tmp_path, api_client=api)
    proposal = propose(RESTART_PODS, context)
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert (outcome.status, outcome.effect) == ("executed", "better")
    assert outcome.approved_by == "alice (person)"
    assert "31.0% before, 0.1%" in outcome.effect_text
    assert audit_of(context) == ["intent", "outcome", "effect"]
    assert verify_chain(context.audit.path).intact
    assert len(cluster.writes()) == 1


def test_nothing_is_changed_when_the_intent_cannot_be_written(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    context = a_context(tmp_path, api_client=api)
    proposal = propose(RESTART_PODS, context)
    context.audit.path.parent.mkdir(parents=True)
    context.audit.path.mkdir()  # no file can be written in its place
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "refused"
    assert outcome.refusal is not None
    assert outcome.refusal.by == "audit"
    assert cluster.writes() == []


def test_the_intent_is_on_disk_before_the_first_write(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    context = a_context(tmp_path, api_client=api)
    seen: list[list[str]] = []
    context = replace(context, progress=lambda _: seen.append(audit_of(context) + cluster.writes()))
    proposal = propose(RESTART_PODS, context)
    assert proposal.approve is not None
    proposal.approve(None)
    assert seen[0] == ["intent"]


@pytest.mark.parametrize("mode", ["interactive", "papermill", "alert"])
def test_a_dry_run_changes_nothing_and_says_what_it_would_have_done(
    tmp_path: Path, cluster: Cluster, api: ApiClient, mode: Any
) -> None:
    service = a_service({"auto_approve": ["restart_pods"]})
    context = a_context(
        tmp_path,
        mode=mode,
        approve="restart_pods",
        api_client=api,
        dry_run=True,
        service=service,
        diagnosis=a_diagnosis(action="restart_pods"),
    )
    proposal = propose(RESTART_PODS, context)
    outcome = proposal.approve(None) if proposal.approve else proposal.outcome
    assert outcome.status == "proposed"
    assert outcome.steps == ("would have done: restart the pods of deployment/orders",)
    assert cluster.writes() == []
    assert audit_of(context) == []


def test_papermill_executes_only_what_the_parameter_names(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    context = a_context(tmp_path, mode="papermill", approve="raise_pool_size", api_client=api)
    proposal = propose(RESTART_PODS, context)
    assert proposal.outcome.status == "proposed"
    assert proposal.approve is None
    assert "approve=restart_pods" in proposal.outcome.text
    assert cluster.writes() == []
    assert propose(RAISE_POOL_SIZE, context).outcome.status == "executed"


def test_rerunning_a_cell_does_not_repeat_what_the_parameter_approved(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    context = a_context(tmp_path, mode="papermill", approve="restart_pods", api_client=api)
    assert propose(RESTART_PODS, context).outcome.status == "executed"
    again = propose(RESTART_PODS, context).outcome
    assert again.status == "refused"
    assert "begun already" in again.text
    assert len(cluster.writes()) == 1


def test_a_plan_is_carried_out_once(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = propose(RESTART_PODS, a_context(tmp_path, api_client=api))
    approve = proposal.approve
    assert approve is not None
    assert approve(None).status == "executed"
    assert approve(None).status == "refused"
    assert len(cluster.writes()) == 1


def test_a_high_risk_needs_the_name_of_its_target(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.objects["deployments", "orders"]["spec"]["strategy"] = {"type": "Recreate"}
    service = a_service({"pods_at_once": 3})
    proposal = propose(RESTART_PODS, a_context(tmp_path, api_client=api, service=service))
    assert plan_of(proposal).risk == "high"
    assert proposal.approve is not None
    assert proposal.approve(None).status == "refused"
    assert proposal.approve("payments").status == "refused"
    assert cluster.writes() == []
    assert proposal.approve("deployment/orders").status == "executed"


def test_a_way_back_of_high_risk_is_proposed_first_with_its_plan_and_needs_the_name_as_well(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    cluster.objects["deployments", "orders"]["spec"]["strategy"] = {"type": "Recreate"}
    context = a_context(tmp_path, api_client=api, service=a_service({"pods_at_once": 3}))
    proposal = propose(RAISE_POOL_SIZE, context)
    assert proposal.approve is not None
    assert proposal.approve("configmap/orders-config").status == "executed"
    writes = len(cluster.writes())
    assert proposal.undo is not None
    assert proposal.undo().status == "proposed"
    back = proposal.back
    assert back is not None
    assert back.approve is not None
    assert (plan_of(back).risk, plan_of(back).after) == ("high", "DATABASE_POOL_SIZE: 10")
    assert plan_of(back).undoes == plan_of(proposal).id
    assert back.approve(None).status == "refused"
    assert len(cluster.writes()) == writes
    assert back.approve("configmap/orders-config").status == "undone"
    assert cluster.objects["configmaps", "orders-config"]["data"]["DATABASE_POOL_SIZE"] == "10"
    assert (proposal.outcome.status, proposal.undo, proposal.back) == ("undone", None, None)


def test_a_way_back_that_a_rule_forbids_is_refused_before_anybody_types(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = propose(RAISE_POOL_SIZE, a_context(tmp_path, api_client=api))
    assert proposal.approve is not None
    proposal.approve(None)
    cluster.objects["deployments", "orders"]["spec"]["strategy"] = {"type": "Recreate"}
    assert proposal.undo is not None
    assert "3 pods would be down together" in proposal.undo().text
    assert proposal.back is None


def test_a_target_that_was_named_must_be_the_right_one_at_any_risk(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    wrong = a_context(tmp_path, mode="papermill", approve="restart_pods=deployment/payments", api_client=api)
    assert propose(RESTART_PODS, wrong).outcome.status == "refused"
    assert cluster.writes() == []


def test_a_person_cannot_press_a_button_in_a_run_that_nobody_watches(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    context = a_context(tmp_path, mode="alert", api_client=api)
    plan = plan_of(propose(RESTART_PODS, context))
    outcome = carry_out(RESTART_PODS, plan, context, Approval(source="person", by="alice"))
    assert outcome.status == "refused"
    assert audit_of(context) == ["refused"]


def test_an_alert_ignores_the_parameter_and_follows_the_policy(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    diagnosis = a_diagnosis(action="restart_pods")
    by_parameter = a_context(tmp_path, mode="alert", approve="restart_pods", api_client=api, diagnosis=diagnosis)
    assert propose(RESTART_PODS, by_parameter).outcome.status == "proposed"
    service = a_service({"auto_approve": ["restart_pods"]})
    by_policy = a_context(tmp_path, mode="alert", api_client=api, service=service, diagnosis=diagnosis)
    assert propose(RESTART_PODS, by_policy).outcome.status == "executed"


@pytest.mark.parametrize(
    ("diagnosis", "reason"),
    [
        (a_diagnosis(), "no confirmed cause"),
        (a_diagnosis(action="rollback_deployment"), "no confirmed cause"),
        (a_diagnosis(action="restart_pods", confidence=0.8), "confidence 0.80"),
        (None, "no confirmed cause"),
    ],
)
def test_the_policy_needs_a_confirmed_cause_that_calls_for_the_action(
    tmp_path: Path, cluster: Cluster, api: ApiClient, diagnosis: Any, reason: str
) -> None:
    service = a_service({"auto_approve": ["restart_pods"]})
    context = a_context(tmp_path, mode="alert", api_client=api, service=service, diagnosis=diagnosis)
    outcome = propose(RESTART_PODS, context).outcome
    assert outcome.status == "refused"
    assert reason in outcome.text
    assert cluster.writes() == []


def test_the_policy_never_takes_a_high_risk(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.objects["deployments", "orders"]["spec"]["strategy"] = {"type": "Recreate"}
    service = a_service({"auto_approve": ["restart_pods"], "pods_at_once": 3})
    context = a_context(tmp_path, mode="alert", api_client=api, service=service, diagnosis=a_diagnosis(action="restart_pods"))
    assert "only a person" in propose(RESTART_PODS, context).outcome.text.lower()


def test_the_rate_of_automatic_changes_counts_over_all_incidents(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    service, clock = a_service({"auto_approve": ["restart_pods"]}), Clock()

    def alerted(incident: str) -> str:
        context = a_context(
            tmp_path,
            mode="alert",
            clock=clock,
            incident=incident,
            api_client=api,
            service=service,
            diagnosis=a_diagnosis(action="restart_pods"),
        )
        return propose(RESTART_PODS, context).outcome.status

    assert alerted("incident-1") == "executed"
    assert alerted("incident-2") == "refused"
    clock.sleep(3700)
    assert alerted("incident-3") == "executed"


def test_nothing_is_changed_unwatched_in_a_service_that_is_well(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    well = a_diagnosis(breached=False)
    unwatched = a_context(tmp_path, mode="papermill", approve="restart_pods", api_client=api, diagnosis=well)
    assert propose(RESTART_PODS, unwatched).outcome.status == "refused"
    assert cluster.writes() == []
    watched = propose(RESTART_PODS, a_context(tmp_path, api_client=api, diagnosis=well))
    assert "is there anything to mend" in plan_of(watched).warnings[-1]


@pytest.mark.parametrize("mode", ["papermill", "alert"])
def test_what_an_earlier_action_has_cured_is_not_mended_once_more_unwatched(
    tmp_path: Path, cluster: Cluster, api: ApiClient, mode: Any
) -> None:
    names = ["restart_pods", "raise_pool_size"]
    told = {
        "mode": mode,
        "approve": names,
        "api_client": api,
        "service": a_service({"auto_approve": names, "auto_approve_per_hour": 2}),
        "diagnosis": a_diagnosis(action="raise_pool_size"),
    }
    cured = a_context(tmp_path, readings=(0.001,), **told)
    outcome = propose(RAISE_POOL_SIZE, cured).outcome
    assert outcome.refusal is not None
    assert outcome.refusal.by == "is it this issue"
    assert "error rate was 31.0%, and is 0.1% now, within 5.0%" in outcome.text
    assert cluster.writes() == []
    assert audit_of(cured) == ["refused"]
    still_there = a_context(tmp_path, readings=(0.001, 0.2, 0.001), **told)
    assert propose(RAISE_POOL_SIZE, still_there).outcome.status == "executed", "one good reading may be a gap"


def test_a_person_may_mend_what_is_well_by_now_and_take_back_what_was_done(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    proposal = propose(RAISE_POOL_SIZE, a_context(tmp_path, api_client=api, readings=(0.001,)))
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    plan = plan_of(proposal)
    unwatched = a_context(tmp_path, mode="papermill", api_client=api, readings=(0.001,))
    by_parameter = Approval(source="parameter", by="approve=raise_pool_size", typed_target=str(plan.target))
    back = RAISE_POOL_SIZE.undo(unwatched, plan)
    assert isinstance(back, Plan)
    back = replace(back, undoes=plan.id, id=f"{plan.id}-back", made_at=unwatched.now())
    assert carry_out(RAISE_POOL_SIZE, back, unwatched, by_parameter).status == "undone"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"forbidden_actions": ["restart_pods"]}, "forbidden"),
        ({"enabled_actions": ["raise_pool_size"]}, "not enabled"),
    ],
)
def test_the_policy_of_the_service_file_is_above_every_approval(
    tmp_path: Path, cluster: Cluster, api: ApiClient, policy: Any, words: str
) -> None:
    proposal = propose(RESTART_PODS, a_context(tmp_path, api_client=api, service=a_service(policy)))
    assert proposal.outcome.status == "refused"
    assert words in proposal.outcome.text
    assert proposal.approve is None


def test_no_more_pods_go_down_together_than_the_policy_allows(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    deployment = cluster.objects["deployments", "orders"]
    deployment["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2, "maxSurge": 0}}
    proposal = propose(RESTART_PODS, a_context(tmp_path, api_client=api))
    assert "2 pods would be down together" in proposal.outcome.text
    assert propose(RESTART_PODS, a_context(tmp_path, api_client=api, service=a_service({"pods_at_once": 2}))).approve


def test_a_missing_permission_is_told_before_anybody_approves(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.denied = {"patch deployments"}
    outcome = propose(RESTART_PODS, a_context(tmp_path, api_client=api)).outcome
    assert outcome.refusal is not None
    assert outcome.refusal.by == "permissions"
    assert "patch deployments.apps/orders" in outcome.refusal.reason


def test_a_plan_is_refused_when_its_target_was_changed_since(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = propose(RESTART_PODS, a_context(tmp_path, api_client=api))
    cluster.objects["deployments", "orders"]["metadata"]["generation"] += 1
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.refusal is not None
    assert outcome.refusal.by == "unchanged since the plan"
    assert cluster.writes() == []


def test_a_status_that_moves_does_not_make_a_plan_stale(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = propose(RESTART_PODS, a_context(tmp_path, api_client=api))
    cluster.touch("deployments", "orders")  # crashing pods write the status all the time
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"


@pytest.mark.parametrize("pods_at_once", [1, 3])
def test_a_plan_is_refused_when_more_would_go_down_than_it_said_since_pods_serve_again(
    tmp_path: Path, cluster: Cluster, api: ApiClient, pods_at_once: int
) -> None:
    deployment = cluster.objects["deployments", "orders"]
    deployment["spec"]["strategy"] = {"type": "Recreate"}
    deployment["status"]["availableReplicas"] = 0
    service = a_service({"pods_at_once": pods_at_once})
    proposal = propose(RESTART_PODS, a_context(tmp_path, api_client=api, service=service))
    assert (plan_of(proposal).risk, dict(plan_of(proposal).uses)) == ("low", {"pods_at_once": 0})
    deployment["status"]["availableReplicas"] = 3
    assert proposal.approve is not None
    outcome = proposal.approve("deployment/orders")
    assert outcome.refusal is not None
    assert outcome.refusal.by == "unchanged since the plan"
    assert "3 pods would be down together by now, and the plan said 0; its risk is high by now, and was low" in outcome.text
    assert "run the cell again" in outcome.text.lower()
    assert cluster.writes() == []
    deployment["status"]["availableReplicas"] = 0
    assert proposal.approve(None).status == "executed"


def test_a_plan_that_takes_less_by_now_or_cannot_be_made_anew_stands(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    deployment = cluster.objects["deployments", "orders"]
    deployment["spec"]["strategy"] = {"type": "Recreate"}
    context = a_context(tmp_path, api_client=api, dry_run=True, service=a_service({"pods_at_once": 3}))
    made = plan_of(propose(RESTART_PODS, context))
    by_alice = Approval(source="person", by="alice", typed_target="deployment/orders")

    def unreadable() -> Plan:
        raise SourceTimeout("kubernetes", "no answer within 5 s")

    other = replace(made, target=replace(made.target, name="payments"), uses={"pods_at_once": 9})
    none = Refusal(by="target", reason="there is nothing to plan now")
    for again in (lambda: replace(made, risk="low", uses={"pods_at_once": 1}), unreadable, lambda: other, lambda: none):
        outcome = carry_out(RESTART_PODS, made, context, by_alice, again=again)
        assert outcome.text.startswith("Dry run, nothing was changed. It would have done"), outcome.text


def test_an_old_plan_is_refused(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    clock = Clock()
    proposal = propose(RESTART_PODS, a_context(tmp_path, clock=clock, api_client=api))
    clock.sleep(901)
    assert proposal.approve is not None
    assert "15m 1s old" in proposal.approve(None).text
    assert cluster.writes() == []


def test_one_change_at_a_time(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    context = a_context(tmp_path, api_client=api)
    proposal = propose(RESTART_PODS, context)
    assert proposal.approve is not None
    with holding(context.audit.history, "deployment/orders", holder="raise_pool_size by bob"):
        outcome = proposal.approve(None)
    assert "raise_pool_size by bob" in outcome.text
    assert cluster.writes() == []
    assert proposal.approve(None).status == "executed"


@pytest.mark.parametrize("action", [RAISE_POOL_SIZE, SET_CACHE_TTL, RESTORE_CONFIGURATION], ids=lambda action: str(action.name))
@pytest.mark.parametrize("held", ["configmap/orders-config", "deployment/orders"])
def test_a_change_of_a_config_map_waits_for_those_of_the_deployment_that_it_restarts(
    tmp_path: Path, cluster: Cluster, api: ApiClient, action: Action, held: str
) -> None:
    config_map = cluster.objects["configmaps", "orders-config"]
    config_map["data"] |= {"CACHE_TTL": "5"}
    applied = {"data": {"DATABASE_POOL_SIZE": "50"}}
    config_map["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied)}
    fields = a_service().model_dump(exclude_unset=True)
    cache = {"lifetime": {"key": "CACHE_TTL", "usual_seconds": 600}}
    service = Service.model_validate(fields | {"components": fields["components"] | {"cache": cache}})
    context = a_context(tmp_path, api_client=api, service=service)
    proposal = propose(action, context)
    assert proposal.approve is not None, proposal.outcome.text
    with holding(context.audit.history, held, holder="rollback_deployment by bob"):
        outcome = proposal.approve(None)
    assert f"another change of {held} is under way (rollback_deployment by bob)" in outcome.text
    assert cluster.writes() == []
    assert proposal.approve(None).status == "executed"


def test_while_a_config_map_is_changed_nobody_else_rolls_its_deployment_out(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    meanwhile: list[Outcome] = []

    def somebody_else_restarts(_: str) -> None:
        if not meanwhile:
            other = propose(RESTART_PODS, a_context(tmp_path, api_client=api, incident="incident-2"))
            assert other.approve is not None
            meanwhile.append(other.approve(None))

    proposal = propose(RAISE_POOL_SIZE, replace(a_context(tmp_path, api_client=api), progress=somebody_else_restarts))
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert "another change of deployment/orders is under way (raise_pool_size of incident incident-1" in meanwhile[0].text


def test_when_the_second_step_fails_the_first_is_taken_back_and_both_are_told(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    context = a_context(tmp_path, api_client=api)
    proposal = propose(RAISE_POOL_SIZE, context)
    cluster.fails["PATCH deployments"] = "500"
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "failed"
    assert "step 2 of 2" in outcome.text
    assert [step.rpartition(": ")[2] for step in outcome.steps[::2]] == ["done", "taken back"]
    assert cluster.objects["configmaps", "orders-config"]["data"]["DATABASE_POOL_SIZE"] == "10"
    assert audit_of(context) == ["intent", "outcome"]
    assert proposal.undo is None


def test_what_could_not_be_taken_back_is_told_too(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    context = a_context(tmp_path, api_client=api)

    def somebody_else_edits(text: str) -> None:
        if "restart" in text:
            cluster.objects["configmaps", "orders-config"]["data"]["DATABASE_POOL_SIZE"] = "99"
            cluster.touch("configmaps", "orders-config")

    proposal = propose(RAISE_POOL_SIZE, replace(context, progress=somebody_else_edits))
    cluster.fails["PATCH deployments"] = "500"
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert "not all that was done before could be taken back" in outcome.text
    assert cluster.objects["configmaps", "orders-config"]["data"]["DATABASE_POOL_SIZE"] == "99"


def test_a_write_whose_answer_was_lost_is_looked_up_and_not_repeated(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = propose(RESTART_PODS, a_context(tmp_path, api_client=api))
    cluster.fails["PATCH deployments"] = "lost"
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert len(cluster.writes()) == 1


def test_a_rollout_that_hangs_is_a_failure_with_its_reason_and_the_way_back(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    cluster.stuck = True
    proposal = propose(RAISE_POOL_SIZE, a_context(tmp_path, api_client=api))
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert outcome.status == "failed"
    assert "CrashLoopBackOff, last exit 1" in outcome.text
    assert proposal.undo is not None
    cluster.stuck = False
    assert proposal.undo().status == "undone"
    assert cluster.objects["configmaps", "orders-config"]["data"]["DATABASE_POOL_SIZE"] == "10"


@pytest.mark.parametrize(
    ("readings", "effect"),
    [
        ((0.31, 0.001), "better"),
        ((0.31, 0.30), "same"),
        ((0.31, 0.6), "worse"),
        ((None, 0.2), "unknown"),
        ((0.31, None), "unknown"),
    ],
)
def test_the_effect_is_read_from_the_symptom_itself(
    tmp_path: Path, cluster: Cluster, api: ApiClient, readings: Any, effect: str
) -> None:
    proposal = propose(RAISE_POOL_SIZE, a_context(tmp_path, api_client=api, readings=readings))
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert (outcome.status, outcome.effect) == ("executed", effect)
    assert ("Take it back at once: kubectl" in outcome.text) == (effect == "worse")
    assert proposal.undo is not None


def test_stopping_the_waiting_does_not_lose_the_outcome(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    context = replace(a_context(tmp_path, api_client=api, readings=(0.31,)), sleep=interrupted)
    proposal = propose(RESTART_PODS, context)
    assert proposal.approve is not None
    outcome = proposal.approve(None)
    assert (outcome.status, outcome.effect) == ("executed", "unknown")
    assert "interrupted" in outcome.effect_text
    assert audit_of(context) == ["intent", "outcome", "effect"]


def test_a_change_that_nobody_told_the_end_of_is_warned_of(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    context = a_context(tmp_path, api_client=api)
    context.audit.append("intent", {"action": "restart_pods", "target": "deployment/orders", "plan": "lost"})
    assert "what came of it is not known" in plan_of(propose(RESTART_PODS, context)).warnings[-1]


def died_in_the_middle(tmp_path: Path, api: ApiClient, *, clock: Clock, environment: str = "test") -> None:
    """An earlier incident, whose process was killed after it wrote the intent."""
    of = {"service": "orders", "environment": environment, "incident": "incident-0", "namespace": "shop"}
    what = {"action": "restart_pods", "target": "deployment/orders", "plan": "lost"}
    a_context(tmp_path, api_client=api, incident="incident-0", clock=clock).audit.append("intent", of | what)


def test_a_change_that_another_incident_left_in_its_middle_is_warned_of(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    clock = Clock()
    died_in_the_middle(tmp_path, api, clock=clock)
    context = a_context(tmp_path, api_client=api, clock=clock)
    assert "in incident incident-0, and what came of it is not known" in plan_of(propose(RESTART_PODS, context)).warnings[-1]
    clock.now += timedelta(hours=25)
    assert not any("is not known" in warning for warning in plan_of(propose(RESTART_PODS, context)).warnings)


def test_what_another_environment_left_is_not_told(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    clock = Clock()
    died_in_the_middle(tmp_path, api, clock=clock, environment="staging")
    warnings = plan_of(propose(RESTART_PODS, a_context(tmp_path, api_client=api, clock=clock))).warnings
    assert not any("is not known" in warning for warning in warnings)


def test_with_nobody_awake_what_may_be_half_changed_is_left_until_a_person_has_changed_it(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    clock = Clock()
    died_in_the_middle(tmp_path, api, clock=clock)

    def alerted(incident: str) -> Outcome:
        context = a_context(
            tmp_path,
            mode="alert",
            api_client=api,
            clock=clock,
            incident=incident,
            service=a_service({"auto_approve": ["restart_pods"]}),
            diagnosis=a_diagnosis(action="restart_pods"),
        )
        outcome = propose(RESTART_PODS, context).outcome
        assert outcome is not None
        return outcome

    refused = alerted("incident-1")
    assert refused.refusal is not None
    assert (refused.status, refused.refusal.by) == ("refused", "one at a time")
    assert "in incident incident-0" in refused.text
    by_hand = propose(RESTART_PODS, a_context(tmp_path, api_client=api, clock=clock, incident="incident-2"))
    assert by_hand.approve is not None
    assert by_hand.approve(None).status == "executed"
    assert alerted("incident-3").status == "executed"


def test_no_secret_reaches_the_audit(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.objects["configmaps", "orders-config"]["data"]["API_TOKEN"] = "hunter2"
    applied = {"data": {"DATABASE_POOL_SIZE": "50", "API_TOKEN": "swordfish"}}
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied)}
    cluster.objects["configmaps", "orders-config"]["metadata"]["annotations"] = annotations
    context = a_context(tmp_path, api_client=api)
    proposal = propose(RESTORE_CONFIGURATION, context)
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    written = context.audit.path.read_text()
    assert "API_TOKEN: (hidden) (differs)" in written
    assert "hunter2" not in written
    assert "swordfish" not in written
    assert "operator-token" not in written


def test_approvals_are_read_strictly() -> None:
    parsed = Approvals.parse("restart_pods, rollback_deployment = deployment/orders ,")
    assert parsed.targets == {"restart_pods": None, "rollback_deployment": "deployment/orders"}
    assert Approvals.parse(["restart_pods"]).targets == Approvals.parse("restart_pods").targets
    for wrong in ("restart_pods=", "=orders", "a=b,a=c"):
        with pytest.raises(UsageError):
            Approvals.parse(wrong)
    with pytest.raises(UsageError, match="did you mean restart_pods"):
        Approvals.parse("restart_pod", known=["restart_pods"])


def test_a_cluster_that_cannot_be_read_gives_a_refusal_and_no_traceback(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.fails["GET deployments"] = "500"
    outcome = propose(RESTART_PODS, a_context(tmp_path, api_client=api)).outcome
    assert outcome.status == "refused"
    assert "the store is away" in outcome.text
    assert propose(RESTART_PODS, a_context(tmp_path)).outcome.refusal is not None


def test_what_the_clusters_own_rules_reject_is_told_before_anybody_approves(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    cluster.fails["PATCH deployments"] = "admission"
    outcome = propose(RESTART_PODS, a_context(tmp_path, api_client=api)).outcome
    assert outcome.refusal is not None
    assert outcome.refusal.by == "the cluster"
    assert "quota" in outcome.refusal.reason
    assert outcome.refusal.mend == "see what its admission rules want"  # and no permission, which it has
