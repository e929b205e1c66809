"""One namespace of a Kubernetes cluster, read with the identity of the service file."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import SourceError, SourceMissingObject, SourceNotConfigured, SourceRefused
from runbook_lib.models.command import CommandResult
from runbook_lib.models.finding import SourceStatus
from runbook_lib.models.frame import Frame
from runbook_lib.models.selectors import selector_text
from runbook_lib.models.window import Window
from runbook_lib.service.models import KubernetesConnection
from runbook_lib.sources import kubernetes_access
from runbook_lib.sources.configuration import CHANGE_COLUMNS, change_rows, config_map_facts
from runbook_lib.sources.container import Container
from runbook_lib.sources.events import EVENT_COLUMNS, event_rows
from runbook_lib.sources.kubeconfig import open_client
from runbook_lib.sources.kubernetes_api import Kind, KubernetesApi, Listing
from runbook_lib.sources.managed_fields import keys_written
from runbook_lib.sources.networking import (
    ENDPOINT_COLUMNS,
    POLICY_COLUMNS,
    endpoint_rows,
    legacy_endpoint_rows,
    policy_rows,
    service_facts,
    slices_changed_at,
)
from runbook_lib.sources.nodes import NODE_COLUMNS, node_rows
from runbook_lib.sources.pods import METRIC_COLUMNS, POD_COLUMNS, metric_rows, pod_row
from runbook_lib.sources.rollout import HISTORY_COLUMNS, RolloutFacts, history_rows, owned_by, reused
from runbook_lib.sources.tables import table
from runbook_lib.sources.templates import DIFF_COLUMNS, difference
from runbook_lib.sources.workloads import autoscaler_of, budget_of, deployment_facts, managed_by, revision_of

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["PODS", "KubernetesCluster"]

PODS = Kind("pods")
_CONFIG_MAPS = Kind("configmaps")
_SECRETS = Kind("secrets")
_SERVICES = Kind("services")
_EVENTS = Kind("events")
_ENDPOINTS = Kind("endpoints")
_DEPLOYMENTS = Kind("deployments", "apps")
_REPLICA_SETS = Kind("replicasets", "apps")
_AUTOSCALERS = Kind("horizontalpodautoscalers", "autoscaling", "v2")
_BUDGETS = Kind("poddisruptionbudgets", "policy")
_SLICES = Kind("endpointslices", "discovery.k8s.io")
_POLICIES = Kind("networkpolicies", "networking.k8s.io")
_NODES = Kind("nodes", namespaced=False)
_POD_METRICS = Kind("pods", "metrics.k8s.io", "v1beta1")
_NODE_METRICS = Kind("nodes", "metrics.k8s.io", "v1beta1", namespaced=False)

_MAXIMUM_EVENTS_READ = 50_000  # the API lists them by name: the newest are known only when all were read
_MAXIMUM_EVENTS = 2_000
_MAXIMUM_NODES = 2_000


class KubernetesCluster:
    """Reads one namespace; see `Cluster` in interface.py for what each method answers.

    Nothing is opened before the first question. `attrs["notes"]` of a frame says in sentences what could not be read;
    `attrs["truncated"]` how many objects were left out. container: the application's, whose last end is told before others'.
    """

    name = "kubernetes"

    def __init__(
        self, connection: KubernetesConnection, *, version_label: str | None = None, container: str | None = None
    ) -> None:
        self.namespace = connection.namespace
        self._container = container
        self._connection = connection
        self._version_label = version_label
        self._context = connection.context
        self._impersonate = connection.impersonate
        self._operator: KubernetesCluster | None = None
        self.api = KubernetesApi(self._log_in, namespace=connection.namespace, seconds=connection.timeout_seconds)

    def _log_in(self) -> Any:
        return open_client(self._connection, context=self._context, impersonate=self._impersonate)

    @property
    def api_client(self) -> ApiClient:
        """The official client with this identity. Raises SourceUnreachable when there is nothing to log in with."""
        return self.api.client

    def operator(self) -> KubernetesCluster:
        """The same namespace with the identity for changes; this cluster itself when the service file names no other.

        The operator's context is an identity of its own, so that `impersonate` does not apply to it.
        """
        if self._connection.operator_context is None:
            return self
        if self._operator is None:
            context = {"context": self._connection.operator_context, "impersonate": None, "operator_context": None}
            self._operator = KubernetesCluster(
                self._connection.model_copy(update=context), version_label=self._version_label, container=self._container
            )
        return self._operator

    def kubectl(self, *words: str) -> str:
        """The command that asks the same question by hand."""
        context = ["--context", self._context] if self._context else []
        impersonated = [f"--as={self._impersonate}"] if self._impersonate else []
        return shlex.join(["kubectl", "-n", self.namespace, *context, *impersonated, *words])

    def probe(self) -> SourceStatus:
        """Ask whether we may list pods: the cheapest question that shows both the server and the identity to work."""
        started = time.monotonic()
        try:
            allowed = self.can("list", "pods")
        except SourceError as error:
            return SourceStatus(name=self.name, status=error.status, error=error.reason, seconds=None)
        seconds = time.monotonic() - started
        if not allowed:
            reason = f"cannot list pods in namespace {self.namespace}; needs verb list on pods"
            return SourceStatus(name=self.name, status="refused", error=reason, seconds=seconds)
        return SourceStatus(name=self.name, status="ok", seconds=seconds)

    def close(self) -> None:
        """Close the connections, the operator's too."""
        if self._operator is not None:
            self._operator.close()
        self.api.close()

    def identity(self) -> str:
        """Who the cluster takes us for."""
        return kubernetes_access.identity(self.api)

    def can(self, verb: str, resource: str, *, group: str = "", name: str | None = None, subresource: str | None = None) -> bool:
        """Whether this identity may do that in this namespace."""
        return kubernetes_access.can(self.api, verb, resource, group=group, name=name, subresource=subresource)

    def pods(self, selector: str) -> Frame:
        """The pods of a selector. Also has `message`: the cluster's own words on a state that is not `running`."""
        listing = self.api.list(PODS, labels=selector)
        replica_sets, notes = self._optional(_REPLICA_SETS, labels=selector) if listing.items else (Listing(), [])
        found = {one["metadata"]["uid"]: revision_of(one["metadata"]) for one in replica_sets.items}
        revisions = {uid: revision for uid, revision in found.items() if revision is not None}
        rows = [pod_row(pod, revisions, self._version_label, self._container) for pod in listing.items]
        return self._table(rows, POD_COLUMNS, "get", "pods", "-l", selector, "-o", "wide", left_out=listing.left_out, notes=notes)

    def events(self, *, window: Window, names: Sequence[str] = ()) -> Frame:
        """Events of the window, oldest first; when there are too many, the newest."""
        listing = self.api.list(_EVENTS, maximum=_MAXIMUM_EVENTS_READ)
        rows = event_rows(listing.items, window=window, names=names)
        left_out = listing.left_out + max(0, len(rows) - _MAXIMUM_EVENTS)
        return self._table(rows[-_MAXIMUM_EVENTS:], EVENT_COLUMNS, "get", "events", "--sort-by=.lastTimestamp", left_out=left_out)

    def deployment(self, name: str) -> Mapping[str, Any]:
        """What an engineer asks of a deployment first, and `managed_by`: the GitOps controller that puts it back, if any."""
        return deployment_facts(self.api.get(_DEPLOYMENTS, name))

    def rollout_history(self, deployment: str) -> Frame:
        """The kept revisions. `attrs["managed_by"]` names the GitOps controller that would undo a rollback."""
        facts, notes = self._rollout_facts(deployment)
        built = self._table(history_rows(facts), HISTORY_COLUMNS, "rollout", "history", f"deployment/{deployment}", notes=notes)
        built.attrs["managed_by"] = managed_by(facts.deployment["metadata"])
        return built

    def _rollout_facts(self, name: str) -> tuple[RolloutFacts, list[str]]:
        deployment, replica_sets = self._revisions(name)
        pods, notes = self._optional(PODS, labels=selector_text(deployment["spec"].get("selector")))
        events = Listing()
        if any(reused(one) for one in replica_sets):
            about = f"involvedObject.kind=Deployment,involvedObject.name={name}"
            events, more = self._optional(_EVENTS, fields=about)
            notes = [*notes, *more]
        return RolloutFacts(deployment=deployment, replica_sets=replica_sets, pods=pods.items, events=events.items), notes

    def _revisions(self, name: str) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
        deployment = self.api.get(_DEPLOYMENTS, name)
        listing = self.api.list(_REPLICA_SETS, labels=selector_text(deployment["spec"].get("selector")))
        return deployment, owned_by(deployment, listing.items)

    def rollout_diff(self, deployment: str, *, old: int, new: int) -> Frame:
        """What differs between two revisions. Raises SourceMissingObject when one of them is not kept any more."""
        _, replica_sets = self._revisions(deployment)
        kept = {revision_of(one["metadata"]): one["spec"].get("template") or {} for one in replica_sets}
        for revision in (old, new):
            if revision not in kept:
                known = ", ".join(str(number) for number in sorted(number for number in kept if number is not None))
                reason = f"deployment/{deployment} has no revision {revision}; it keeps {known or 'none'} (revisionHistoryLimit)"
                raise SourceMissingObject(self.name, reason)
        words = ("rollout", "history", f"deployment/{deployment}", "--revision")
        built = self._table(difference(kept[old], kept[new]), DIFF_COLUMNS, *words, str(new))
        built.attrs["command"] = f"diff <({self.kubectl(*words, str(old))}) <({self.kubectl(*words, str(new))})"
        return built

    def config_map(self, name: str) -> Mapping[str, Any]:
        """A config map, and when and by which program (`updated_by`) its content was last written."""
        return config_map_facts(self.api.get(_CONFIG_MAPS, name))

    def config_changes(self, names: Sequence[str], *, window: Window) -> Frame:
        """What changed in these config maps. `attrs["missing"]` names those that do not exist."""
        rows: list[tuple[Any, ...]] = []
        missing = []
        for name in names:
            try:
                rows.extend(change_rows(self.api.get(_CONFIG_MAPS, name), window=window))
            except SourceMissingObject:
                missing.append(name)
        notes = [f"config map {name} does not exist" for name in missing]
        built = self._table(rows, CHANGE_COLUMNS, "get", "configmap", *names, "-o", "yaml", "--show-managed-fields", notes=notes)
        built.attrs["missing"] = missing
        return built

    def secret_keys(self, name: str) -> list[str]:
        """The keys of a secret, from the records of who wrote them: its values stay in the cluster."""
        return keys_written(self.api.metadata(_SECRETS, name), "f:data")

    def service(self, name: str) -> Mapping[str, Any]:
        """A Service: whom it selects, and when that was last written."""
        return service_facts(self.api.get(_SERVICES, name))

    def endpoints(self, service: str) -> Frame:
        """The addresses behind a service. An identity that may not read EndpointSlices reads the older Endpoints instead."""
        words = ["get", "endpointslices", "-l", f"kubernetes.io/service-name={service}", "-o", "wide"]
        changed = None
        try:
            slices = self.api.list(_SLICES, labels=f"kubernetes.io/service-name={service}").items
            rows, changed = endpoint_rows(slices), slices_changed_at(slices)
        except SourceRefused as refused:
            words = ["get", "endpoints", service, "-o", "wide"]
            try:
                rows = legacy_endpoint_rows(self.api.get(_ENDPOINTS, service))
            except SourceMissingObject:
                rows = []
            except SourceRefused:
                raise refused from None
        built = self._table(rows, ENDPOINT_COLUMNS, *words)
        built.attrs["changed_at"] = changed
        return built

    def autoscaler(self, deployment: str) -> Mapping[str, Any] | None:
        """The autoscaler of a deployment, None when there is none."""
        return autoscaler_of(self.api.list(_AUTOSCALERS).items, deployment)

    def disruption_budget(self, labels: Mapping[str, str]) -> Mapping[str, Any] | None:
        """The disruption budget of pods with these labels, None when there is none."""
        return budget_of(self.api.list(_BUDGETS).items, labels)

    def network_policies(self, labels: Mapping[str, str]) -> Frame:
        """The policies that select pods with these labels, in sentences."""
        return self._table(
            policy_rows(self.api.list(_POLICIES).items, labels), POLICY_COLUMNS, "get", "networkpolicies", "-o", "yaml"
        )

    def run_command(
        self, pod: str, command: Sequence[str], *, container: str | None = None, seconds: float = 5.0
    ) -> CommandResult:
        """Run a command in a container of a pod, and wait for its end: with the identity that reads, else with the operator's.

        Many a reader may not exec, since exec can do anything; the commands that are run here only look.
        """
        try:
            return self._run_command(pod, command, container, seconds)
        except SourceRefused:
            if self.operator() is self:
                raise
            return self.operator().run_command(pod, command, container=container, seconds=seconds)

    def _run_command(self, pod: str, command: Sequence[str], container: str | None, seconds: float) -> CommandResult:
        name = container or str(self.api.get(PODS, pod)["spec"]["containers"][0]["name"])
        return Container(self.api_client, self.namespace, pod, name, seconds).run(command)

    def pod_metrics(self, selector: str) -> Frame:
        """CPU and memory now. Raises SourceNotConfigured when the cluster has no metrics-server."""
        try:
            listing = self.api.list(_POD_METRICS, labels=selector)
        except SourceMissingObject as error:
            reason = "the cluster serves no metrics.k8s.io API; install metrics-server to read CPU and memory from it"
            raise SourceNotConfigured(self.name, reason) from error
        words = ("top", "pods", "-l", selector, "--containers")
        return self._table(metric_rows(listing.items), METRIC_COLUMNS, *words, left_out=listing.left_out)

    def nodes(self) -> Frame:
        """The nodes of the cluster, with what they use where metrics-server tells."""
        listing = self.api.list(_NODES, maximum=_MAXIMUM_NODES)
        usage, notes = self._optional(_NODE_METRICS)
        rows = node_rows(listing.items, usage.items)
        return self._table(rows, NODE_COLUMNS, "describe", "nodes", left_out=listing.left_out, notes=notes)

    def _optional(self, kind: Kind, *, labels: str = "", fields: str = "") -> tuple[Listing, list[str]]:
        """A list that only adds detail: what cannot be read is a note, and the answer goes without it."""
        try:
            return self.api.list(kind, labels=labels, fields=fields), []
        except SourceError as error:
            return Listing(), [error.reason]

    def _table(
        self, rows: Iterable[Sequence[Any]], columns: Mapping[str, str], *words: str, left_out: int = 0, notes: Sequence[str] = ()
    ) -> Frame:
        command = self.kubectl(*words)
        built = table(rows, columns, source=self.name, query=" ".join(words), command=command)
        told = [*notes, *([f"{left_out} more were left out"] if left_out else [])]
        built.attrs.update({"notes": told, "truncated": left_out})
        return built
