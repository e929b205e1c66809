"""What a rollout changed: the difference between the revisions, with what differs in the config maps that it exchanged."""

from __future__ import annotations

import time
from dataclasses import dataclass

from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.config_swaps import Content, with_contents
from runbook_lib.checks.context import CheckContext
from runbook_lib.checks.edits import Edit, edits_of
from runbook_lib.checks.rollouts import Rollout, culprit
from runbook_lib.models.frame import Frame, frame

__all__ = ["RolledOut", "what_was_rolled_out"]

_LEAST_SECONDS = 1.0  # on a machine so busy that nothing is left of the deadline
_NOTHING = Answers(values={}, errors={}, sources=())


@dataclass(frozen=True, slots=True)
class RolledOut:
    """The rollout that may have caused the symptom, None where there is none.

    difference: the answer `diff` (columns path, kind, old, new), which is not there where the revision before is not kept.
    content: the same with the settings that came and went with config maps.
    """

    rollout: Rollout | None
    difference: Answers
    content: Content

    def exchanged(self, context: CheckContext) -> list[Edit]:
        """The settings that differ between the config maps that the rollout exchanged."""
        told, difference = self.content.difference, self.difference.get("diff")
        if told is None or difference is None:
            return []
        own = {(row["path"], row["old"], row["new"]) for row in difference.to_dict("records")}
        rows = [row for row in told.to_dict("records") if (row["path"], row["old"], row["new"]) not in own]
        return edits_of(self.rollout, frame(rows, columns=list(told.columns)), None, context)

    @property
    def unread(self) -> str:
        """Why it is not known which settings the rollout changed in config maps; empty where that is known."""
        if self.rollout is not None and self.rollout.before is None:
            return f"what revision {self.rollout.revision} changed is not kept (revisionHistoryLimit)"
        return self.difference.why_missing("diff") or self.content.unread


def what_was_rolled_out(context: CheckContext, history: Frame | None, *, seconds: float) -> RolledOut:
    """Find the rollout in a history, which may not be known, and what it changed; waits for the cluster for so long."""
    began, cluster = time.monotonic(), context.sources.cluster
    rollout = culprit(history, context) if history is not None else None
    if rollout is None or rollout.before is None:
        return RolledOut(rollout, _NOTHING, Content(None))
    before, revision = rollout.before, rollout.revision
    difference = ask(
        {"diff": Question(cluster, lambda: cluster.rollout_diff(context.deployment, old=before, new=revision))},
        deadline_seconds=max(seconds, _LEAST_SECONDS),
    )
    told: Frame | None = difference.get("diff")
    if told is None:
        return RolledOut(rollout, difference, Content(None))
    left = max(seconds - (time.monotonic() - began), _LEAST_SECONDS)
    return RolledOut(rollout, difference, with_contents(context, told, seconds=left))
