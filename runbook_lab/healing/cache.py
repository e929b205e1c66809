"""Redis: takes out what others put in, brings its settings back, and lets orders fill it again."""

from __future__ import annotations

import json
import urllib.request

import redis

from runbook_lab.cluster_client import ClusterClient
from runbook_lab.healing import pods
from runbook_lab.home import Home
from runbook_lab.shop.delivery import DISTRICTS

_SECONDS = 2.0
_FILLING_SECONDS = 15.0
# What the manifest says, and the defaults of what people like to try.
_SETTINGS = {"maxmemory": str(64 * 1024**2), "maxmemory-policy": "noeviction", "maxclients": "10000", "timeout": "0"}
_FEATURES, _CATALOG, _DELIVERY = "orders:features", "catalog", "delivery:"
_BATCH = 1000


def restore(home: Home, cluster: ClusterClient) -> list[str]:
    """Make Redis what `lab up` made it: settings as given, flags on, nobody else's keys. Its pod is replaced if that fails."""
    try:
        return _restore(home)
    except redis.RedisError:
        # It asks for a password now, or is busy with something: a new one keeps nothing of that.
        return pods.replace(cluster, cluster.list("Pod", app="redis"))


def fill(home: Home) -> list[str]:
    """Let orders fill its cache when entries are missing or expire soon, which `lab up` has done; say so."""
    with _client(home) as client:
        kept = list(client.scan_iter(match=f"{_DELIVERY}*", count=_BATCH))
        lasting = client.pttl(kept[0]) if kept else 0
    if len(kept) >= DISTRICTS and lasting > _FILLING_SECONDS * 1000:
        return []
    headers = {"Authorization": f"Bearer {home.read('admin.token')}"}
    request = urllib.request.Request(f"{home.read('orders.url')}/admin/cache-warmup", method="POST", headers=headers)
    with urllib.request.urlopen(request, timeout=_FILLING_SECONDS) as response:
        return [f"filled the cache with {json.load(response)['kept']} entries"]


def _client(home: Home) -> redis.Redis:
    return redis.Redis.from_url(home.read("redis.url"), socket_timeout=_SECONDS, decode_responses=True)


def _restore(home: Home) -> list[str]:
    done = []
    with _client(home) as client:
        client.execute_command("CLIENT", "UNPAUSE")
        present = client.config_get("*")
        for name, value in _SETTINGS.items():
            if present.get(name) != value:
                client.config_set(name, value)
                done.append(f"set {name} of Redis to {value}")
        switched = [name for name, value in client.hgetall(_FEATURES).items() if value != "on"]
        done += [f"switched feature {name} on" for name in switched]
        client.unlink(_FEATURES, _CATALOG)
        foreign = [key for key in client.scan_iter(count=_BATCH) if key != _CATALOG and not key.startswith(_DELIVERY)]
        for begin in range(0, len(foreign), _BATCH):
            client.unlink(*foreign[begin : begin + _BATCH])
        if foreign:
            done.append(f"took {len(foreign)} keys of others out of Redis")
    return done
