"""How long a delivery takes: promised by district, from the carriers' timetables, and kept in the cache for long."""

from __future__ import annotations

import logging
import random
import time
import zlib

from runbook_lab.shop.cache import Cache

_log = logging.getLogger("shop.delivery")

DISTRICTS = 900
KEY = "delivery:{district}"
# The timetables lie on a file share, which takes its time to open them: hence the cache. It costs neither CPU nor a connection.
_LEAST_SECONDS, _MOST_SECONDS = 1.2, 1.6
_DAYS = 5


class Delivery:
    """Gives the days until an order arrives."""

    def __init__(self, cache: Cache, *, kept_seconds: int) -> None:
        self._cache = cache
        self._kept_seconds = kept_seconds

    def days(self, customer: str) -> int:
        """Give the days until a customer has his order."""
        district = zlib.crc32(customer.encode()) % DISTRICTS
        if kept := self._cache.get(KEY.format(district=district)):
            return int(kept)
        _open_timetables()
        days = _days(district)
        self._cache.put(KEY.format(district=district), str(days).encode(), seconds=self._kept_seconds)
        return days

    def warm(self) -> int:
        """Fill the cache with all districts, in one pass through the timetables; give how many could be kept."""
        _open_timetables()
        kept = 0
        for district in range(DISTRICTS):
            if not self._cache.put(KEY.format(district=district), str(_days(district)).encode(), seconds=self._kept_seconds):
                break
            kept += 1
        _log.info("filled the cache with %d of %d districts", kept, DISTRICTS)
        return kept


def _open_timetables() -> None:
    time.sleep(random.uniform(_LEAST_SECONDS, _MOST_SECONDS))


def _days(district: int) -> int:
    return 1 + district % _DAYS
