"""A setting of the service, wherever it stands: a key of a config map, or a variable in the pod template itself."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.actions.cluster import CONFIG_MAPS, DEPLOYMENTS, Operator, operator
from runbook_lib.actions.configuration import config_map_patch, joint_binding, merge_command, object_binding
from runbook_lib.actions.interface import ActionContext, Change
from runbook_lib.actions.keepers import synced_back, taken_back
from runbook_lib.actions.patching import ObjectPatch, binding, pointer
from runbook_lib.actions.restart import deployment_target, restart
from runbook_lib.actions.workload import Workload, containers_of
from runbook_lib.models.plan import Plan, Refusal, Target

__all__ = ["Setting", "setting_changes", "setting_of"]

Object = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a setting stands: key `key` of a config map, or the variable at `path` of the deployment when there is none."""

    key: str
    value: str
    config_map: Object | None = None
    path: str = ""

    def target(self, context: ActionContext) -> Target:
        """The object that it stands in."""
        if self.config_map is None:
            return deployment_target(context)
        return Target(kind="configmap", name=str(self.config_map["metadata"]["name"]), namespace=context.namespace)

    def command(self, context: ActionContext, value: int | str) -> str:
        """What a person would type to give it this value and restart what reads it."""
        if self.config_map is not None:
            return merge_command(context, str(self.config_map["metadata"]["name"]), {self.key: str(value)}, restarts=True)
        return f"kubectl -n {context.namespace} set env deployment/{context.deployment} {shlex.quote(f'{self.key}={value}')}"

    def bound_to(self, workload: Workload) -> dict[str, str]:
        """What a plan for it is bound to."""
        if self.config_map is not None:
            return joint_binding(self.config_map, workload.found)
        return binding(DEPLOYMENTS, workload.found)

    def warnings(self) -> list[str]:
        """Who will write its config map again."""
        return taken_back("configmap", self.config_map, what="the change") if self.config_map is not None else []

    def unattended(self, workload: Workload) -> tuple[str, ...]:
        """Who takes its change back by itself, where it stands; a mark of the restart has done its work when it goes."""
        if self.config_map is not None:
            return synced_back("configmap", self.config_map, what="the change")
        return synced_back("deployment", workload.found, what="the change")


def setting_of(
    context: ActionContext, cluster: Operator, workload: Workload, *, key: str, config_map: str | None, field: str
) -> Setting | Refusal:
    """The setting as the container sees it: a variable of its own wins over what envFrom brings.

    config_map: what the service file says; None: the application's. field: where in the service file that stands.
    """
    application = context.service.components.application
    name, inside = config_map or application.config_map, key
    for index, container in enumerate(containers_of(workload.template)):
        if application.container not in (None, container.get("name")):
            continue
        for position, variable in enumerate(container.get("env") or ()):
            if variable.get("name") != key:
                continue
            if "value" in variable:
                path = pointer("spec", "template", "spec", "containers", index, "env", position, "value")
                return Setting(key=key, value=str(variable["value"]), path=path)
            reference = (variable.get("valueFrom") or {}).get("configMapKeyRef")
            if reference is None:
                return Refusal(by="target", reason=f"{key} of {workload.name} comes from neither a value nor a config map")
            name, inside = str(reference["name"]), str(reference["key"])
        break
    if name is None:
        return Refusal(by="target", reason=f"where {key} is set is not known", mend=f"name its config map in {field}")
    found = cluster.get(CONFIG_MAPS, name)
    if inside not in (found.get("data") or {}):
        mend = f"correct {field}.key in the service file"
        return Refusal(by="target", reason=f"configmap/{name} has no key {inside}", mend=mend)
    if found.get("immutable"):
        return Refusal(by="target", reason=f"configmap/{name} is immutable", mend="replace it by one with another name")
    return Setting(key=inside, value=str(found["data"][inside]), config_map=found)


def setting_changes(context: ActionContext, plan: Plan, *, key: str, path: str, value: str, before: str) -> Sequence[Change]:
    """The writes of a plan that gives a setting another value. `path`: that of the variable; empty: it stands in a config map."""
    cluster = operator(context)
    deployment = cluster.get(DEPLOYMENTS, context.deployment)
    if path:
        return [
            ObjectPatch(
                cluster,
                DEPLOYMENTS,
                context.deployment,
                plan.bound_to,
                [{"op": "replace", "path": path, "value": value}],
                [{"op": "replace", "path": path, "value": before}],
                f"set {key} of deployment/{context.deployment} to {value}",
                awaits_rollout=True,
            )
        ]
    found = cluster.get(CONFIG_MAPS, plan.target.name)
    return [
        config_map_patch(cluster, found, {key: value}, bound_to=object_binding(plan.bound_to, "configmap")),
        restart(context, deployment, bound_to=object_binding(plan.bound_to, "deployment")),
    ]
