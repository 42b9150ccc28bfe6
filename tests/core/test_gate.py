"""The three-way decision on counts."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from slokit.core.gate import (
    Evidence,
    error_inflation,
    further_requests,
    latency_inflation,
    weigh,
    with_margin,
)
from slokit.core.sequential import ONLY, Look
from slokit.core.steady import in_flight

ALPHA = 0.05
NO_QUEUE = np.zeros(0, dtype=np.int64)


def decision(evidence: Evidence) -> str:
    if evidence.pass_p <= ALPHA:
        return "pass"
    return "fail" if evidence.fail_p <= ALPHA else "inconclusive"


def spread(bad: int, total: int) -> np.ndarray:
    """`bad` bad requests at random places among `total`."""
    return np.random.default_rng(7).permutation(np.arange(total) < bad)


@pytest.mark.parametrize(
    ("bad", "total", "e", "d", "expected"),
    [
        # the least and most t of independent requests, from scipy.stats.binom
        pytest.param(38, 1000, 0.05, 1.0, "pass", id="38 of 1000 pass P95"),
        pytest.param(39, 1000, 0.05, 1.0, "inconclusive", id="39 do not"),
        pytest.param(62, 1000, 0.05, 1.0, "inconclusive", id="62 of 1000 are no fail"),
        pytest.param(63, 1000, 0.05, 1.0, "fail", id="63 are"),
        pytest.param(38, 1000, 0.05, 2.0, "inconclusive", id="half the evidence, no pass"),
        pytest.param(0, 59, 0.05, 1.0, "inconclusive", id="59 good ones are below the guard"),
        pytest.param(0, 60, 0.05, 1.0, "pass", id="60 are enough"),
        pytest.param(0, 1496, 0.002, 1.0, "inconclusive", id="errors: 1496 good, one too few"),
        pytest.param(0, 1497, 0.002, 1.0, "pass", id="errors: 1497 good"),
        pytest.param(5, 9, 0.05, 1.0, "inconclusive", id="9 requests never fail"),
        pytest.param(9, 9, 0.05, 1.0, "inconclusive", id="even if all are bad"),
        pytest.param(10, 10, 0.05, 10.0, "fail", id="10 bad ones: every batch is bad"),
        pytest.param(3000, 3000, 0.05, 3000.0, "fail", id="dead service, no n_eff left"),
        pytest.param(50, 1000, 0.05, 1.0, "inconclusive", id="exactly at the limit"),
        pytest.param(0, 1, 0.0, 1.0, "pass", id="none allowed, none seen"),
        pytest.param(1, 1000, 0.0, 1.0, "fail", id="none allowed, one seen"),
        pytest.param(5, 5, 1.0, 1.0, "pass", id="everything allowed"),
        pytest.param(5, 9, 0.5, 0.1, "inconclusive", id="an inflation is at least 1"),
    ],
)
def test_decision(bad: int, total: int, e: float, d: float, expected: str) -> None:
    assert decision(weigh(spread(bad, total), e, d)) == expected


@given(st.integers(60, 3000), st.floats(0, 0.2), st.sampled_from([0.05, 0.013, 0.002]))
def test_independent_requests_get_the_binomial_test(n: int, ratio: float, e: float) -> None:
    t = int(ratio * n)
    evidence = weigh(np.arange(n) < t, e, 1.0)
    if t < e * n:
        assert evidence.pass_p == pytest.approx(stats.binom.cdf(t, n, e), abs=1e-9)
        assert evidence.fail_p == 1.0
    else:
        assert evidence.pass_p == 1.0
        assert evidence.fail_p <= stats.binom.sf(t - 1, n, e) + 1e-9


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(20, 400), st.floats(0, 0.3), st.integers(1, 50))
def test_more_bad_never_turns_a_fail_into_a_pass(
    seed: int, n: int, ratio: float, further: int
) -> None:
    """Nor makes a pass more certain: the chance of a pass may not fall where D is the same."""
    rng = np.random.default_rng(seed)
    bad = rng.random(n) < ratio
    worse = bad.copy()
    worse[rng.integers(0, n, further)] = True
    before = weigh(bad, 0.05, error_inflation(bad))
    after = weigh(worse, 0.05, error_inflation(worse))
    assert not (decision(before) == "fail" and decision(after) == "pass")
    same_d = weigh(worse, 0.05, before.inflation)
    assert same_d.pass_p >= before.pass_p - 1e-12


def test_ten_bad_batches_fail_though_no_effective_request_is_left() -> None:
    """A queue that only grows: bad shares of 10 % to 100 %, batch after batch."""
    batches = [np.arange(60) < share * 60 for share in np.linspace(0.1, 1, 10)]
    bad = np.concatenate(batches)
    evidence = weigh(bad, 0.05, error_inflation(bad))
    assert evidence.n_eff < 20
    assert decision(evidence) == "fail"


def test_one_good_batch_of_ten_takes_that_rule_away() -> None:
    bad = np.ones(600, dtype=bool)
    bad[120:180] = False
    evidence = weigh(bad, 0.05, 600.0)
    assert decision(evidence) == "inconclusive"


@pytest.mark.parametrize(
    ("n", "expected"),
    [pytest.param(0, 1.0, id="none"), pytest.param(19, 19.0, id="too few to see dependence")],
)
def test_short_runs_hold_no_evidence(n: int, expected: float) -> None:
    quiet = np.full(n, 0.1)
    assert latency_inflation(quiet, quiet > 1, 0.05, np.zeros(n, dtype=np.int64)) == expected


def test_independent_latencies_cost_little() -> None:
    """The largest of five indicators times 1.5 is about 3 for independent requests."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(50):
        latency = rng.exponential(1, 2000)
        found.append(latency_inflation(latency, latency > 4, 0.05, np.arange(2000) % 3))
    assert 1.5 < float(np.median(found)) < 4


