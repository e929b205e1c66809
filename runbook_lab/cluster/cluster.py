"""The lab cluster as a whole: the API, the controllers, the node with its pods, and the metrics about them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from aiohttp import web

from runbook_lab.cluster.access import Access
from runbook_lab.cluster.controllers.autoscaler import Autoscaler, Pace
from runbook_lab.cluster.controllers.cluster_ip import ClusterIPController
from runbook_lab.cluster.controllers.deployment import DeploymentController
from runbook_lab.cluster.controllers.disruption import DisruptionController
from runbook_lab.cluster.controllers.endpoints import EndpointsController
from runbook_lab.cluster.controllers.events import remove_old_events
from runbook_lab.cluster.controllers.garbage import GarbageCollector
from runbook_lab.cluster.controllers.replicaset import ReplicaSetController
from runbook_lab.cluster.controllers.scheduler import Scheduler
from runbook_lab.cluster.controllers.service_accounts import ServiceAccountController
from runbook_lab.cluster.controllers.statefulset import StatefulSetController
from runbook_lab.cluster.controllers.taints import TaintEviction
from runbook_lab.cluster.exporters.cadvisor import CadvisorCollector
from runbook_lab.cluster.exporters.kube_state import KubeStateCollector
from runbook_lab.cluster.exporters.server import serve_metrics
from runbook_lab.cluster.home_lock import HomeLock
from runbook_lab.cluster.image import Image
from runbook_lab.cluster.metadata import Object, is_true, utc_now
from runbook_lab.cluster.node.backoff import Timing
from runbook_lab.cluster.node.dns import HostsFiles
from runbook_lab.cluster.node.gate import Gate
from runbook_lab.cluster.node.kubelet import Kubelet
from runbook_lab.cluster.node.name_server import NameServer
from runbook_lab.cluster.node.network import KUBELET_PORT, PodNetwork
from runbook_lab.cluster.node.node_object import NODE_NAME
from runbook_lab.cluster.node.processes import Register
from runbook_lab.cluster.node.proxy import ServiceProxy
from runbook_lab.cluster.node.traffic import Traffic
from runbook_lab.cluster.resources import resource_of
from runbook_lab.cluster.server import ApiServer
from runbook_lab.cluster.store import NotFound, Store

_log = logging.getLogger(__name__)

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_STATE_METRICS_PORT = 8080
_EVENT_SWEEP_SECONDS = 300.0
_LOOK_SECONDS = 0.1


class Cluster:
    """A small Kubernetes cluster whose pods are processes of this machine, for as long as this object runs.

    `home` is where it keeps the kubeconfig, the pods' logs and data, and the hosts files. `images` says what the images of the
    manifests are. `namespace` is the one that the kubeconfig's contexts stand in.
    """

    def __init__(
        self,
        home: Path,
        images: Mapping[str, Image],
        *,
        namespace: str = "shop",
        timing: Timing | None = None,
        pace: Pace | None = None,
        seed: int | None = None,
    ) -> None:
        self.home = home
        self.kubeconfig = home / "kubeconfig"
        self.namespace = namespace
        self.store = Store(seed=seed)
        self.network = PodNetwork(randomness=random.Random(seed) if seed is not None else None)
        self._directory = home / "cluster"
        self._pace = pace
        self._lock = HomeLock(self._directory)
        self.hosts = HostsFiles(self.store, self._directory / "dns")
        self._traffic = Traffic(self.store, self._directory / "data")
        self._proxy = ServiceProxy(self.store, self._traffic)
        self._name_server = NameServer(self._addresses, self._traffic.asks)
        gate = Gate(admits=self._proxy.admits, delay_seconds=self._traffic.delay_seconds)
        self._traffic.on_change(gate.reconsider)
        self.kubelet = Kubelet(
            self.store,
            images=images,
            network=self.network,
            directory=self._directory,
            environment=self._pod_environment,
            gate=gate,
            timing=timing,
        )
        self._api_socket = _listen("127.0.0.1", 0)
        self._api: ApiServer | None = None
        self._runners: list[web.AppRunner] = []
        self._background: asyncio.Task[None] | None = None

    # --- what others need to know

    @property
    def api_url(self) -> str:
        """The API server's address."""
        return f"https://127.0.0.1:{self._api_socket.getsockname()[1]}"

    @property
    def pod_network(self) -> str:
        """The addresses of the pods, as a network such as 127.44.8.0/24."""
        return str(self.network.pods)

    @property
    def cadvisor_url(self) -> str:
        """Where Prometheus finds what the containers use."""
        return f"http://{self.network.node_ip}:{KUBELET_PORT}/metrics/cadvisor"

    @property
    def state_metrics_url(self) -> str:
        """Where Prometheus finds the state of the objects."""
        return f"http://{self.network.node_ip}:{_STATE_METRICS_PORT}/metrics"

    def hosts_file(self, namespace: str | None = None) -> Path:
        """Give the cluster's names as a hosts file, as seen from a namespace (default: the cluster's own)."""
        return self.hosts.path(namespace or self.namespace)

    def service_address(self, name: str, *, namespace: str | None = None, port: str | int | None = None) -> tuple[str, int]:
        """Give cluster IP and port of a service: its first port, or the one of that name or number. Raises NotFound."""
        spec = self.store.get("services", name, namespace=namespace or self.namespace)["spec"]
        ports = [entry for entry in spec["ports"] if port in (None, entry.get("name"), entry["port"])]
        if not ports or not spec.get("clusterIP"):
            raise NotFound(f"expected service {name} with an address and port {port or '(any)'}, found {spec}")
        return spec["clusterIP"], ports[0]["port"]

    # --- life

    async def start(self) -> None:
        """Start everything; the API answers when this returns. What a crashed run left behind is ended first.

        Raises HomeInUseError where another cluster runs in the same home.
        """
        self._lock.acquire()
        if left := Register(self._directory / "processes").reap():
            _log.warning("ended %d processes that an earlier run had left behind", left)
        for name in (*_NAMESPACES, self.namespace):
            self._ensure_namespace(name)
        self.kubelet.gate.name_server = await self._name_server.start(self.network.node_ip)
        self._background = asyncio.create_task(self._run())
        self._background.add_done_callback(_report_failure)
        access = Access.issue(self._directory)
        self._api = ApiServer(self.store, self.kubelet, access)
        await self._api.start(self._api_socket)
        listening = self.network.kubelet_socket
        self._runners.append(await serve_metrics(CadvisorCollector(self.kubelet), "/metrics/cadvisor", listening))
        listening = _listen(self.network.node_ip, _STATE_METRICS_PORT)
        self._runners.append(await serve_metrics(KubeStateCollector(self.store), "/metrics", listening))
        access.write_kubeconfig(self.kubeconfig, server=self.api_url, namespace=self.namespace)

    async def stop(self) -> None:
        """End the pods, in order where they have time for it, and then all the rest."""
        if self._background:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)
        if self._api:
            await self._api.stop()
        for runner in self._runners:
            await runner.cleanup()
        self._name_server.close()
        self.network.close()
        self._api_socket.close()
        self._lock.release()

    async def wait(self) -> None:
        """Wait until the cluster ends; raises what made it end, when that was not `stop`."""
        if self._background:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._background)

    async def apply(self, manifests: Iterable[Object]) -> None:
        """Create objects, or change those that exist to what the manifests say (by the same fields as `kubectl replace`)."""
        for manifest in manifests:
            resource = resource_of(manifest)
            namespace = manifest["metadata"].get("namespace", self.namespace) if resource.namespaced else None
            if namespace:
                self._ensure_namespace(namespace)
            try:
                present = self.store.get(resource.plural, manifest["metadata"]["name"], namespace=namespace)
            except NotFound:
                self.store.create(resource.plural, manifest, namespace=namespace, manager="runbook-lab")
                continue
            present["metadata"].pop("resourceVersion")
            metadata = {**present["metadata"], **manifest["metadata"]}
            self.store.update(resource.plural, {**present, **manifest, "metadata": metadata}, manager="runbook-lab")

    async def wait_until_ready(self, *, seconds: float) -> None:
        """Wait until every deployment and stateful set has all its pods ready; TimeoutError names those that have not."""
        try:
            async with asyncio.timeout(seconds):
                while self._unready():
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise TimeoutError(
                f"expected all workloads ready within {seconds:g} s, still waiting for {', '.join(self._unready())}"
            ) from None

    # --- inside

    async def _run(self) -> None:
        controllers = (
            DeploymentController(self.store),
            ReplicaSetController(self.store),
            StatefulSetController(self.store),
            EndpointsController(self.store),
            DisruptionController(self.store),
            ClusterIPController(self.store, take_ip=self.network.take_service_ip),
            Scheduler(self.store, node=NODE_NAME),
            GarbageCollector(self.store),
            TaintEviction(self.store),
            ServiceAccountController(self.store),
        )
        async with asyncio.TaskGroup() as tasks:
            for part in (self.kubelet, self._proxy, self._traffic, self.hosts, *controllers):
                tasks.create_task(part.run())
            tasks.create_task(Autoscaler(self.store, usages=self.kubelet.usage, pace=self._pace).run())
            tasks.create_task(self._sweep_events())

    async def _sweep_events(self) -> None:
        while True:
            await asyncio.sleep(_EVENT_SWEEP_SECONDS)
            remove_old_events(self.store, now=utc_now())

    def _ensure_namespace(self, name: str) -> None:
        try:
            self.store.get("namespaces", name)
        except NotFound:
            self.store.create("namespaces", {"metadata": {"name": name}}, manager="runbook-lab")

    def _addresses(self, name: str, source: str) -> list[str] | None:
        """What a name means to the pod with an address."""
        asking = self.store.list("pods", fields=f"status.podIP={source}")
        return self.hosts.addresses(name, asking[-1]["metadata"]["namespace"] if asking else self.namespace)

    def _pod_environment(self, pod: Object) -> dict[str, str]:
        """Give the variables that the node sets for every container of a pod."""
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        # Data outlives a pod of the same name, as a stateful set's volume does.
        data = self._directory / "data" / namespace / name
        data.mkdir(parents=True, exist_ok=True)
        return {
            "HOSTNAME": name,
            "HOME": str(data),
            "LAB_DATA_DIR": str(data),
            "LAB_HOSTS_FILE": str(self.hosts_file(namespace)),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self._api_socket.getsockname()[1]),
        }

    def _unready(self) -> list[str]:
        unready = []
        for deployment in self.store.list("deployments"):
            status = deployment.get("status", {})
            observed = status.get("observedGeneration") == deployment["metadata"]["generation"]
            if not (observed and is_true(deployment, "Available") and _all_ready(deployment)):
                unready.append(f"deployment/{deployment['metadata']['name']}")
        sets = self.store.list("statefulsets")
        return unready + [f"statefulset/{entry['metadata']['name']}" for entry in sets if not _all_ready(entry)]


def reap(home: Path) -> int:
    """End the processes that a crashed cluster of this home left behind, and give their number.

    Raises HomeInUseError while a cluster of this home runs: its processes are not left behind.
    """
    with HomeLock(home / "cluster"):
        return Register(home / "cluster" / "processes").reap()


def _all_ready(workload: Object) -> bool:
    return bool(workload.get("status", {}).get("readyReplicas", 0) == workload["spec"]["replicas"])


def _listen(ip: str, port: int) -> socket.socket:
    listening = socket.create_server((ip, port))
    listening.setblocking(False)
    return listening


def _report_failure(background: asyncio.Task[None]) -> None:
    if not background.cancelled() and (error := background.exception()):
        _log.error("the lab cluster has failed", exc_info=error)
