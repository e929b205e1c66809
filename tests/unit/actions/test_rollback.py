"""Rolling back: to the right revision, with the difference shown, and forward again."""

from __future__ import annotations

from pathlib import Path

from kubernetes.client import ApiClient

from runbook_lib.actions.guard import propose
from runbook_lib.actions.restart import RESTART_PODS
from runbook_lib.actions.rollback import ROLLBACK_DEPLOYMENT
from runbook_lib.models.plan import Plan, Proposal
from tests.unit.actions.cluster_api import Cluster, template
from tests.unit.actions.situations import a_context, a_diagnosis

BLAMED = a_diagnosis(action="rollback_deployment", subject="deployment/orders revision 14")


def plan_of(proposal: Proposal) -> Plan:
    assert proposal.plan is not None, proposal.outcome.text
    return proposal.plan


def present_image(cluster: Cluster) -> str:
    spec = cluster.objects["deployments", "orders"]["spec"]["template"]["spec"]
    return str(spec["containers"][0]["image"])


def test_the_revision_before_the_blamed_one_is_chosen_and_the_difference_is_the_plan(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    plan = plan_of(propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api, diagnosis=BLAMED)))
    assert plan.command == "kubectl -n shop rollout undo deployment/orders --to-revision=13"
    changed = set(plan.before.splitlines()) ^ set(plan.after.splitlines())
    assert changed == {"  - image: orders:3", "  - image: orders:2"} or changed == {"    image: orders:3", "    image: orders:2"}
    assert "pod-template-hash" not in plan.after


def test_a_rollback_rolls_out_the_old_template_and_its_reason_and_can_be_taken_forward_again(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    proposal = propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api, diagnosis=BLAMED))
    assert proposal.approve is not None
    assert proposal.approve(None).status == "executed"
    assert present_image(cluster) == "orders:2"
    annotations = cluster.objects["deployments", "orders"]["metadata"]["annotations"]
    assert annotations["kubernetes.io/change-cause"] == "release 2"
    assert proposal.undo is not None
    assert proposal.undo().status == "undone"
    assert present_image(cluster) == "orders:3"
    assert annotations != cluster.objects["deployments", "orders"]["metadata"]["annotations"]


def test_what_somebody_rolled_out_since_is_not_taken_back(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    proposal = propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api, diagnosis=BLAMED))
    assert proposal.approve is not None
    proposal.approve(None)
    cluster.deploy(16, template(image="orders:4"), created="2026-03-01T05:00:00Z")
    assert proposal.undo is not None
    assert "changed since the rollback" in proposal.undo().text
    assert present_image(cluster) == "orders:4"


def test_a_restart_of_the_bad_revision_is_not_mistaken_for_an_earlier_one(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    restarted = propose(RESTART_PODS, a_context(tmp_path, api_client=api))
    assert restarted.approve is not None
    assert restarted.approve(None).status == "executed"
    for diagnosis in (BLAMED, None):
        plan = plan_of(propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api, diagnosis=diagnosis)))
        assert plan.arguments["revision"] == 13


def test_what_began_after_the_onset_is_no_revision_to_go_back_to(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.deploy(15, template(image="orders:4"), created="2026-03-01T03:30:00Z")
    cluster.deploy(16, template(image="orders:5"), created="2026-03-01T03:40:00Z")
    plan = plan_of(propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api)))
    assert plan.arguments["revision"] == 14


def test_what_was_taken_back_already_is_no_revision_to_go_back_to_unless_what_runs_now_is_blamed(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    """Revision 14 was rolled out, and taken back to 13, which is 15 now."""
    del cluster.objects["replicasets", "orders-13"]
    cluster.deploy(15, template(), created="2026-02-28T10:00:00Z")
    assert plan_of(propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api))).arguments["revision"] == 12
    blamed = a_diagnosis(action="rollback_deployment", subject="deployment/orders revision 15")
    context = a_context(tmp_path, api_client=api, diagnosis=blamed)
    assert plan_of(propose(ROLLBACK_DEPLOYMENT, context)).arguments["revision"] == 14
    del cluster.objects["replicasets", "orders-12"]
    refused = propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api)).outcome
    assert "was rolled back to what runs now (14)" in refused.text
    assert "rollback_deployment(revision=14)" not in refused.text  # nobody shall paste the way to what was found broken


def hurried(cluster: Cluster) -> None:
    """Revision 13 did not start, and 14 was the try to mend it, five minutes later."""
    cluster.objects["replicasets", "orders-13"]["metadata"]["creationTimestamp"] = "2026-03-01T03:05:00Z"


def test_pods_that_are_still_ready_tell_the_revision_that_served(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.objects["replicasets", "orders-12"]["status"] = {"readyReplicas": 2}
    plan = plan_of(propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api, diagnosis=BLAMED)))
    assert plan.arguments["revision"] == 12
    told = "revision 13 is passed over, since none of its pods is ready and 2 of revision 12 are"
    assert told in plan.warnings


def test_a_revision_that_was_replaced_at_once_is_passed_over(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    hurried(cluster)
    plan = plan_of(propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api, diagnosis=BLAMED)))
    assert plan.arguments["revision"] == 12
    assert "revision 13 is passed over, since it was replaced 5m after it began" in plan.warnings
    cluster.objects["replicasets", "orders-13"]["status"] = {"readyReplicas": 1}
    plan = plan_of(propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api, diagnosis=BLAMED)))
    assert plan.arguments["revision"] == 13
    assert not any("revision" in warning for warning in plan.warnings)