def test_a_quiet_run_still_shows_its_congestion(
    queue: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    """Nothing exceeds the limit, so the limit's own indicator is silent; the run's is not."""
    due, end = queue(2000, 85.0, 0.01, seed=4)
    latency = end - due
    counts = in_flight(due, due, end)
    silent = latency > latency.max()
    assert error_inflation(silent) == 1.0
    assert latency_inflation(latency, silent, 0.05, counts) > 20


def test_the_in_flight_count_speaks_only_where_it_explains_latency() -> None:
    """The same wild count raises D when latency follows it, and not when it does not."""
    rng = np.random.default_rng(5)
    count = np.repeat(rng.integers(0, 50, 20), 100)
    alone = rng.exponential(0.1, 2000)
    following = np.exp(0.02 * count) * rng.lognormal(-2, 1, 2000)
    assert latency_inflation(alone, alone > 9, 0.05, count) < 10
    assert latency_inflation(following, following > 99, 0.05, count) > 20


@pytest.mark.parametrize(
    "latency",
    [
        pytest.param(np.full(100, math.inf), id="all lost"),
        pytest.param(np.full(100, 0.1), id="all the same"),
        pytest.param(np.zeros(100), id="no time at all"),
    ],
)
def test_latencies_without_a_spread_leave_the_safety_factor(latency: np.ndarray) -> None:
    counts = np.arange(100) % 7
    assert latency_inflation(latency, latency > 1, 0.05, counts) == 1.5


@pytest.mark.parametrize(
    ("n", "rate_rps", "exponential", "limit_s", "seed", "decided", "d", "bad"),
    [
        # computed once by an independent implementation of the same procedure
        pytest.param(1000, 30.0, True, 0.05, 1, "inconclusive", 8.087444, 36, id="calm"),
        pytest.param(1000, 30.0, True, 0.02, 2, "fail", 9.162753, 290, id="calm, too slow"),
        pytest.param(2000, 50.0, True, 0.06, 3, "inconclusive", 26.978979, 96, id="half"),
        pytest.param(2000, 50.0, True, 0.03, 4, "fail", 12.724923, 468, id="half, too slow"),
        pytest.param(3000, 70.0, True, 0.1, 5, "inconclusive", 59.822025, 194, id="busy"),
        pytest.param(3000, 70.0, False, 0.03, 6, "fail", 19.171007, 569, id="busy, regular"),
        pytest.param(1000, 85.0, True, 0.2, 7, "inconclusive", 37.0, 3, id="nearly saturated"),
    ],
)
def test_agrees_with_another_implementation(
    queue: Callable[..., tuple[np.ndarray, np.ndarray]],
    *,
    n: int,
    rate_rps: float,
    exponential: bool,
    limit_s: float,
    seed: int,
    decided: str,
    d: float,
    bad: int,
) -> None:
    due, end = queue(n, rate_rps, 0.01, seed, exponential=exponential)
    latency = end - due
    slow = latency > limit_s
    inflated = latency_inflation(latency, slow, 0.05, in_flight(due, due, end))
    evidence = weigh(slow, 0.05, inflated)
    assert (decision(evidence), evidence.bad) == (decided, bad)
    assert evidence.inflation == pytest.approx(d, abs=1e-6)


@pytest.mark.parametrize("e", [0.05, 0.5, 0.9, 0.0, 1.0])
def test_any_share_may_be_allowed(e: float) -> None:
    """Own quantiles beyond 0 and 1 do not exist and are left out."""
    latency = np.random.default_rng(6).exponential(1, 500)
    found = latency_inflation(latency, latency > 1, e, np.zeros(500, dtype=np.int64))
    assert 1 <= found < 10


@pytest.mark.parametrize(
    ("bad", "total", "e", "low", "high"),
    [
        pytest.param(0, 500, 0.002, 500, 3000, id="errors: about 1500 in all"),
        pytest.param(25, 1000, 0.05, 100, 100, id="should be decided: at least a tenth more"),
        pytest.param(45, 1000, 0.05, 5_000, 20_000, id="near the limit: many"),
        pytest.param(300, 1000, 0.05, 100, 100, id="far above"),
    ],
)
def test_how_many_more(bad: int, total: int, e: float, low: int, high: int) -> None:
    further = further_requests(weigh(spread(bad, total), e, 1.0), ALPHA)
    assert further is not None
    assert low <= further <= high


@pytest.mark.parametrize(
    ("bad", "total", "e"),
    [
        pytest.param(50, 1000, 0.05, id="at the limit"),
        pytest.param(0, 1000, 0.0, id="nothing allowed"),
        pytest.param(0, 1000, 1.0, id="everything allowed"),
    ],
)
def test_no_number_of_requests_helps(bad: int, total: int, e: float) -> None:
    assert further_requests(weigh(spread(bad, total), e, 1.0), ALPHA) is None


def congested(n: int, slow_s: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Latencies around 3 ms that rise and fall slowly, up to `slow_s` more, and no queue."""
    rng = np.random.default_rng(4)
    wave = 1 + np.sin(np.arange(n) / n * 12 * np.pi)
    return 0.002 * rng.exponential(1, n) + (0.0005 + slow_s) * wave, np.zeros(n, dtype=np.int64)


def passes_by_margin(latency: np.ndarray, limit_s: float, e: float, look: Look = ONLY) -> bool:
    bad = latency > limit_s
    queue = np.zeros(len(latency), dtype=np.int64)
    evidence = weigh(bad, e, latency_inflation(latency, bad, e, queue, look))
    return with_margin(latency, bad, evidence, limit_s, look).pass_p <= look.alpha


class TestMargin:
    @pytest.mark.parametrize(
        ("n", "limit_s", "e", "expected"),
        [
            pytest.param(341, 0.15, 0.05, True, id="far from the limit"),
            pytest.param(319, 0.15, 0.05, False, id="too short: one stall may be missing"),
            pytest.param(341, 0.010, 0.05, False, id="too near it"),
            pytest.param(1496, 0.15, 0.002, False, id="P99.8: too few without a bad one"),
            pytest.param(1497, 0.15, 0.002, True, id="just enough"),
            pytest.param(1000, 0.15, 0.0, True, id="none allowed, none seen"),
        ],
    )
    def test_a_quick_service_passes(
        self, n: int, limit_s: float, e: float, *, expected: bool
    ) -> None:
        latency, _ = congested(n)
        assert passes_by_margin(latency, limit_s, e) is expected

    def test_the_inflation_alone_would_not_let_it_pass(self) -> None:
        latency, queue = congested(341, slow_s=0.004)
        bad = latency > 0.15
        evidence = weigh(bad, 0.05, latency_inflation(latency, bad, 0.05, queue))
        assert 20 <= evidence.n_eff < 60
        assert evidence.pass_p == 1.0
        assert with_margin(latency, bad, evidence, 0.15).pass_p <= ALPHA

    def test_slow_requests_in_a_bunch_count_at_the_limit_itself(self) -> None:
        """All but one stall are quick, so nothing is near the limit; the stall says no."""
        latency, _ = congested(600)
        latency[300:318] = 2.0
        assert not passes_by_margin(latency, 0.15, 0.05)
        assert passes_by_margin(np.delete(latency, np.s_[300:318]), 0.15, 0.05)

    def test_a_look_asks_for_more(self) -> None:
        latency, _ = congested(70)
        rng = np.random.default_rng(3)
        quick = rng.permutation(np.tile(latency, 5)[:330])
        assert passes_by_margin(quick, 0.15, 0.02)
        assert not passes_by_margin(quick, 0.15, 0.02, Look(1, 60))

    @pytest.mark.parametrize(
        ("third", "known"),
        [pytest.param(0.0, True, id="quick"), pytest.param(0.4, False, id="too slow to hope")],
    )
    def test_how_many_more(self, *, third: float, known: bool) -> None:
        latency = np.where(spread(int(400 * third), 400), 0.1, 0.001)
        latency[:40] = 0.06
        bad = latency > 0.15
        margin = with_margin(latency, bad, weigh(bad, 0.05, 100.0), 0.15)
        further = margin.further_requests(ALPHA)
        assert (further is not None) == known
        assert further is None or 1000 <= further <= 20_000

    def test_no_number_helps_where_the_limit_itself_is_missed(self) -> None:
        latency = np.where(spread(80, 400), 1.0, 0.001)
        bad = latency > 0.15
        assert with_margin(latency, bad, weigh(bad, 0.05, 2.0), 0.15).further_requests(0.05) is None
