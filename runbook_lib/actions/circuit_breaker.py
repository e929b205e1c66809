"""Opening the circuit breaker in front of a dependency that fails, on every pod, and closing it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal
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
    written_state,
)
from runbook_lib.actions.interface import Action, ActionContext, Change
from runbook_lib.models.plan import Plan, Refusal, Target
from runbook_lib.service.models import CircuitBreaker, Downstream

__all__ = ["CLOSE_CIRCUIT_BREAKER", "OPEN_CIRCUIT_BREAKER", "breaker_state"]

_State = Literal["open", "closed"]
_ACTION = {"open": "open_circuit_breaker", "closed": "close_circuit_breaker"}
_VERB = {"open": "Open", "closed": "Close"}
_SPELLINGS = {"forced_open": "open", "force_open": "open", "true": "open", "false": "closed", "halfopen": "half_open"}


def breaker_state(answer: Any, name: str) -> str | None:
    """The state of one breaker in the answer of a status endpoint: `open`, `closed`, `half_open`, …; None when it is not told.

    Understands `{name: {"state": …}}`, `{name: "open"}`, and both below one more key, as Spring's actuator writes them.
    """
    if not isinstance(answer, Mapping):
        return None
    if name in answer:
        found = answer[name]
        state = found.get("state") if isinstance(found, Mapping) else found
        return None if state is None else _SPELLINGS.get(written_state(state), written_state(state))
    nested = (breaker_state(inner, name) for inner in answer.values() if isinstance(inner, Mapping) and name in inner)
    return next((state for state in nested if state is not None), None)


def _plan(context: ActionContext, name: str | None = None, *, wanted: _State) -> Plan | Refusal:
    dependency = _dependency(context, name)
    if isinstance(dependency, Refusal):
        return dependency
    return _planned(context, dependency, wanted, action=_ACTION[wanted])


def _plan_open(context: ActionContext, name: str | None = None) -> Plan | Refusal:
    """Open the breaker of a dependency, so that calls fail at once or fall back instead of waiting; `name`: the dependency."""
    return _plan(context, name, wanted="open")


def _plan_close(context: ActionContext, name: str | None = None) -> Plan | Refusal:
    """Close the breaker of a dependency that is well again; `name`: the dependency."""
    return _plan(context, name, wanted="closed")


def _undo(context: ActionContext, plan: Plan) -> Plan | Refusal:
    """The opposite state, by the same action's name."""
    dependency = _dependency(context, plan.arguments["dependency"])
    if isinstance(dependency, Refusal):
        return dependency
    return _planned(context, dependency, "closed" if plan.arguments["wanted"] == "open" else "open", action=plan.action)


def _dependency(context: ActionContext, name: str | None) -> Downstream | Refusal:
    """The dependency of this name, else the one that a confirmed cause is about, else the only one with a breaker."""
    guarded = [one for one in context.service.dependencies.downstream if one.circuit_breaker and one.circuit_breaker.open_path]
    roots = context.diagnosis.roots if context.diagnosis else ()
    subjects = {cause.subject for cause in roots if any(action in cause.actions for action in _ACTION.values())}
    if name is not None:
        chosen = [one for one in guarded if name in _names(one)]
    else:
        chosen = [one for one in guarded if subjects & _names(one)] or guarded
    if len(chosen) == 1:
        return chosen[0]
    known = ", ".join(one.name for one in guarded) or "none"
    reason = f"no dependency {name} has a circuit breaker" if name else "which circuit breaker is meant is not clear"
    return Refusal(by="target", reason=f"{reason} (with one: {known})", mend='name it: open_circuit_breaker(name="payments")')


def _names(dependency: Downstream) -> set[str | None]:
    breaker = dependency.circuit_breaker.name if dependency.circuit_breaker else None
    return {dependency.name, dependency.label, breaker} - {None}


def _planned(context: ActionContext, dependency: Downstream, wanted: _State, *, action: str) -> Plan | Refusal:
    breaker = dependency.circuit_breaker
    path = _path(dependency, wanted)
    if breaker is None or path is None:
        mend = f"set circuit_breaker.{'open' if wanted == 'open' else 'close'}_path of {dependency.name} in the service file"
        return Refusal(by="target", reason=f"how to set the breaker of {dependency.name} to {wanted} is not known", mend=mend)
    endpoints, states, silent = _states(context, dependency, breaker)
    if states and all(state == wanted for state in states.values()):
        return Refusal(by="target", reason=f"the breaker of {dependency.name} is {wanted} already on all {len(states)} pods")
    inverse = _path(dependency, "closed" if wanted == "open" else "open")
    token = breaker.token is not None or context.service.connections.http.bearer_token is not None
    fallback = dependency.fallback or "none is known: those requests fail, at once"
    return Plan(
        action=action,
        title=f"{_VERB[wanted]} the circuit breaker of {dependency.name} on {len(endpoints)} pods",
        target=_target_of(dependency),
        before=_text(endpoints, states),
        after="\n".join(f"{one.name}: {wanted}" for one in endpoints),
        command=curl(path, endpoints, token=token),
        risk="medium" if wanted == "open" else "low",
        affects=(
            f"every request that needs {dependency.name}; the fallback: {fallback}; pods that start later begin with it closed"
            if wanted == "open"
            else f"every request that needs {dependency.name} calls it again"
        ),
        undo=curl(inverse, endpoints, token=token) if inverse else "no endpoint for it is known",
        seen_by=f"the status endpoint says {wanted} on every pod, and the symptom is below its threshold",
        seconds_until_effect=5.0,
        reversible=inverse is not None,
        bound_to={one.name: f"{one.uid} {states.get(one.name)}" for one in endpoints},
        arguments={
            "dependency": dependency.name,
            "wanted": wanted,
            "states": states,
            "uids": [_identity(one) for one in endpoints],
        },
        warnings=(*silent, *_per_pod_warning(breaker)),
    )


