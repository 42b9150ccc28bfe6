"""Schedules against scipy's distributions: same seeds, so nothing here can flake."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from slokit.core.arrivals import Arrivals, Process, due_times
from slokit.errors import UsageError


@pytest.mark.parametrize(
    ("text", "process", "cv"),
    [
        pytest.param("constant", Process.CONSTANT, 0.0, id="constant"),
        pytest.param("poisson", Process.POISSON, 1.0, id="poisson"),
        pytest.param(" gamma:2.5 ", Process.GAMMA, 2.5, id="gamma with spaces around"),
        pytest.param("gamma:0.5", Process.GAMMA, 0.5, id="smoother than poisson"),
    ],
)
def test_arrivals_are_read(text, process, cv):
    assert Arrivals.parse(text) == Arrivals(process, cv)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("Poisson", id="capital"),
        pytest.param("uniform", id="unknown process"),
        pytest.param("gamma", id="gamma without cv"),
        pytest.param("gamma:0", id="gamma of zero"),
        pytest.param("gamma:-1", id="negative cv"),
        pytest.param("gamma:inf", id="infinite cv"),
        pytest.param("poisson:2", id="poisson takes nothing"),
    ],
)
def test_bad_arrivals_name_the_forms(text):
    with pytest.raises(UsageError) as refusal:
        Arrivals.parse(text)
    assert str(refusal.value) == (
        f"{text!r} is no arrival process: "
        "write constant, poisson or gamma:CV with CV > 0, e.g. gamma:2"
    )


def test_constant_is_exact():
    times = due_times(Arrivals.parse("constant"), rate_rps=50, duration_s=2.01, seed=1)
    assert times.tolist() == [i / 50 for i in range(101)]


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        pytest.param("poisson", 1.0, id="poisson: exponential gaps"),
        pytest.param("gamma:2", 0.25, id="bursty"),
        pytest.param("gamma:0.5", 4.0, id="smooth"),
    ],
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gaps_follow_the_distribution(text, shape, seed):
    """Kolmogorov-Smirnov against scipy, 20 000 gaps."""
    times = due_times(Arrivals.parse(text), rate_rps=100, duration_s=200, seed=seed)
    gaps = np.diff(times)
    truth = stats.gamma(shape, scale=1 / (shape * 100))
    assert stats.kstest(gaps, truth.cdf).pvalue > 0.01


def test_poisson_counts_are_poisson():
    """Index of dispersion of one-second counts: (n - 1) D is chi-square with n - 1 df."""
    times = due_times(Arrivals.parse("poisson"), rate_rps=50, duration_s=1000, seed=4)
    counts = np.bincount(times.astype(int), minlength=1000)
    dispersion = counts.var(ddof=1) / counts.mean()
    low, high = stats.chi2(999).ppf([0.005, 0.995]) / 999
    assert low < dispersion < high


@given(
    text=st.sampled_from(["constant", "poisson", "gamma:3", "gamma:0.2"]),
    rate_rps=st.floats(0.5, 2000),
    duration_s=st.floats(0.01, 5),
    seed=st.integers(0, 2**63),
)
def test_any_schedule_ascends_within_its_time(text, rate_rps, duration_s, seed):
    arrivals = Arrivals.parse(text)
    times = due_times(arrivals, rate_rps=rate_rps, duration_s=duration_s, seed=seed)
    assert (np.diff(times) >= 0).all()
    assert ((times >= 0) & (times < duration_s)).all()
    again = due_times(arrivals, rate_rps=rate_rps, duration_s=duration_s, seed=seed)
    assert (times == again).all()


def test_a_schedule_is_a_prefix_of_a_longer_one():
    """The seed fixes the stream for a rate, so extending a run does not change its start."""
    poisson = Arrivals.parse("poisson")
    short = due_times(poisson, rate_rps=5, duration_s=10, seed=9)
    long = due_times(poisson, rate_rps=5, duration_s=1000, seed=9)
    assert short.tolist() == long[: len(short)].tolist()


@pytest.mark.parametrize(
    ("rate_rps", "duration_s"),
    [
        pytest.param(0, 1, id="no rate"),
        pytest.param(1, 0, id="no time"),
        pytest.param(float("inf"), 1, id="infinite rate"),
        pytest.param(1, float("nan"), id="nan time"),
    ],
)
def test_impossible_schedules_are_refused(rate_rps, duration_s):
    with pytest.raises(ValueError, match="need a rate and a duration > 0"):
        due_times(Arrivals.parse("poisson"), rate_rps=rate_rps, duration_s=duration_s, seed=1)
