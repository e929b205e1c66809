"""Closer looks at a Redis: its slow commands, its own latency monitor, and a sample of its keys.

Each is bounded, and each may be forbidden: a user without the permission, or a hosted Redis that has no such command, gives an
empty frame whose `attrs["notes"]` say so. Arguments of commands and whole keys never leave this module.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runbook_lib.importing import importing
from runbook_lib.models.frame import Frame, frame
from runbook_lib.sources.key_families import families, family_of

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["key_sample", "latency_events", "setting", "slow_log"]

_SOURCE = "redis"
_SLOW_COLUMNS = ["time", "seconds", "command", "keys", "client"]
_EVENT_COLUMNS = ["event", "time", "latest_seconds", "maximum_seconds"]
_FAMILY_COLUMNS = ["keys", "sampled", "bytes", "bytes_ratio", "without_expiry", "largest_bytes", "types"]
# Their first argument is no key: a script, a pattern, a password, a setting.
_WITHOUT_KEY = frozenset(
    ("ACL", "AUTH", "CLIENT", "CLUSTER", "CONFIG", "DEBUG", "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO",
     "FLUSHALL", "FLUSHDB", "FUNCTION", "HELLO", "INFO", "KEYS", "LATENCY", "MEMORY", "MIGRATE", "MONITOR", "PSUBSCRIBE",
     "PUBLISH",     "SCAN", "SCRIPT", "SLOWLOG", "SUBSCRIBE", "XREAD", "XREADGROUP")
)  # fmt: skip
_BATCH = 200
_SAMPLED_SECONDS = 1.0
_NESTED_SAMPLES = 5  # elements of a list, hash or set that MEMORY USAGE looks at


def slow_log(client: Redis, *, limit: int) -> Frame:
    """See `Cache.slow_log`. `attrs["full"]`: older entries may have been dropped."""
    command = f"redis-cli slowlog get {limit}"
    told = _allowed(client, "SLOWLOG", "GET", str(limit))
    if isinstance(told, str):
        return _denied(_SLOW_COLUMNS, command, told)
    rows = [_slow(entry) for entry in told]
    built = frame(sorted(rows, key=lambda row: row[0]), columns=_SLOW_COLUMNS, source=_SOURCE, command=command)
    kept = setting(client, "slowlog-max-len")
    built.attrs["full"] = len(rows) >= min(limit, int(kept)) if kept and kept.isdigit() else len(rows) >= limit
    above = setting(client, "slowlog-log-slower-than")
    if above is not None and above.startswith("-"):
        built.attrs["notes"] = ["Redis keeps no slow log: slowlog-log-slower-than is negative"]
    return built


def _slow(entry: Sequence[Any]) -> tuple[datetime, float, str, str, str]:
    _, seconds_since_1970, microseconds, words, *whose = entry
    name = str(words[0]).upper()
    keys = family_of(str(words[1])) if len(words) > 1 and name not in _WITHOUT_KEY else ""
    at = datetime.fromtimestamp(int(seconds_since_1970), UTC)
    return at, int(microseconds) / 1e6, name, keys, str(whose[1]) if len(whose) > 1 else ""


def latency_events(client: Redis) -> Frame:
    """See `Cache.latency_events`."""
    command = "redis-cli latency latest"
    told = _allowed(client, "LATENCY", "LATEST")
    if isinstance(told, str):
        return _denied(_EVENT_COLUMNS, command, told)
    rows = [
        (str(name), datetime.fromtimestamp(int(at), UTC), int(latest) / 1e3, int(highest) / 1e3)
        for name, at, latest, highest, *_ in told
    ]
    built = frame(rows, columns=_EVENT_COLUMNS, source=_SOURCE, command=command)
    if not rows and setting(client, "latency-monitor-threshold") == "0":
        built.attrs["notes"] = ["Redis' latency monitor is off: config set latency-monitor-threshold 100 turns it on"]
    return built


def key_sample(client: Redis, *, limit: int) -> Frame:
    """See `Cache.key_sample`. SCAN walks the key space by hash, so that its first keys are a fair sample."""
    command = f"redis-cli --scan --count {_BATCH} | head -n {limit} | xargs -n 1 redis-cli memory usage"
    keys: list[str] = []
    cursor, until = "0", time.monotonic() + _SAMPLED_SECONDS
    while len(keys) < limit and time.monotonic() < until:
        told = _allowed(client, "SCAN", cursor, "COUNT", str(_BATCH))
        if isinstance(told, str):
            return _denied(_FAMILY_COLUMNS, command, told)
        cursor, found = told if not isinstance(told, dict) else (told["cursor"], told["keys"])
        keys += [str(key) for key in found]
        if str(cursor) == "0":
            break
    keys = list(dict.fromkeys(keys))[:limit]
    facts = _facts(client, keys)
    if isinstance(facts, str):
        return _denied(_FAMILY_COLUMNS, command, facts)
    built = frame(_by_family(keys, facts), columns=_FAMILY_COLUMNS, source=_SOURCE, command=command)
    built.attrs.update({"sampled": len(keys), "complete": str(cursor) == "0" and len(keys) < limit})
    return built


def _facts(client: Redis, keys: Sequence[str]) -> list[tuple[int, int, str]] | str:
    """Bytes, seconds to live (-1: for ever) and type of each key; of one that is gone meanwhile nothing. A text: why not."""
    with importing("redis"):
        import redis

    batch: Any = client.pipeline(transaction=False)
    for key in keys:
        batch.execute_command("MEMORY USAGE", key, "SAMPLES", _NESTED_SAMPLES)
        batch.execute_command("TTL", key)
        batch.execute_command("TYPE", key)
    told = batch.execute(raise_on_error=False)
    refused = next((one for one in told if isinstance(one, redis.ResponseError)), None)
    if refused is not None:
        return str(refused)
    return [(int(size or 0), int(left), str(kind)) for size, left, kind in zip(*[iter(told)] * 3, strict=True)]


def _by_family(keys: Sequence[str], facts: Sequence[tuple[int, int, str]]) -> list[dict[str, Any]]:
    grouped: dict[str, list[tuple[int, int, str]]] = {}
    for family, fact in zip(families(keys), facts, strict=True):
        grouped.setdefault(family, []).append(fact)
    everything = sum(size for size, _, _ in facts) or 1
    rows = [
        {
            "keys": family,
            "sampled": len(found),
            "bytes": sum(size for size, _, _ in found),
            "bytes_ratio": sum(size for size, _, _ in found) / everything,
            "without_expiry": sum(left == -1 for _, left, _ in found),
            "largest_bytes": max(size for size, _, _ in found),
            "types": ", ".join(sorted({kind for _, _, kind in found})),
        }
        for family, found in grouped.items()
    ]
    return sorted(rows, key=lambda row: -row["bytes"])


def setting(client: Redis, name: str) -> str | None:
    """A setting's value; None where CONFIG is not allowed or not there."""
    told = _allowed(client, "CONFIG", "GET", name)
    if isinstance(told, dict):
        return str(told.get(name)) if name in told else None
    return str(told[1]) if not isinstance(told, str) and len(told) == 2 else None


def _allowed(client: Redis, *words: str) -> Any:
    """The answer of a command; a text when this user may not run it, or this Redis has none of that name."""
    with importing("redis"):
        import redis

    untyped: Any = client
    try:
        return untyped.execute_command(*words)
    except redis.ResponseError as error:
        return str(error)


def _denied(columns: Sequence[str], command: str, said: str) -> Frame:
    built = frame([], columns=list(columns), source=_SOURCE, command=command)
    built.attrs["notes"] = [f"{command.split('|', maxsplit=1)[0].strip()}: {said.splitlines()[0]}"]
    built.attrs["denied"] = True
    return built
