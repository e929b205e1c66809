"""The account of a container's processor time: quotas, what is owed, and what is counted."""

import pytest

from runbook_lab.cluster.node.cpu_limit import Account


def test_what_was_used_too_much_is_missing_from_the_next_periods_quota():
    account = Account(0.02)
    account.spend(0.03)
    account.refill(1, throttled=True)
    assert account.left == pytest.approx(0.01)
    account.refill(5, throttled=False)
    assert account.left == 0.02
    assert (account.periods, account.throttled_periods) == (1, 1)


def test_nothing_is_saved_up_and_no_more_than_one_quota_is_owed():
    account = Account(0.02)
    account.refill(3, throttled=False)
    assert account.left == 0.02
    account.spend(0.2)
    account.refill(1, throttled=True)
    assert account.left == 0.0


def test_a_period_in_which_nothing_was_used_does_not_count():
    account = Account(0.02)
    account.refill(1, throttled=False)
    assert account.periods == 0
    account.spend(0.001)
    account.refill(1, throttled=False)
    assert (account.periods, account.throttled_periods) == (1, 0)


def test_who_has_used_much_of_its_quota_is_looked_at_more_often():
    account = Account(0.02)
    assert account.is_far
    account.spend(0.015)
    account.refill(1, throttled=False)
    assert not account.is_far
    account.spend(0.001)
    account.refill(1, throttled=False)
    assert account.is_far
