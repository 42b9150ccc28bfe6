"""Tails for real-valued counts, against SciPy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from slokit.core.binomial import betainc, share_interval, solve, student_tail, tails

COUNTS = st.floats(1e-3, 1e5)
SHARES = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(1e-9, 1 - 1e-9))


@given(COUNTS, COUNTS, SHARES)
def test_betainc_agrees_with_scipy(a: float, b: float, x: float) -> None:
    assert betainc(a, b, x) == pytest.approx(special.betainc(a, b, x), abs=1e-10)


@given(COUNTS, COUNTS, st.floats(-6, 6))
def test_betainc_agrees_where_the_mass_is(a: float, b: float, deviations: float) -> None:
    """Uniform x seldom meets a narrow distribution; these do."""
    mean = a / (a + b)
    sd = math.sqrt(mean * (1 - mean) / (a + b + 1))
    x = min(max(mean + deviations * sd, 0.0), 1.0)
    assert betainc(a, b, x) == pytest.approx(special.betainc(a, b, x), abs=1e-10)


@pytest.mark.parametrize(
    ("a", "b", "x"),
    [
        pytest.param(0, 1, 0.5, id="a = 0"),
        pytest.param(1, -1, 0.5, id="b < 0"),
        pytest.param(1, 1, 1.5, id="x > 1"),
        pytest.param(1, 1, math.nan, id="x not a number"),
        pytest.param(math.nan, 1, 0.5, id="a not a number"),
    ],
)
def test_betainc_refuses(a: float, b: float, x: float) -> None:
    with pytest.raises(ValueError, match=r"need a > 0, b > 0 and x in \[0, 1\], got a="):
        betainc(a, b, x)


@given(st.integers(1, 5000), st.data(), st.floats(0.001, 0.999))
def test_tails_are_those_of_the_binomial(n: int, data: st.DataObject, e: float) -> None:
    t = data.draw(st.integers(0, n))
    at_most, at_least = tails(t, n, e)
    assert at_most == pytest.approx(stats.binom.cdf(t, n, e), abs=1e-9)
    assert at_least == pytest.approx(stats.binom.sf(t - 1, n, e), abs=1e-9)


@pytest.mark.parametrize(
    ("t", "n", "e", "expected"),
    [
        pytest.param(0, 59, 0.05, (0.95**59, 1.0), id="59 without one: the least that passes P95"),
        pytest.param(10, 10, 0.5, (1.0, 0.5**10), id="all bad"),
        pytest.param(0, 5, 0.0, (1.0, 1.0), id="nothing allowed, none seen"),
        pytest.param(1, 5, 0.0, (1.0, 0.0), id="nothing allowed, one seen"),
        pytest.param(4, 5, 1.0, (0.0, 1.0), id="everything allowed"),
    ],
)
def test_tails_at_the_edges(t: float, n: float, e: float, expected: tuple[float, float]) -> None:
    assert tails(t, n, e) == pytest.approx(expected, abs=1e-12)


@given(st.floats(1, 5000), st.floats(0, 1), st.floats(0.001, 0.2))
def test_share_interval_is_clopper_pearson(n: float, ratio: float, alpha: float) -> None:
    t = n * ratio
    low, high = share_interval(t, n, alpha)
    assert 0 <= low <= ratio + 1e-12 <= high + 2e-12 <= 1 + 2e-12
    if t > 0:
        assert low == pytest.approx(stats.beta.ppf(alpha, t, n - t + 1), abs=1e-9)
    if t < n:
        assert high == pytest.approx(stats.beta.ppf(1 - alpha, t + 1, n - t), abs=1e-9)


@given(st.floats(0, 50), st.integers(1, 60))
def test_student_tail_agrees_with_scipy(t: float, degrees: int) -> None:
    assert student_tail(t, degrees) == pytest.approx(stats.t.sf(t, degrees), abs=1e-10)


def test_student_tail_of_infinity_is_nothing() -> None:
    assert student_tail(math.inf, 9) == 0.0


@pytest.mark.parametrize(
    ("low", "high", "root"),
    [
        pytest.param(0.0, 4.0, math.sqrt(2), id="inside"),
        pytest.param(2.0, 4.0, 2.0, id="below the interval"),
        pytest.param(0.0, 1.0, 1.0, id="above the interval"),
    ],
)
def test_solve(low: float, high: float, root: float) -> None:
    assert solve(lambda x: x * x - 2, low, high) == pytest.approx(root, abs=1e-10)


def test_solve_stops_at_an_exact_zero() -> None:
    assert solve(lambda x: x - 0.5, 0.0, 1.0) == 0.5


def test_betainc_says_when_it_cannot() -> None:
    with pytest.raises(ArithmeticError, match="out of reach for a=1000"):
        betainc(1e14, 1e14, 0.5)


def test_solve_ends_even_where_a_function_leaps() -> None:
    """A step has no zero; the answer is where it steps."""
    assert solve(lambda x: -1.0 if x < 0.3 else 5.0, 0.0, 1.0) == pytest.approx(0.3, abs=1e-6)
