"""A setting of Redis: `CONFIG SET`, which holds until it is started again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from runbook_lib.actions.interface import ActionContext, CacheOperator, Change, ChangeRefused, Permission, Settling
from runbook_lib.errors import ActionFailed, SourceError, SourceRefused
from runbook_lib.models.plan import Plan, Refusal, Target

__all__ = ["CONFIG_MEND", "RedisSetting", "cache_of", "planned_change", "present_value", "put_back", "setting_plan"]

CONFIG_MEND = (
    "let this user run CONFIG; a hosted Redis has it among the parameters of its provider, such as `aws elasticache "
    "modify-cache-parameter-group`, `gcloud redis instances update --redis-config`, `az redis update`"
)

_SECONDS = 10.0


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


def setting_plan(
    context: ActionContext,
    setting: str,
    *,
    action: str,
    title: str,
    affects: str,
    present: str,
    wanted: str,
    warnings: Sequence[str],
) -> Plan:
    """The plan of a CONFIG SET; the values as Redis has them."""
    command = f"{context.service.connections.redis_cli} config set {setting}"
    return Plan(
        action=action,
        title=title,
        target=cache_of(context),
        before=f"{setting}: {present}",
        after=f"{setting}: {wanted}",
        command=f"{command} {wanted}",
        risk="medium",
        affects=affects,
        undo=f"{command} {present}",
        seen_by="keys are written again, the hit ratio rises, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS,
        bound_to={setting: present},
        arguments={"wanted": wanted, "before": present},
        warnings=tuple(warnings),
    )


def cache_of(context: ActionContext) -> Target:
    """What a change of the service's cache is aimed at."""
    return Target(kind="cache", name=f"of {context.service.name}")


def present_value(context: ActionContext, setting: str) -> str | Refusal:
    """What Redis has now, or why that cannot be known."""
    if context.cache is None:
        mend = "set connections.redis in the service file"
        return Refusal(by="target", reason="the service file names no cache", mend=mend)
    try:
        return context.cache.setting(setting)
    except SourceRefused as error:
        return Refusal(by="the cache", reason=error.reason, mend=CONFIG_MEND)


def planned_change(context: ActionContext, plan: Plan, setting: str) -> Sequence[Change]:
    """The change of a plan whose arguments are `before` and `wanted`."""
    assert context.cache is not None  # the plan has said so
    return [RedisSetting(context.cache, setting, plan.arguments["before"], plan.arguments["wanted"])]


def put_back(
    context: ActionContext, plan: Plan, setting: str, planned: Callable[[ActionContext, str, str], Plan]
) -> Plan | Refusal:
    """Back to the value of before, as long as nobody has changed it since."""
    if context.cache is None:
        return Refusal(by="target", reason="the service file names no cache")
    present = context.cache.setting(setting)
    if present != plan.arguments["wanted"]:
        reason = f"{setting} is {present} now: somebody has changed it since"
        return Refusal(by="undo", reason=reason, mend="look at it by hand")
    return planned(context, present, plan.arguments["before"])
