"""What two signs of an outage say together: which of them a change explains, and which ways lead nowhere."""

from __future__ import annotations

from runbook_lib.models.cause import Conjunction

__all__ = ["OUTAGE_CONJUNCTIONS"]

_NEW_PODS_CRASH = Conjunction(
    name="new_pods_crash",
    all_of=("diff_changes_code", "pods_crashing"),
    none_of=("crash_speaks_of_database",),
    text="the pods crash since a change to them",
    close_in_time=True,
)
_NEW_IMAGE_IS_MISSING = Conjunction(
    name="new_image_is_missing",
    all_of=("diff_changes_code", "image_unavailable"),
    text="the image cannot be pulled since a rollout named it",
    close_in_time=True,
)
_NEW_REFERENCE_IS_MISSING = Conjunction(
    name="new_reference_is_missing",
    all_of=("rollout_before_onset", "diff_names_references", "pod_reference_missing"),
    text="the pods need what is not there since a rollout named it",
    close_in_time=True,
)
_NEW_PROBE_FAILS = Conjunction(
    name="new_probe_fails",
    all_of=("diff_changes_code", "probes_failing"),
    text="the pods do not become ready since a change to them",
    close_in_time=True,
)
_NEW_SIZE_DOES_NOT_FIT = Conjunction(
    name="new_size_does_not_fit",
    all_of=("diff_asks_for_more", "pods_without_room"),
    text="no node has room for the pods since a change asked for more",
    close_in_time=True,
)
# Of what a node does to set up a pod only the volumes are the pod's to name.
_NEW_VOLUME_IS_MISSING = Conjunction(
    name="new_volume_is_missing",
    all_of=("diff_changes_volumes", "pod_cannot_be_set_up"),
    text="the pods cannot be set up since a rollout changed their volumes",
    close_in_time=True,
)
_NEW_PODS_ARE_REFUSED = Conjunction(
    name="new_pods_are_refused",
    all_of=("diff_changes_code", "pods_not_created"),
    text="the cluster refuses to create the pods since a change to them",
    close_in_time=True,
)
_NEW_LIMIT_KILLS = Conjunction(
    name="new_limit_kills",
    all_of=("diff_shrinks_memory", "pods_oom_killed"),
    text="the pods are killed since a change lowered their memory limit",
    close_in_time=True,
)
_CRASH_NAMES_SETTING = Conjunction(
    name="crash_over_changed_setting",
    all_of=("pods_crashing", "crash_names_changed_setting"),
    text="the pods crash over a setting that was changed",
)
# A right address of what is down is named in the same words: there has to be somebody who answers.
_CRASH_NAMES_ADDRESS = Conjunction(
    name="crash_over_changed_address",
    all_of=("pods_crashing", "crash_names_changed_address"),
    none_of=("database_pods_down", "database_unreachable"),
    text="the pods crash over an address that was just changed",
    close_in_time=True,
)
_SERVICE_LEADS_NOWHERE = Conjunction(
    name="service_leads_nowhere",
    all_of=("no_endpoints", "service_selects_no_pod"),
    text="pods are ready, and the service's name leads to none of them",
)
_NAME_IS_GONE = Conjunction(
    name="name_is_gone",
    all_of=("no_endpoints", "service_gone", "requests_silent"),
    text="pods are ready, and the service by whose name they are reached was deleted",
)
_PORT_LEADS_NOWHERE = Conjunction(
    name="port_leads_nowhere",
    all_of=("service_port_unknown", "requests_silent"),
    text="the service leads to a port that the pods do not have",
)
_CLIENTS_ARE_DENIED = Conjunction(
    name="clients_are_denied",
    all_of=("policy_denies_clients", "requests_silent"),
    text="requests have ceased, and a network policy denies the way in",
)
_EGRESS_IS_DENIED = Conjunction(
    name="egress_is_denied",
    all_of=("policy_denies_egress",),
    none_of=("database_pods_down",),
    text="a network policy denies a way that the service needs",
)

_DATABASE_IS_GONE = Conjunction(
    name="database_is_gone",
    all_of=("database_pods_down", "database_unreachable"),
    text="no pod of the database is ready, and it does not answer",
)

OUTAGE_CONJUNCTIONS = (
    _NEW_PODS_CRASH,
    _NEW_IMAGE_IS_MISSING,
    _NEW_REFERENCE_IS_MISSING,
    _NEW_PROBE_FAILS,
    _NEW_SIZE_DOES_NOT_FIT,
    _NEW_VOLUME_IS_MISSING,
    _NEW_PODS_ARE_REFUSED,
    _NEW_LIMIT_KILLS,
    _CRASH_NAMES_SETTING,
    _CRASH_NAMES_ADDRESS,
    _SERVICE_LEADS_NOWHERE,
    _NAME_IS_GONE,
    _PORT_LEADS_NOWHERE,
    _CLIENTS_ARE_DENIED,
    _EGRESS_IS_DENIED,
    _DATABASE_IS_GONE,
)
