"""The service's own metrics by our names, whatever its instrumentation calls them."""

from __future__ import annotations

from collections.abc import Callable

from runbook_lib.checks.asking import Question
from runbook_lib.checks.context import CheckContext, Steps
from runbook_lib.errors import SourceAnswerInvalid
from runbook_lib.models.frame import Frame
from runbook_lib.service.instrumentation import Expression


def over_time(context: CheckContext, name: str, *, steps: Steps = "usual", **values: str) -> Question:
    """Ask for an expression over the window. The answer is a Frame with our label names, or None when it is not exported.

    Where not all of Prometheus answered while it was looked for, there is none: SourceAnswerInvalid.

    steps: see `CheckContext.step_seconds`.
    """

    def fetch(promql: str) -> Frame:
        step = context.step_seconds(context.window, steps=steps)
        return context.sources.metrics.range(promql, window=context.window, step_seconds=step)

    return Question(context.sources.metrics, lambda: _evaluate(context, name, values, fetch))


def now(context: CheckContext, name: str, **values: str) -> Question:
    """Ask for an expression at the end of the window. The answer is as for `over_time`."""
    at = None if context.live else context.now
    return Question(
        context.sources.metrics,
        lambda: _evaluate(context, name, values, lambda promql: context.sources.metrics.instant(promql, at=at)),
    )


def promql_of(context: CheckContext, name: str, **values: str) -> str:
    """The PromQL of an expression, empty when it is not exported. Raises SourceError when that cannot be found out."""
    expression = context.expressions().get(name)
    return expression.promql_for(**values) if expression else ""


def _evaluate(context: CheckContext, name: str, values: dict[str, str], fetch: Callable[[str], Frame]) -> Frame | None:
    expression = context.expressions().get(name)
    if expression is None:
        if why := context.expressions().why_unknown(name):
            raise SourceAnswerInvalid(context.sources.metrics.name, why)
        return None
    answer = fetch(expression.promql_for(**values))
    answer.attrs["unit"] = expression.unit
    return _renamed(answer, expression)


def _renamed(answer: Frame, expression: Expression) -> Frame:
    """Our column names for the labels of the answer."""
    names = {label: ours for ours, label in expression.labels.items() if label in answer.columns and label != ours}
    return Frame(answer.rename(columns=names))
