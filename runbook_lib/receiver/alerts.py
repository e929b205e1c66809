"""What Alertmanager posts: its webhook, version 4.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. Unknown fields are ignored, since
Alertmanager adds some from release to release.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

__all__ = ["Alert", "Webhook"]


class Alert(BaseModel):
    """One alert of a notification."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts_at: AwareDatetime = Field(alias="startsAt")
    ends_at: AwareDatetime | None = Field(default=None, alias="endsAt")
    generator_url: str = Field(default="", alias="generatorURL")
    fingerprint: str = ""

    @property
    def name(self) -> str:
        """Its `alertname`."""
        return self.labels.get("alertname", "unnamed")

    @property
    def key(self) -> str:
        """The same for every notification of one firing of this alert, and safe as a part of a file's name."""
        identity = self.fingerprint or json.dumps(self.labels, sort_keys=True)
        return hashlib.sha256(f"{identity} {self.starts_at.timestamp()}".encode()).hexdigest()[:20]

    def as_sent(self) -> dict[str, Any]:
        """The alert under Alertmanager's own names, ready for JSON."""
        return self.model_dump(mode="json", by_alias=True)


class Webhook(BaseModel):
    """A notification: the alerts of one group."""

    model_config = ConfigDict(frozen=True)

    version: Literal["4"]
    alerts: Annotated[tuple[Alert, ...], Field(max_length=1000)]
