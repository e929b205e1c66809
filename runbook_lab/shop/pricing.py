"""What an order costs. Two releases of this module are in the lab's images: the one in use, and the one that followed it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Protocol

_CENT = Decimal("0.01")
_BULK_QUANTITY = 5
_BULK_DISCOUNT = Decimal("0.05")
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


def pricing_of(version: str) -> Pricing:
    """Give the pricing of a release such as 1.4.2."""
    major, minor = (int(number) for number in version.split(".")[:2])
    return LoyaltyPricing() if (major, minor) >= (1, 5) else BulkPricing()
