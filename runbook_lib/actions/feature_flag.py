"""Switching a feature off by the service's admin endpoints, and on again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from runbook_lib.actions.admin_endpoint import (
    AdminCall,
    AdminClient,
    CallFailed,
    Endpoint,
    curl,
    endpoint_of_service,
    endpoints_of_pods,
    same_endpoints,
)
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.models.plan import Plan, Refusal, Target

__all__ = ["DISABLE_FEATURE_FLAG", "enabled_flags", "flag_state"]


def flag_state(answer: Any, name: str) -> str | None:
    """Whether a feature is `enabled` or `disabled` in the list of an admin endpoint; None when the list does not say.

    Understands `{name: true}` and `{name: {"enabled": true}}`, also below the key `features`.
    """
    if not isinstance(answer, Mapping):
        return None
    found = answer.get(name, (answer.get("features") or {}).get(name) if isinstance(answer.get("features"), Mapping) else None)
    enabled = found.get("enabled") if isinstance(found, Mapping) else found
    return ("enabled" if enabled else "disabled") if isinstance(enabled, bool) else None


def enabled_flags(answer: Any) -> list[str]:
    """The names of the features that such a list calls enabled."""
    if not isinstance(answer, Mapping):
        return []
    named = answer["features"] if isinstance(answer.get("features"), Mapping) else answer
    return [str(name) for name in named if flag_state(answer, name) == "enabled"]


def _plan(context: ActionContext, name: str | None = None) -> Plan | Refusal:
    """Switch the feature `name` off on every pod."""
    if context.service.components.application.feature_flag_path is None:
        mend = "set components.application.feature_flag_path in the service file"
        return Refusal(by="target", reason="how to switch a feature off is not known", mend=mend)
    if not name:
        known = enabled_flags(_listed(AdminClient(context, None), context, _endpoints(context)[0]))
        told = f"; on are: {', '.join(known)}" if known else ""
        mend = f'name it: disable_feature_flag(name="{known[0] if known else "…"}")'
        return Refusal(by="target", reason=f"which feature is meant is not said{told}", mend=mend)
    return _planned(context, name, wanted="disabled")


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """Switch it on again."""
    return _planned(context, plan.arguments["name"], wanted="enabled")


def _planned(context: ActionContext, name: str, *, wanted: str) -> Plan | Refusal:
    path, inverse = _path(context, name, wanted), _path(context, name, _opposite(wanted))
    if path is None:
        mend = "it is known when components.application.feature_flag_path ends in /disable"
        return Refusal(by="target", reason=f"how to switch {name} on again is not known", mend=mend)
    client = AdminClient(context, None)
    endpoints = _endpoints(context)
    states = {one.name: _read(client, context, one, name) for one in endpoints}
    if all(state == wanted for state in states.values()):
        return Refusal(by="target", reason=f"the feature {name} is {wanted} already")
    token = context.service.connections.http.bearer_token is not None
    return Plan(
        action="disable_feature_flag",
        title=f"Switch the feature {name} {'off' if wanted == 'disabled' else 'on'} on {len(endpoints)} pods",
        target=Target(kind="feature", name=name),
        before="\n".join(f"{one.name}: {states[one.name] or 'not known'}" for one in endpoints),
        after="\n".join(f"{one.name}: {wanted}" for one in endpoints),
        command=curl(path, endpoints, token=token),
        risk="medium",
        affects=f"every user of the feature {name}",
        undo=curl(inverse, endpoints, token=token) if inverse else "no endpoint for it is known",
        seen_by="the list of features says so, and the symptom is below its threshold",
        seconds_until_effect=5.0,
        reversible=inverse is not None,
        bound_to={one.name: f"{one.uid} {states[one.name]}" for one in endpoints},
        arguments={"name": name, "wanted": wanted, "states": states, "uids": [f"{one.name} {one.uid}" for one in endpoints]},
        warnings=() if None not in states.values() else ("whether it is on now is not known: the list of features does not say",),
    )


def _endpoints(context: ActionContext) -> list[Endpoint]:
    """Every pod, in case that each keeps its own flags; telling one store several times does no harm."""
    if context.api_client is None or context.service.connections.kubernetes is None:
        return [endpoint_of_service(context)]
    return endpoints_of_pods(context)


def _path(context: ActionContext, name: str, wanted: str) -> str | None:
    path = context.service.components.application.feature_flag_path or ""
    if wanted == "enabled":
        if not path.endswith("/disable"):
            return None
        path = path.removesuffix("disable") + "enable"
    return path.replace("{name}", quote(name, safe=""))


def _opposite(wanted: str) -> str:
    return "enabled" if wanted == "disabled" else "disabled"


def _read(client: AdminClient, context: ActionContext, endpoint: Endpoint, name: str) -> str | None:
    return flag_state(_listed(client, context, endpoint), name)


def _listed(client: AdminClient, context: ActionContext, endpoint: Endpoint) -> Any:
    """The list of features that stands above the path of one; None where there is no such list."""
    listing, braces, _ = (context.service.components.application.feature_flag_path or "").partition("/{name}")
    if not braces:
        return None
    try:
        return client.get(endpoint.base + listing)
    except CallFailed:
        return None


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    name, wanted = plan.arguments["name"], plan.arguments["wanted"]
    path = _path(context, name, wanted)
    assert path is not None
    endpoints = _endpoints(context)
    same_endpoints(plan.arguments["uids"], endpoints)
    client = AdminClient(context, None)
    return [
        AdminCall(
            client,
            one,
            path,
            _path(context, name, _opposite(wanted)),
            f"set the feature {name} to {wanted} on {one.name}",
            wanted,
            plan.arguments["states"][one.name],
            partial(_read, client, context, one, name),
        )
        for one in endpoints
    ]


def _target(context: ActionContext) -> Target:
    return Target(kind="feature", name=f"of {context.service.name}")


DISABLE_FEATURE_FLAG = Action(
    name="disable_feature_flag",
    title="Switch a feature off",
    risk="medium",
    repair=False,
    plan=_plan,
    changes=_changes,
    undo=_undo,
    target=_target,
)
