"""What was changed, setting by setting: by a rollout, and in the config maps that the pods read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.rollouts import Rollout, moment
from runbook_lib.models.frame import Frame

_RESTART = "kubectl.kubernetes.io/restartedAt"


@dataclass(frozen=True, slots=True)
class Edit:
    """One setting that changed; `at` is when it took effect."""

    where: str
    path: str
    kind: str
    old: str
    new: str
    at: datetime | None


def config_changes(context: CheckContext) -> Frame:
    """What changed in the config maps that the pods read, but for what is again as it was applied."""
    deployment = context.sources.cluster.deployment(context.deployment)
    named = context.service.components.application.config_map
    names = dict.fromkeys([*deployment.get("config_maps", ()), *([named] if named else [])])
    changes = context.sources.cluster.config_changes(list(names), window=context.window)
    return Frame(changes[[not _restored(context, row) for row in changes.to_dict("records")]]) if len(changes) else changes


def settings_changed(context: CheckContext) -> list[Edit]:
    """The settings of config maps that were changed; where nobody can say which of a config map, each of them may be."""
    edits: list[Edit] = []
    for row in config_changes(context).to_dict("records"):
        if row["key"]:
            edits.append(_setting(row, moment(row["updated_at"])))
        else:
            data: Mapping[str, str] = context.sources.cluster.config_map(str(row["config_map"]))["data"]
            each = ({**row, "key": key, "old": None, "new": value} for key, value in data.items())
            edits += [_setting(one, moment(row["updated_at"])) for one in each]
    return edits


def _setting(row: Mapping[Any, Any], at: datetime | None) -> Edit:
    return Edit(f"configmap/{row['config_map']}", str(row["key"]), "config", _text(row["old"]), _text(row["new"]), at)


def _restored(context: CheckContext, row: Mapping[Any, Any]) -> bool:
    """A key that was written by hand and is again as it was applied: what it was in between is over. What was applied itself is
    no return to anything, although it is as it was applied."""
    if _text(row["old"]) or not row["key"]:
        return False
    facts = context.sources.cluster.config_map(str(row["config_map"]))
    applied = facts.get("last_applied")
    if applied is None or row["key"] in facts.get("applied_keys", ()):
        return False
    return bool(applied.get(row["key"]) == facts["data"].get(row["key"]))


def edits_of(rollout: Rollout | None, difference: Frame | None, config: Frame | None, context: CheckContext) -> list[Edit]:
    """What the rollout changed, from its difference (columns path, kind, old, new), and what was changed in config maps."""
    edits = []
    if rollout is not None and difference is not None:
        where = f"deployment/{context.deployment} revision {rollout.revision}"
        for row in difference.to_dict("records"):
            edits.append(Edit(where, str(row["path"]), str(row["kind"]), _text(row["old"]), _text(row["new"]), rollout.at))
    for row in config.to_dict("records") if config is not None else ():
        at = moment(row["updated_at"])
        if at is not None and at < context.window.start:
            continue
        # a config map that is read as environment takes effect with the restart that follows it
        effective = max(at, rollout.at) if at is not None and rollout is not None and rollout.at > at else at
        edits.append(_setting(row, effective))
    return edits


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and pd.isna(value)) else str(value)


def is_restart(edit: Edit) -> bool:
    """Whether an edit only makes new pods, as `kubectl rollout restart` does."""
    return edit.kind in ("annotation", "label") and (_RESTART in edit.path or edit.kind == "label")
