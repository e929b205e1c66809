"""The inventory service: reserves stock."""

from __future__ import annotations

import os
import random
import secrets
import time

from runbook_lab.shop import logs
from runbook_lab.shop.server import Answer, HttpError, Request, Service

_USUAL_SECONDS, _SPREAD = 0.006, 0.3


class Inventory:
    """The routes of the inventory service. Its warehouse is never empty: the lab's shop has other worries."""

    def __init__(self) -> None:
        self._chance = random.Random()

    def reserve(self, request: Request) -> Answer:
        """Reserve pieces of a product."""
        body = request.json()
        if "sku" not in body or int(body.get("quantity", 0)) < 1:
            raise HttpError(400, "a reservation needs a sku and a quantity of 1 or more")
        time.sleep(self._chance.lognormvariate(0, _SPREAD) * _USUAL_SECONDS)
        return Answer({"reservation": secrets.token_hex(8), "sku": body["sku"], "quantity": body["quantity"]})


def main() -> None:
    """Run the inventory service until SIGTERM."""
    logs.configure(service="inventory", version=os.environ.get("INVENTORY_VERSION", "unknown"))
    service = Service("inventory")
    service.route("POST", "/reservations", Inventory().reserve)
    service.run()


if __name__ == "__main__":
    main()
