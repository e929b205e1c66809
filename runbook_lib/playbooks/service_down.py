"""Service completely down: no pod is ready, or nearly every request fails or does not arrive."""

from __future__ import annotations

from runbook_lib.checks.availability import availability, availability_symptom
from runbook_lib.checks.changes import recent_changes
from runbook_lib.checks.connectivity import connectivity
from runbook_lib.checks.crash_logs import crash_logs
from runbook_lib.checks.database_readiness import database_readiness
from runbook_lib.checks.endpoints import endpoints
from runbook_lib.checks.logs import error_logs
from runbook_lib.checks.network_policies import network_policies
from runbook_lib.checks.pod_states import pod_states
from runbook_lib.checks.pods import pod_status
from runbook_lib.checks.references import references
from runbook_lib.models.cause import ByHand, CauseRule, ExplainedBy, Remedy
from runbook_lib.playbooks.conjunctions.outage import OUTAGE_CONJUNCTIONS
from runbook_lib.playbooks.declaration import CheckStep, Playbook
from runbook_lib.playbooks.shared import (
    NEW_CODE_BREAKS_CONSTRAINTS,
    NEW_CODE_MISSES_SCHEMA,
    NEW_CODE_THROWS,
    WHERE_NO_REVISION_IS_KNOWN,
    WHERE_THE_DATABASE_REFUSES,
    WHERE_THE_SCHEMA_DOES_NOT_FIT,
)

_DATABASE_ERRORS = ("log_database_errors", "log_database_pool_errors", "crash_speaks_of_database")
_OF_A_CHANGE = {
    "pods_crashed": (
        "new_pods_crash",
        "crash_over_changed_setting",
        "crash_over_changed_address",
        "new_probe_fails",
        "new_limit_kills",
    ),
    "image_or_reference_missing": ("new_image_is_missing", "new_reference_is_missing"),
    "out_of_resources": ("new_size_does_not_fit",),
    "pods_not_set_up": ("new_volume_is_missing",),
    "pods_not_created": ("new_pods_are_refused",),
}


def _by_a_change(cause: str) -> tuple[ExplainedBy, ...]:
    """What follows from a recent change is not a second cause."""
    return tuple(ExplainedBy(cause="bad_deployment", when=(name,)) for name in _OF_A_CHANGE[cause])


