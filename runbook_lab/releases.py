"""The releases of orders that the lab has images of."""

from __future__ import annotations

ORDERS = "lab/orders:1.4.2"
# The release after it, whose pricing cannot handle customers without a loyalty account.
NEXT_ORDERS = "lab/orders:1.5.0"
# Its hasty successor, whose table of discounts was left out of the image.
BROKEN_ORDERS = "lab/orders:1.5.1"
# The one that mended both, and asks a partner for his price of each order.
SLOW_ORDERS = "lab/orders:1.6.0"
