import threading
import time

import pytest

from runbook_lib.deadline import Deadline, DeadlineError, UnansweredError, gather, within


def test_a_call_that_hangs_is_left_behind_at_the_deadline():
    released, abandoned = threading.Event(), threading.Event()
    began = time.monotonic()
    with pytest.raises(DeadlineError):
        within(Deadline(0.05), lambda: released.wait(30), abandon=abandoned.set)
    assert time.monotonic() - began < 10
    assert abandoned.is_set()
    released.set()


def test_a_call_hands_back_its_result_or_its_error():
    assert within(Deadline(5), lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        within(Deadline(5), lambda: 1 / 0)


def test_gathered_results_come_in_the_order_of_the_items():
    assert gather([3, 1, 2], lambda item: item * 2, workers=2, deadline=Deadline(5)) == [6, 2, 4]
    assert gather([], lambda item: item, workers=2, deadline=Deadline(5)) == []


def test_what_fails_or_hangs_costs_only_its_own_result():
    released = threading.Event()

    def work(item):
        if item == "hangs":
            released.wait(30)
        if item == "fails":
            raise ValueError(item)
        return item

    results = gather(["fails", "hangs", "works"], work, workers=2, deadline=Deadline(0.2))
    released.set()
    assert isinstance(results[0], ValueError)
    assert isinstance(results[1], UnansweredError)
    assert results[2] == "works"
