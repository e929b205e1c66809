"""A setting of Redis: `CONFIG SET`, which holds until it is started again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from runbook_lib.actions.interface import CacheOperator, ChangeRefused, Permission, Settling
from runbook_lib.errors import ActionFailed, SourceError, SourceRefused
from runbook_lib.models.plan import Refusal

__all__ = ["CONFIG_MEND", "RedisSetting"]

CONFIG_MEND = (
    "let this user run CONFIG; a hosted Redis has it among the parameters of its provider, such as `aws elasticache "
    "modify-cache-parameter-group`, `gcloud redis instances update --redis-config`, `az redis update`"
)


@dataclass
class RedisSetting:
    """Give a setting another value, if it still has the one of the plan."""

    cache: CacheOperator
    name: str
    before: str
    wanted: str
    _done: bool = field(default=False, init=False)

    @property
    def text(self) -> str:
        """What it does."""
        return f"set {self.name} to {self.wanted}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """None of the cluster's."""
        return []

    def preview(self) -> None:
        """See that nobody has changed it since the plan."""
        try:
            present = self.cache.setting(self.name)
        except SourceError as error:
            raise ChangeRefused(Refusal(by="the cache", reason=error.reason, mend=CONFIG_MEND)) from error
        if present != self.before:
            reason = f"{self.name} is {present} now; the plan saw {self.before}"
            raise ChangeRefused(Refusal(by="unchanged since the plan", reason=reason, mend="run the cell again"))

    def apply(self) -> str:
        """Set it. When the answer is lost, look whether it arrived; a denial has changed nothing."""
        try:
            self.cache.set(self.name, self.wanted)
        except SourceRefused as error:
            raise ChangeRefused(Refusal(by="the cache", reason=error.reason, mend=CONFIG_MEND)) from error
        except SourceError as error:
            if self._present() != self.wanted:
                raise ActionFailed(f"{self.text}: {error.reason}") from error
        self._done = True
        return f"{self.text}: done"

    def revert(self) -> str:
        """Set it back."""
        if not self._done:
            return f"{self.text}: nothing to take back"
        try:
            self.cache.set(self.name, self.before)
        except SourceError as error:
            raise ActionFailed(f"{self.text} could not be taken back: {error.reason}") from error
        self._done = False
        return f"{self.text}: taken back"

    def settling(self) -> Settling:
        """In effect at once."""
        present = self._present()
        return Settling(done=present == self.wanted, text=f"{self.name} is {present or 'not known'}")

    def _present(self) -> str:
        try:
            return self.cache.setting(self.name)
        except SourceError:
            return ""