PLAYBOOK = Playbook(
    name="service_down",
    title="Service completely down",
    when_to_use="The alert 'service is unreachable', all health checks fail, or every request fails.",
    alert="ServiceDown",
    symptom=availability_symptom,
    symptom_checks=("availability",),
    checks=(
        CheckStep(name="availability", title="Availability", run=availability, needs=("prometheus", "kubernetes")),
        CheckStep(name="pod_status", title="Pods", run=pod_status, needs=("kubernetes",)),
        CheckStep(name="pod_states", title="Why pods are not ready", run=pod_states, needs=("kubernetes",)),
        CheckStep(name="crash_logs", title="Last words of crashed containers", run=crash_logs, needs=("logs",)),
        CheckStep(name="recent_changes", title="Recent changes", run=recent_changes, needs=("kubernetes",)),
        CheckStep(name="references", title="Config maps and secrets", run=references, needs=("kubernetes",)),
        CheckStep(
            name="database_readiness", title="Database readiness", run=database_readiness, needs=("postgres", "kubernetes")
        ),
        CheckStep(name="error_logs", title="Errors in the logs", run=error_logs, needs=("logs",)),
        CheckStep(
            name="connectivity", title="Connections from inside the pods", run=connectivity, needs=("kubernetes", "prometheus")
        ),
        CheckStep(name="endpoints", title="Endpoints", run=endpoints, needs=("kubernetes",)),
        CheckStep(name="network_policies", title="Network policies", run=network_policies, needs=("kubernetes",)),
    ),
    conjunctions=(NEW_CODE_THROWS, NEW_CODE_MISSES_SCHEMA, NEW_CODE_BREAKS_CONSTRAINTS, *OUTAGE_CONJUNCTIONS),
    causes=(
        CauseRule(
            name="bad_deployment",
            title="Configuration error of a recent deployment",
            mechanism=(
                ("rollout_before_onset", "configuration_changed"),
                (
                    *(name for names in _OF_A_CHANGE.values() for name in names),
                    "new_code_throws",
                    "new_code_misses_schema",
                    "new_code_breaks_constraints",
                ),
            ),
            onset=("rollout_before_onset", "configuration_changed"),
            supports=("crash_over_changed_setting", "crash_over_changed_address", "crash_speaks_of_configuration"),
            remedies=(
                Remedy(action="rollback_deployment", when=("rollout_before_onset",)),
                Remedy(action="restore_configuration", when=("configuration_changed",)),
            ),
            lookback_seconds=3600,
            by_hand=WHERE_NO_REVISION_IS_KNOWN,
        ),
        CauseRule(
            name="database_down",
            title="Database down",
            mechanism=(("database_pods_down", "database_unreachable"), ("database_is_gone", *_DATABASE_ERRORS)),
            onset=("database_pods_down", *_DATABASE_ERRORS),
            supports=("log_database_errors", "database_is_gone"),
            # A policy that closes the way to it may close ours as well.
            explained_by=(ExplainedBy(cause="network_partition", when=("egress_is_denied",)),),
            remedies=(Remedy(action="restart_database"),),
        ),
        CauseRule(
            name="database_refuses",
            title="Database answers, but turns the service down",
            mechanism=(("crash_speaks_of_refusal",), ("pods_crashing",)),
            onset=("pods_crashing",),
            supports=("log_database_statement_errors",),
            explained_by=(
                ExplainedBy(cause="database_down"),
                ExplainedBy(cause="bad_deployment", when=("crash_over_changed_setting",)),
                ExplainedBy(cause="bad_deployment", when=("crash_over_changed_address",)),
                ExplainedBy(cause="bad_deployment", when=("new_pods_crash",)),
            ),
            by_hand=WHERE_THE_DATABASE_REFUSES,
        ),
        CauseRule(
            name="schema_mismatch",
            title="Database schema does not fit the code",
            mechanism=(("crash_speaks_of_schema", "log_database_schema_errors"),),
            supports=("pods_crashing",),
            explained_by=(
                ExplainedBy(cause="bad_deployment", when=("new_pods_crash",)),
                ExplainedBy(cause="bad_deployment", when=("new_code_misses_schema",)),
            ),
            by_hand=WHERE_THE_SCHEMA_DOES_NOT_FIT,
        ),
        CauseRule(
            name="network_partition",
            title="The way to the service, or to what it needs, is closed",
            mechanism=(
                ("service_leads_nowhere", "name_is_gone", "port_leads_nowhere", "clients_are_denied", "egress_is_denied"),
                (
                    "no_endpoints",
                    "requests_silent",
                    "connects_fail",
                    "log_downstream_errors",
                    "log_cache_errors",
                    *_DATABASE_ERRORS,
                ),
            ),
            onset=(
                "service_selects_no_pod",
                "service_gone",
                "service_port_unknown",
                "policy_denies_clients",
                "policy_denies_egress",
            ),
            supports=("requests_silent", "connects_fail"),
            remedies=(
                Remedy(action="fix_service_selector", when=("service_leads_nowhere",)),
                Remedy(action="delete_network_policy", when=("policy_removable",), unless=("service_leads_nowhere",)),
            ),
            lookback_seconds=3600,
            by_hand=(
                "compare the Service and its ports with the manifest in version control (kubectl diff -f), and apply that again."
            ),
        ),
        CauseRule(
            name="image_or_reference_missing",
            title="An image, config map or secret is missing",
            mechanism=(("image_unavailable", "pod_reference_missing"),),
            supports=("reference_missing",),
            explained_by=_by_a_change("image_or_reference_missing"),
            by_hand=(
                "create what is missing under the name that the pods ask for (kubectl create secret, kubectl create configmap),"
                " or push the image."
            ),
        ),
        CauseRule(
            name="out_of_resources",
            title="No node has room for the pods",
            mechanism=(("pods_without_room", "node_gone"),),
            explained_by=_by_a_change("out_of_resources"),
            by_hand=(
                "give the pods a node: kubectl uncordon one, add one, or lower what the pods ask for; kubectl describe pod says"
                " what each node lacks."
            ),
        ),
        CauseRule(
            name="pods_not_set_up",
            title="A volume or the network of the pods cannot be set up",
            mechanism=(("pod_cannot_be_set_up",),),
            # A node that is lost holds on to its volumes.
            explained_by=(*_by_a_change("pods_not_set_up"), ExplainedBy(cause="out_of_resources", when=("node_gone",))),
            by_hand=(
                "see which it is (kubectl describe pod): free a volume that another node holds (kubectl get volumeattachment; the"
                " pod before may hold it, too), mend what provides it, or bring the network plugin back (its pods in kube-system)"
                " and give it addresses: a subnet may be full."
            ),
        ),
        CauseRule(
            name="gate_unmet",
            title="The pods wait for a gate that is set from outside",
            mechanism=(("gate_unmet",),),
            by_hand=(
                "see who is to set it (spec.readinessGates, spec.schedulingGates; kubectl describe pod), and whether that works:"
                " the load balancer's controller and its health check of the pods, or the queue and its quota that admit them."
            ),
        ),
        CauseRule(
            name="pods_not_created",
            title="The cluster refuses to create the pods",
            mechanism=(("pods_not_created",),),
            explained_by=_by_a_change("pods_not_created"),
            by_hand=(
                "read who refuses, and why (kubectl describe replicaset): raise the quota, bring the admission webhook back,"
                " create the service account, or change what the policy does not allow."
            ),
        ),
        CauseRule(
            name="scaled_to_zero",
            title="The deployment is scaled to 0",
            mechanism=(("scaled_to_zero",),),
            remedies=(Remedy(action="scale_deployment"),),
        ),
        CauseRule(
            name="deployment_deleted",
            title="The deployment is not there",
            mechanism=(("deployment_gone",),),
            by_hand=(
                "apply its manifest again from version control (kubectl apply -f); its revisions went with it, so that there is"
                " nothing to roll back to."
            ),
        ),
        CauseRule(
            name="pods_crashed",
            title="Pods crash, or do not become ready",
            mechanism=(("pods_crashing", "pods_oom_killed", "probes_failing"),),
            supports=("liveness_kills", "crash_speaks_of_application", "crash_speaks_of_configuration"),
            explained_by=(
                *_by_a_change("pods_crashed"),
                ExplainedBy(cause="database_down", when=("crash_speaks_of_database",)),
                ExplainedBy(cause="database_refuses"),
                ExplainedBy(cause="schema_mismatch", when=("crash_speaks_of_schema",)),
                *(
                    ExplainedBy(cause="database_down", when=(probe, name))
                    for probe in ("probes_failing", "liveness_kills")
                    for name in _DATABASE_ERRORS
                ),
                ExplainedBy(cause="network_partition", when=("egress_is_denied",)),
            ),
            # Who runs and does not answer hangs. Who crashes begins anew by itself, and so does whom a liveness probe ends.
            remedies=(
                Remedy(
                    action="restart_pods", when=("probes_failing",), unless=("pods_crashing", "pods_oom_killed", "liveness_kills")
                ),
            ),
            by_hand=(
                "read the last words of the crash (kubectl logs POD --previous; kubectl describe pod, where no container ever"
                " started), and take them to those who know the code; look for what changed outside of the cluster, too."
            ),
            by_hand_when=(
                ByHand(
                    text=(
                        "the application does not end by itself, the kubelet ends it: see what its liveness or startup probe"
                        " waits for, and how long an answer takes (kubectl describe pod); give it more time (timeoutSeconds,"
                        " failureThreshold) until that is mended."
                    ),
                    when=("liveness_kills",),
                ),
            ),
        ),
    ),
    actions=(
        "restart_database",  # before the pods that need it: without it new ones do not become ready
        "rollback_deployment",
        "restore_configuration",
        "restart_pods",
        "fix_service_selector",
        "delete_network_policy",
        "scale_deployment",
        "run_test_pod",
    ),
    prevention=(
        "Give every container a readiness probe that needs what a request needs, and a liveness probe that needs nothing else.",
        "Set a PodDisruptionBudget, and spread the replicas over nodes and zones.",
        "Check configuration before it is rolled out: a pod that cannot start must fail the rollout, and replace none.",
        "Serve from more than one region, and let the database fail over.",
        "Hold disaster recovery drills regularly, and game days in between, in which each of these causes is practised.",
    ),
    not_this_issue=(("requests that fail while pods are ready", "high_error_rate"),),
)
