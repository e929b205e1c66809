"""Feature flags, kept in Redis so that all pods agree."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from runbook_lab.shop.cache import CacheError, Redis

_log = logging.getLogger("shop.features")

_KEY = "orders:features"
_REMEMBERED_SECONDS = 1.0


class Features:
    """Flags by name; one is on unless somebody has switched it off. Without Redis the last known values count."""

    def __init__(self, redis: Redis, names: Iterable[str]) -> None:
        self._redis = redis
        self._values = dict.fromkeys(names, True)
        self._read_at = 0.0

    def all(self) -> dict[str, bool]:
        """Give all flags."""
        if time.monotonic() - self._read_at > _REMEMBERED_SECONDS:
            self._read_at = time.monotonic()
            self._read()
        return dict(self._values)

    def enabled(self, name: str) -> bool:
        """Tell whether a feature is on."""
        return self.all().get(name, False)

    def switch(self, name: str, *, on: bool) -> None:
        """Switch a feature for all pods. Raises KeyError for an unknown name, CacheError when Redis cannot keep it."""
        if name not in self._values:
            raise KeyError(name)
        self._redis.command("HSET", _KEY, name, "on" if on else "off")
        self._values[name] = on
        _log.info("feature %s was switched %s", name, "on" if on else "off")

    def _read(self) -> None:
        try:
            found = self._redis.command("HGETALL", _KEY)
        except CacheError:
            return
        if isinstance(found, list):
            pairs = zip(found[::2], found[1::2], strict=True)
            switched = {name.decode(): value == b"on" for name, value in pairs if isinstance(name, bytes)}
            self._values |= {name: on for name, on in switched.items() if name in self._values}
