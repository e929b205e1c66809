"""Redis: empties it, and brings its settings back."""

from __future__ import annotations

import redis

from runbook_lab.cluster_client import ClusterClient
from runbook_lab.healing import pods
from runbook_lab.home import Home

_SECONDS = 2.0
# What the manifest says, and the defaults of what people like to try.
_SETTINGS = {"maxmemory": str(64 * 1024**2), "maxmemory-policy": "noeviction", "maxclients": "10000", "timeout": "0"}


def restore(home: Home, cluster: ClusterClient) -> list[str]:
    """Make Redis what `lab up` made it: settings as given, flags on, nothing cached. Its pod is replaced if that fails."""
    try:
        return _restore(home)
    except redis.RedisError:
        # It asks for a password now, or is busy with something: a new one keeps nothing of that.
        return pods.replace(cluster, cluster.list("Pod", app="redis"))


def _restore(home: Home) -> list[str]:
    done = []
    with redis.Redis.from_url(home.read("redis.url"), socket_timeout=_SECONDS, decode_responses=True) as client:
        client.execute_command("CLIENT", "UNPAUSE")
        present = client.config_get("*")
        for name, value in _SETTINGS.items():
            if present.get(name) != value:
                client.config_set(name, value)
                done.append(f"set {name} of Redis to {value}")
        switched = [name for name, value in client.hgetall("orders:features").items() if value != "on"]
        done += [f"switched feature {name} on" for name in switched]
        client.flushall()
    return done
