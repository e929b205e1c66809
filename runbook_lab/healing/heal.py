"""The order in which a lab is made well: first what others depend on, last the wait until nothing fails any more."""

from __future__ import annotations

from collections.abc import Callable

from runbook_lab.cluster_client import ClusterClient
from runbook_lab.healing import cache, database, network, objects, pods, processes
from runbook_lab.home import Home
from runbook_lab.measuring import Measurements
from runbook_lab.waiting import wait_for

_WELL_SECONDS = 90.0


def heal(home: Home, *, told: Callable[[str], None]) -> list[str]:
    """Undo what went wrong, and return when no request fails any more; give what was done, which `told` hears of as it happens.

    Nothing is done to a lab that is well. Raises ClusterError, or TimeoutError for what does not become well in time.
    """
    cluster, done = ClusterClient(home.kubeconfig), []

    def tell(texts: list[str]) -> None:
        for text in texts:
            done.append(text)
            told(text)

    tell(processes.wake(home))
    tell(network.restore(home, cluster))
    tainted, texts = pods.clear_conditions(home, cluster)
    tell(texts)
    stale, texts = objects.restore(home, cluster)
    tell(texts)
    for name in objects.STATEFUL_SETS:
        tell(pods.settle(cluster, "StatefulSet", name))
    tell(database.restore(home))
    tell(cache.restore(home, cluster))
    for name in objects.DEPLOYMENTS:
        tell(pods.settle(cluster, "Deployment", name))
    tell(pods.replace(cluster, pods.ailing(cluster, tainted | stale)))
    tell(cache.fill(home))
    tell(pods.close_breakers(home, cluster))
    home.forget_faults()
    measured = Measurements(home)
    wait_for("an error ratio of 0", lambda: measured.error_ratio() == 0, seconds=_WELL_SECONDS)
    wait_for("the end of the alert", lambda: not measured.alert_fires(), seconds=_WELL_SECONDS)
    wait_for("the end of the pods that were replaced", lambda: not pods.ending(cluster), seconds=_WELL_SECONDS)
    return done