def test_how_briefly_the_only_earlier_revision_stood_is_told(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    hurried(cluster)
    context = a_context(tmp_path, api_client=api)
    named = plan_of(propose(ROLLBACK_DEPLOYMENT, context, revision=13))
    del cluster.objects["replicasets", "orders-12"]
    for plan in (named, plan_of(propose(ROLLBACK_DEPLOYMENT, context))):
        assert plan.arguments["revision"] == 13
        assert "revision 13 may never have served: it was replaced 5m after it began" in plan.warnings


def test_what_was_taken_back_is_not_preferred_to_what_was_replaced_at_once(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    """Revision 14 was taken back to 13, which is 15 now; all within minutes."""
    del cluster.objects["replicasets", "orders-12"], cluster.objects["replicasets", "orders-13"]
    cluster.deploy(15, template(), created="2026-03-01T03:08:00Z")
    cluster.deploy(16, template(image="orders:4"), created="2026-03-01T03:12:00Z")
    blamed = a_diagnosis(action="rollback_deployment", subject="deployment/orders revision 16")
    plan = plan_of(propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api, diagnosis=blamed)))
    assert plan.arguments["revision"] == 15


def test_a_restart_shortly_before_is_no_brief_revision(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    marked = template()
    marked["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "2026-03-01T03:15:00Z"}
    cluster.deploy(14, marked, created="2026-03-01T03:05:00Z")
    cluster.deploy(15, template(image="orders:3"), created="2026-03-01T03:10:00Z")
    plan = plan_of(propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api)))
    assert plan.arguments["revision"] == 14


def test_a_revision_that_was_replaced_already_is_not_rolled_back(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.deploy(15, template(image="orders:4"), created="2026-03-01T03:30:00Z")
    outcome = propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api, diagnosis=BLAMED)).outcome
    assert "no longer the present one: that is 15" in outcome.text


def test_a_revision_can_be_named(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    context = a_context(tmp_path, api_client=api)
    assert plan_of(propose(ROLLBACK_DEPLOYMENT, context, revision=12)).arguments["revision"] == 12
    assert "kept: 12, 13, 14" in propose(ROLLBACK_DEPLOYMENT, context, revision=3).outcome.text
    assert "runs already" in propose(ROLLBACK_DEPLOYMENT, context, revision=14).outcome.text


def test_without_an_earlier_revision_it_is_refused(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    del cluster.objects["replicasets", "orders-12"], cluster.objects["replicasets", "orders-13"]
    outcome = propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api)).outcome
    assert outcome.status == "refused"
    assert "no earlier revision" in outcome.text


def test_a_template_that_needs_what_is_gone_is_refused(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    del cluster.objects["secrets", "orders-db"]
    assert (
        "needs secret/orders-db, which is gone" in propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api)).outcome.text
    )


def test_a_paused_deployment_is_refused_with_the_command_that_resumes_it(
    tmp_path: Path, cluster: Cluster, api: ApiClient
) -> None:
    cluster.objects["deployments", "orders"]["spec"]["paused"] = True
    for action in (ROLLBACK_DEPLOYMENT, RESTART_PODS):
        assert "rollout resume deployment/orders" in propose(action, a_context(tmp_path, api_client=api)).outcome.text


def test_who_would_undo_it_is_told(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    cluster.objects["deployments", "orders"]["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = "shop:orders"
    reference = {"kind": "Deployment", "name": "orders"}
    cluster.put(
        "horizontalpodautoscalers", "orders", spec={"scaleTargetRef": reference, "minReplicas": 3, "maxReplicas": 10}
    )  # fmt: skip
    warnings = plan_of(propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api))).warnings
    kept = "deployment/orders is kept by Argo CD, whose next sync takes the rollback back"
    assert f"{kept}: to let it last, change the Git repository of application shop" in warnings
    assert any("hpa/orders scales it between 3 and 10" in warning for warning in warnings)


def test_a_disruption_budget_that_a_rollout_would_break_is_told(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    deployment = cluster.objects["deployments", "orders"]
    deployment["spec"]["strategy"] = {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    selector = {"matchLabels": {"app": "orders"}}
    cluster.put("poddisruptionbudgets", "orders", spec={"selector": selector}, status={"disruptionsAllowed": 0})
    warnings = plan_of(propose(RESTART_PODS, a_context(tmp_path, api_client=api))).warnings
    assert any("pdb/orders allows 0 pods to be down" in warning for warning in warnings)


def test_secrets_of_a_template_are_not_shown_and_that_they_differ_is(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    secret = [{"name": "API_TOKEN", "value": "hunter2"}]
    cluster.deploy(15, template(env=[{"name": "API_TOKEN", "value": "swordfish"}]), created="2026-03-01T03:11:00Z")
    cluster.deploy(16, template(env=secret), created="2026-03-01T03:12:00Z")
    plan = plan_of(propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api)))
    assert "(hidden) (differs)" in plan.before
    assert "hunter2" not in plan.before + plan.after
    assert "swordfish" not in plan.before + plan.after


def test_what_follows_an_option_for_a_password_is_hidden(tmp_path: Path, cluster: Cluster, api: ApiClient) -> None:
    for revision, secret in ((15, "swordfish"), (16, "hunter2")):
        args = ["serve", "--password", secret, f"--api-token={secret}"]
        env = [{"name": "DB_PASS", "value": secret}]
        cluster.deploy(revision, template(args=args, env=env), created=f"2026-03-01T03:{revision}:00Z")
    plan = plan_of(propose(ROLLBACK_DEPLOYMENT, a_context(tmp_path, api_client=api)))
    assert "- --password\n    - (hidden) (differs)" in plan.before
    assert "--api-token=(hidden) (differs)" in plan.before
    assert "value: (hidden) (differs)" in plan.before
    assert not any(secret in plan.before + plan.after for secret in ("hunter2", "swordfish"))
