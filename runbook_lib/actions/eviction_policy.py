"""What Redis throws out when its memory is full: `CONFIG SET maxmemory-policy`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from runbook_lib.actions.interface import Action, ActionContext, CacheOperator, Change, ChangeRefused, Permission, Settling
from runbook_lib.errors import ActionFailed, SourceError
from runbook_lib.models.plan import Plan, Refusal, Target

__all__ = ["SET_EVICTION_POLICY"]

_SETTING = "maxmemory-policy"
_POLICIES = (
    "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
    "noeviction",
)  # fmt: skip
_USUAL = "allkeys-lru"
_SECONDS = 10.0


def _target(context: ActionContext) -> Target:
    return Target(kind="cache", name=f"of {context.service.name}")


def _plan(context: ActionContext, policy: str | None = None) -> Plan | Refusal:
    """Let Redis evict by `policy`: the one of the service file, else allkeys-lru; until Redis is started again."""
    if context.cache is None:
        mend = "set connections.redis in the service file"
        return Refusal(by="target", reason="the service file names no cache", mend=mend)
    wanted = policy if policy is not None else _usual(context)
    if wanted not in _POLICIES:
        return Refusal(by="target", reason=f"there is no policy {wanted!r}", mend=f"there are {', '.join(_POLICIES)}")
    present = context.cache.setting(_SETTING)
    if present == wanted:
        return Refusal(by="target", reason=f"Redis evicts by {wanted} already", mend="see its memory against maxmemory")
    return _planned(context, present, wanted)


def _usual(context: ActionContext) -> str:
    """What the service file says, unless that is to evict nothing: this action is for a Redis that is full."""
    component = context.service.components.cache
    told = component.eviction_policy if component is not None else ""
    return told if told in _POLICIES and told != "noeviction" else _USUAL


def _planned(context: ActionContext, present: str, wanted: str) -> Plan:
    command = f"redis-cli config set {_SETTING}"
    return Plan(
        action="set_eviction_policy",
        title=f"Let the cache evict by {wanted}, in place of {present}",
        target=_target(context),
        before=f"{_SETTING}: {present}",
        after=f"{_SETTING}: {wanted}",
        command=f"{command} {wanted}",
        risk="medium",
        affects="everybody who keeps something in this Redis",
        undo=f"{command} {present}",
        seen_by="keys are written again, the hit ratio rises, and the symptom is below its threshold",
        seconds_until_effect=_SECONDS,
        bound_to={_SETTING: present},
        arguments={"wanted": wanted, "before": present},
        warnings=tuple(_warnings(wanted)),
    )


def _warnings(wanted: str) -> list[str]:
    told = ["it lasts until Redis is started again: put it into its configuration, too"]
    if wanted.startswith("allkeys"):
        told.insert(0, "any key may be thrown out, also one that nobody can compute again: is this Redis a cache only?")
    return told


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """Back to the policy of before, as long as nobody has changed it since."""
    if context.cache is None:
        return Refusal(by="target", reason="the service file names no cache")
    present = context.cache.setting(_SETTING)
    if present != plan.arguments["wanted"]:
        reason = f"the policy is {present} now: somebody has changed it since"
        return Refusal(by="undo", reason=reason, mend="look at it by hand")
    return _planned(context, present, plan.arguments["before"])


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    assert context.cache is not None  # the plan has said so
    return [_Setting(context.cache, plan.arguments["before"], plan.arguments["wanted"])]


@dataclass
class _Setting:
    """Set the policy, if it is still the one of the plan."""

    cache: CacheOperator
    before: str
    wanted: str
    _done: bool = field(default=False, init=False)

    @property
    def text(self) -> str:
        """What it does."""
        return f"set {_SETTING} to {self.wanted}"

    @property
    def permissions(self) -> Sequence[Permission]:
        """None of the cluster's."""
        return []

    def preview(self) -> None:
        """See that nobody has changed it since the plan."""
        try:
            present = self.cache.setting(_SETTING)
        except SourceError as error:
            mend = "let this user run CONFIG; where Redis is hosted, change its parameters there"
            raise ChangeRefused(Refusal(by="the cache", reason=error.reason, mend=mend)) from error
        if present != self.before:
            reason = f"the policy is {present} now; the plan saw {self.before}"
            raise ChangeRefused(Refusal(by="unchanged since the plan", reason=reason, mend="run the cell again"))

    def apply(self) -> str:
        """Set it. When the answer is lost, look whether it arrived."""
        try:
            self.cache.set(_SETTING, self.wanted)
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
            self.cache.set(_SETTING, self.before)
        except SourceError as error:
            raise ActionFailed(f"{self.text} could not be taken back: {error.reason}") from error
        self._done = False
        return f"{self.text}: taken back"

    def settling(self) -> Settling:
        """In effect at once."""
        present = self._present()
        return Settling(done=present == self.wanted, text=f"{_SETTING} is {present or 'not known'}")

    def _present(self) -> str:
        try:
            return self.cache.setting(_SETTING)
        except SourceError:
            return ""


SET_EVICTION_POLICY = Action(
    name="set_eviction_policy",
    title="Choose what the cache throws out when it is full",
    risk="medium",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
