from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.sources.blocking import roots


def test_a_chain_is_followed_to_the_session_that_waits_for_nobody():
    assert roots([(1, 2), (2, 3), (4, 3)]) == {(1, 2): (3, 3), (2, 3): (3, 3), (4, 3): (3, 3)}


def test_of_two_roots_the_one_that_most_wait_for_is_named():
    assert roots([(1, 8), (1, 9), (2, 9)])[1, 9] == (9, 2)


def test_a_deadlock_has_a_root_all_the_same():
    assert roots([(1, 2), (2, 1), (5, 1)]) == {(1, 2): (1, 2), (2, 1): (1, 2), (5, 1): (1, 2)}


def test_a_prepared_transaction_is_a_root_although_it_is_no_session():
    assert roots([(7, 0)]) == {(7, 0): (0, 1)}


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40))
def test_every_edge_gets_one_root_and_no_root_has_more_waiters_than_there_are_sessions(edges):
    found = roots(edges)
    assert found.keys() == edges
    blocked = {edge[0] for edge in edges}
    assert all(0 <= waiters <= len(blocked) for _, waiters in found.values())
