"""What an order costs. Four releases of this module are in the lab's images: the one in use, and three that followed it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Protocol

_TABLE = Path(__file__).with_name("discounts.json")
_CENT = Decimal("0.01")
_BULK_QUANTITY = 5
_BULK_DISCOUNT = Decimal("0.05")
_LEAST_PARTNER_SECONDS, _MOST_PARTNER_SECONDS = 1.0, 1.4
_TIER_DISCOUNTS = {"gold": Decimal("0.07"), "silver": Decimal("0.03")}


class Pricing(Protocol):
    """Gives the amount of an order."""

    def amount(self, price: Decimal, order: Mapping[str, Any]) -> Decimal:
        """Give what `quantity` pieces cost this customer."""


class BulkPricing:
    """As of 1.4: a discount for many pieces."""

    def amount(self, price: Decimal, order: Mapping[str, Any]) -> Decimal:
        """Give what `quantity` pieces cost."""
        quantity = int(order["quantity"])
        discount = _BULK_DISCOUNT if quantity >= _BULK_QUANTITY else Decimal(0)
        return (price * quantity * (1 - discount)).quantize(_CENT, ROUND_HALF_UP)


class LoyaltyPricing(BulkPricing):
    """As of 1.5: loyal customers pay less. It was written before guests could order, who have no loyalty account."""

    def amount(self, price: Decimal, order: Mapping[str, Any]) -> Decimal:
        """Give what `quantity` pieces cost this customer."""
        tier = order["customer"]["loyalty"]["tier"]
        discount = _TIER_DISCOUNTS.get(tier, Decimal(0))
        return (super().amount(price, order) * (1 - discount)).quantize(_CENT, ROUND_HALF_UP)


class TablePricing(LoyaltyPricing):
    """As of 1.5.1: guests pay the full price, and discounts come from a table, which nobody put into the image."""

    def __init__(self) -> None:
        self._discounts = json.loads(_TABLE.read_text(encoding="utf-8"))


class PartnerPricing(BulkPricing):
    """As of 1.6: never above a partner's price, who is asked anew for each order and takes his time."""

    def amount(self, price: Decimal, order: Mapping[str, Any]) -> Decimal:
        """Give what `quantity` pieces cost."""
        time.sleep(random.uniform(_LEAST_PARTNER_SECONDS, _MOST_PARTNER_SECONDS))
        return super().amount(price, order)


def pricing_of(version: str) -> Pricing:
    """Give the pricing of a release such as 1.4.2. Raises FileNotFoundError for one that lacks its table."""
    release = tuple(int(number) for number in version.split("."))
    if release >= (1, 6):
        return PartnerPricing()
    return TablePricing() if release >= (1, 5, 1) else LoyaltyPricing() if release >= (1, 5) else BulkPricing()
