import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.sources.quantities import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250m", 0.25),
        ("2", 2),
        ("1.5Gi", 1.5 * 2**30),
        ("128974848", 128974848),
        ("129e6", 129e6),
        ("1E3", 1000),
        ("1E", 1e18),
        ("0", 0),
    ],
)
def test_a_quantity_is_a_number_of_its_base_unit(text, value):
    assert quantity(text) == pytest.approx(value)


@pytest.mark.parametrize("text", [None, "", "many", "1Kib", "--1"])
def test_what_is_no_quantity_is_unknown_and_not_zero(text):
    assert quantity(text) is None


@given(st.integers(0, 10**9), st.sampled_from(["n", "u", "m", "", "k", "M", "Ki", "Mi"]))
def test_a_larger_number_of_the_same_suffix_is_never_a_smaller_quantity(number, suffix):
    assert quantity(f"{number}{suffix}") <= quantity(f"{number + 1}{suffix}")
