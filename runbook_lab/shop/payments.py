"""The payments service: charges customers."""

from __future__ import annotations

import os
import random
import secrets
import time

from runbook_lab.shop import logs
from runbook_lab.shop.conditions import Watch
from runbook_lab.shop.server import Answer, HttpError, Request, Service

# What the bank takes: most answers come in about 15 ms, some later.
_USUAL_SECONDS, _SPREAD = 0.015, 0.35


class Payments:
    """The routes of the payments service."""

    def __init__(self) -> None:
        self._conditions = Watch()
        self._chance = random.Random()

    def charge(self, request: Request) -> Answer:
        """Charge a customer an amount."""
        body = request.json()
        if "customer" not in body or "amount" not in body:
            raise HttpError(400, "a charge needs a customer and an amount")
        time.sleep(self._chance.lognormvariate(0, _SPREAD) * _USUAL_SECONDS + self._held_back())
        return Answer({"charge": secrets.token_hex(8), "status": "captured"})

    def _held_back(self) -> float:
        now = self._conditions.now
        return now.answer_seconds if self._chance.random() < now.slow_ratio else 0.0


def main() -> None:
    """Run the payments service until SIGTERM."""
    logs.configure(service="payments", version=os.environ.get("PAYMENTS_VERSION", "unknown"))
    service = Service("payments")
    service.route("POST", "/charges", Payments().charge)
    service.run()


if __name__ == "__main__":
    main()
