"""Order statistics in which a lost request is infinitely slow."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slokit.core.estimates import batch_means, inflation, quantile, quantile_interval, rank
from slokit.core.gate import weigh

TIMES = st.lists(st.one_of(st.floats(0, 10), st.just(math.inf)), min_size=1, max_size=200)


@given(TIMES, st.floats(0, 10), st.integers(1, 999))
def test_a_quantile_within_its_limit_is_enough_good_requests(
    times: list[float], limit_s: float, permille: int
) -> None:
    """`p95 <= L` and `good(L) >= 95%` are the same statement, in whole numbers."""
    values = np.array(times)
    enough_good = 1000 * int((values <= limit_s).sum()) >= permille * len(values)
    found = quantile(values, permille / 1000)
    assert (found is not None and found <= limit_s) == enough_good


@given(st.integers(1, 10_000), st.integers(1, 1000))
def test_rank_is_exact(n: int, permille: int) -> None:
    assert rank(permille / 1000, n) == -(-permille * n // 1000)


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        pytest.param([], 0.95, None, id="nothing"),
        pytest.param([math.inf], 0.5, None, id="all lost"),
        pytest.param([0.1] * 95 + [math.inf] * 5, 0.95, 0.1, id="just enough good"),
        pytest.param([0.1] * 94 + [math.inf] * 6, 0.95, None, id="one too few"),
        pytest.param([3.0, 1.0, 2.0], 1.0, 3.0, id="maximum"),
        pytest.param([3.0, 1.0, 2.0], 1e-9, 1.0, id="minimum"),
    ],
)
def test_quantile(values: list[float], q: float, expected: float | None) -> None:
    assert quantile(np.array(values, dtype=float), q) == expected


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        # the ranks of the exact binomial order-statistic interval, from scipy.stats.binom
        pytest.param(1000, (939, 962), id="1000"),
        pytest.param(3000, (2831, 2871), id="3000"),
    ],
)
def test_interval_of_independent_samples_is_the_binomial_one(
    n: int, expected: tuple[int, int]
) -> None:
    ranks = np.arange(1, n + 1, dtype=float)
    low, high = quantile_interval(ranks, 0.95, n, 0.05)
    assert (low, high) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("values", "n_eff", "low_known", "high_known"),
    [
        pytest.param([], 1.0, False, False, id="nothing"),
        pytest.param([1.0] * 100, 100.0, True, True, id="enough"),
        pytest.param([1.0] * 50, 50.0, True, False, id="below 59 no upper end exists"),
        pytest.param([1.0] * 97 + [math.inf] * 3, 100.0, True, False, id="ends on a lost one"),
        pytest.param([math.inf] * 100, 100.0, False, False, id="all lost"),
        pytest.param([1.0] * 100, 0.5, False, False, id="no evidence at all"),
    ],
)
def test_interval_ends_are_none_where_unknown(
    values: list[float], n_eff: float, *, low_known: bool, high_known: bool
) -> None:
    low, high = quantile_interval(np.array(values, dtype=float), 0.95, n_eff, 0.05)
    assert (low is not None, high is not None) == (low_known, high_known)


@given(st.integers(0, 2**32 - 1), st.floats(1, 20), st.floats(0.5, 2))
def test_an_upper_end_within_the_limit_is_a_pass(seed: int, d: float, scale: float) -> None:
    """The printed interval and the verdict can never contradict each other."""
    values = np.random.default_rng(seed).exponential(1.0, 2000)
    limit_s = scale * -math.log(0.05)
    evidence = weigh(values > limit_s, 0.05, d)
    low, high = quantile_interval(values, 0.95, evidence.n_eff, 0.05)
    assert (evidence.pass_p <= 0.05) == (high is not None and high <= limit_s)
    if evidence.fail_p <= 0.05 and evidence.bad_eff > 0 and low is not None:
        assert low >= limit_s or evidence.inflation > 1  # the ten batches may fail it alone


def test_batch_means_leave_out_the_oldest() -> None:
    assert batch_means(np.array([9.0, 1, 1, 3, 3]), 2).tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("indicator", "expected"),
    [
        pytest.param([True] * 20, 1.0, id="always"),
        pytest.param([False] * 20, 1.0, id="never"),
        pytest.param([True, False] * 50, 0.0, id="alternating: batches are all alike"),
        pytest.param([True] * 50 + [False] * 50, 100 / 9, id="one long episode"),
    ],
)
def test_inflation(indicator: list[bool], expected: float) -> None:
    assert inflation(np.array(indicator)) == pytest.approx(expected)


def test_inflation_of_independent_requests_is_near_one() -> None:
    """Mean over 200 seeded runs of 3000; the standard error is about 0.03."""
    rng = np.random.default_rng(1)
    found = [inflation(rng.random(3000) < 0.05) for _ in range(200)]
    assert np.mean(found) == pytest.approx(1.0, abs=0.1)