def _per_pod_warning(breaker: CircuitBreaker) -> list[str]:
    return (
        ["a pod that starts later begins with its own state: look again after a restart or a scale-up"] if breaker.per_pod else []
    )


def _states(
    context: ActionContext, dependency: Downstream, breaker: CircuitBreaker
) -> tuple[list[Endpoint], dict[str, str | None], list[str]]:
    """Who is to be told, and each one's state. A pod that gets no traffic and does not answer is left out, and that is said."""
    client = AdminClient(context, breaker.token)
    endpoints: list[Endpoint] = []
    states: dict[str, str | None] = {}
    silent = []
    for one in _endpoints(context, breaker):
        try:
            states[one.name] = _read(client, one, dependency)
        except CallFailed as failed:
            if one.ready:
                raise
            silent.append(f"pod {one.name} is not ready and does not answer, so that it is not told: {failed.reason}")
            continue
        endpoints.append(one)
    return endpoints, states, silent


def _endpoints(context: ActionContext, breaker: CircuitBreaker) -> list[Endpoint]:
    return endpoints_of_pods(context) if breaker.per_pod else [endpoint_of_service(context)]


def _read(client: AdminClient, endpoint: Endpoint, dependency: Downstream) -> str | None:
    breaker = dependency.circuit_breaker
    if breaker is None or breaker.status_path is None:
        return None
    return breaker_state(client.get(endpoint.base + breaker.status_path), breaker.name or dependency.name)


def _path(dependency: Downstream, state: str) -> str | None:
    breaker = dependency.circuit_breaker
    path = None if breaker is None else breaker.open_path if state == "open" else breaker.close_path
    return path.replace("{name}", quote(breaker.name or dependency.name, safe="")) if breaker and path else None


def _text(endpoints: Sequence[Endpoint], states: Mapping[str, str | None]) -> str:
    return "\n".join(f"{one.name}: {states[one.name] or 'not known'}" for one in endpoints)


def _identity(endpoint: Endpoint) -> str:
    return f"{endpoint.name} {endpoint.uid}"


def _changes(context: ActionContext, plan: Plan) -> Sequence[Change]:
    dependency = next(one for one in context.service.dependencies.downstream if one.name == plan.arguments["dependency"])
    wanted: str = plan.arguments["wanted"]
    path, breaker = _path(dependency, wanted), dependency.circuit_breaker
    assert breaker is not None
    assert path is not None
    told = set(plan.arguments["uids"])
    present = [one for one in _endpoints(context, breaker) if one.ready or _identity(one) in told]
    same_endpoints(plan.arguments["uids"], present)
    client = AdminClient(context, breaker.token)
    return [
        AdminCall(
            client,
            one,
            path,
            _path(dependency, "closed" if wanted == "open" else "open"),
            f"set the breaker of {dependency.name} to {wanted} on {one.name}",
            wanted,
            plan.arguments["states"][one.name],
            partial(_read, client, one, dependency),
        )
        for one in present
    ]


def _target_of(dependency: Downstream) -> Target:
    return Target(kind="circuit-breaker", name=dependency.name)


def _target(context: ActionContext) -> Target:
    dependency = _dependency(context, None)
    return Target(kind="circuit-breaker", name="(unclear)") if isinstance(dependency, Refusal) else _target_of(dependency)


OPEN_CIRCUIT_BREAKER = Action(
    name="open_circuit_breaker",
    title="Open the circuit breaker in front of the failing dependency",
    risk="medium",
    repair=False,
    plan=_plan_open,
    changes=_changes,
    undo=_undo,
    target=_target,
)

CLOSE_CIRCUIT_BREAKER = Action(
    name="close_circuit_breaker",
    title="Close the circuit breaker of a dependency that is well again",
    risk="low",
    repair=False,
    plan=_plan_close,
    changes=_changes,
    undo=_undo,
    target=_target,
)
