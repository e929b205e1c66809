"""Whatever is confirmed, the reader is told what to do about it."""

from __future__ import annotations

import pytest

from runbook_lib.models.cause import CauseRule
from runbook_lib.playbooks import names, playbook

RULES = [(issue, rule) for issue in names() for rule in playbook(issue).causes]


@pytest.mark.parametrize(("issue", "rule"), RULES, ids=[f"{issue}-{rule.name}" for issue, rule in RULES])
def test_a_cause_has_an_action_that_always_fits_or_says_what_to_do_by_hand(issue: str, rule: CauseRule) -> None:
    always = [remedy for remedy in rule.remedies if not remedy.when and not remedy.unless]
    assert always or rule.by_hand, issue
