"""Schedules against scipy's distributions: same seeds, so nothing here can flake."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from slokit.core.arrivals import Arrivals, Process, due_times, due_times_of
from slokit.core.rates import mean_rps, parse_pieces
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


RATES = [
    pytest.param("80rps", lambda t: 80 * t, id="constant"),
    pytest.param("20rps to 180rps", lambda t: 20 * t + 160 * t**2 / 200, id="ramp up"),
    pytest.param("180rps to 20rps", lambda t: 180 * t - 160 * t**2 / 200, id="ramp down"),
    pytest.param(
        "80rps +- 60rps every 30s",
        lambda t: 80 * t + 60 * 30 / (2 * np.pi) * (1 - np.cos(2 * np.pi * t / 30)),
        id="sine",
    ),
    pytest.param(
        "40rps, 400rps at 50s for 10s",
        lambda t: 40 * t + 360 * np.clip(t - 50, 0, 10),
        id="spike",
    ),
]


@pytest.mark.parametrize(("text", "cumulative"), RATES)
@pytest.mark.parametrize(
    ("process", "shape"),
    [pytest.param("poisson", 1.0, id="poisson"), pytest.param("gamma:2", 0.25, id="bursty")],
)
def test_rescaled_by_the_cumulative_rate_the_gaps_are_the_processs_own(
    text, cumulative, process, shape
):
    """The time-rescaling theorem, against cumulative rates written out by hand."""
    due_s = due_times_of(Arrivals.parse(process), parse_pieces(text, 100), seed=3)
    gaps = np.diff(cumulative(due_s))
    assert stats.kstest(gaps, stats.gamma(shape, scale=1 / shape).cdf).pvalue > 0.01


@pytest.mark.parametrize(("text", "cumulative"), RATES)
def test_a_constant_process_is_due_when_one_more_request_is(text, cumulative):
    pieces = parse_pieces(text, 100)
    due_s = due_times_of(Arrivals.parse("constant"), pieces, seed=3)
    assert cumulative(due_s) == pytest.approx(np.arange(len(due_s)), abs=1e-7)
    assert sum(piece.expected for piece in pieces) == pytest.approx(cumulative(np.float64(100)))
    assert len(due_s) == np.ceil(round(cumulative(np.float64(100)), 6))


def test_counts_of_a_spike_are_exact_at_its_edges():
    due_s = due_times_of(
        Arrivals.parse("constant"), parse_pieces("5rps, 50rps at 30s for 10s", 60), seed=1
    )
    assert np.searchsorted(due_s, [30, 40, 60]).tolist() == [150, 650, 750]
    assert due_s[[150, 151, 650, 651]].tolist() == [30.0, 30.02, 40.0, 40.2]


def test_counts_of_poisson_pieces_are_poisson():
    """500 seeds of a spike: mean and variance of each part are its expected count."""
    pieces = parse_pieces("5rps, 50rps at 4s for 2s", 10)
    parts = np.array(
        [
            np.histogram(due_times_of(Arrivals.parse("poisson"), pieces, seed=s), [0, 4, 6, 10])[0]
            for s in range(500)
        ]
    )
    expected = np.array([20, 100, 20])
    assert (abs(parts.mean(axis=0) - expected) < 3.3 * np.sqrt(expected / 500)).all()
    assert parts.var(axis=0, ddof=1) / expected == pytest.approx([1, 1, 1], abs=0.25)
    assert abs(np.corrcoef(parts.T)[0, 1]) < 0.15


@given(
    process=st.sampled_from(["constant", "poisson", "gamma:3"]),
    text=st.sampled_from([row.values[0] for row in RATES]),
    workers=st.integers(1, 7),
    seed=st.integers(0, 2**63),
)
def test_the_shares_of_the_workers_are_the_whole_schedule(process, text, workers, seed):
    def schedule():
        return due_times_of(Arrivals.parse(process), parse_pieces(text, 61), seed=seed)

    whole = schedule()
    shares = [schedule()[worker::workers] for worker in range(workers)]
    assert np.sort(np.concatenate(shares)).tolist() == whole.tolist()
    assert (np.diff(whole) >= 0).all()
    assert (whole >= 0).all()
    assert (whole < 61).all()


@pytest.mark.parametrize(
    ("text", "labels", "constant"),
    [
        pytest.param("50rps", ["50 requests/s"], [True], id="constant"),
        pytest.param("50", ["50 requests/s"], [True], id="a plain number"),
        pytest.param("10rps to 100/s", ["10 to 100 requests/s"], [False], id="ramp"),
        pytest.param("50rps ± 30rps every 1m", ["50 +- 30 requests/s"], [False], id="sine"),
        pytest.param(
            "5rps,9rps at 10s for 20s", ["before", "spike", "after"], [True] * 3, id="spike"
        ),
        pytest.param(
            "5rps, 9rps at 10s for 80s", ["before", "spike"], [True] * 2, id="spike to the end"
        ),
    ],
)
def test_rates_are_read(text, labels, constant):
    pieces = parse_pieces(text, 90)
    assert [piece.label for piece in pieces] == labels
    assert [piece.is_constant for piece in pieces] == constant
    assert sum(piece.duration_s for piece in pieces) == 90


def test_the_peak_and_the_mean_of_a_rate():
    sine, spike = parse_pieces("50 +- 30 every 10s", 60), parse_pieces("5, 20 at 10s for 10s", 30)
    assert (sine[0].peak_rps, mean_rps(sine)) == (80, pytest.approx(50))
    assert (max(piece.peak_rps for piece in spike), mean_rps(spike)) == (20, 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("fast", "'fast' is no rate: write 50rps, 10rps to 100rps", id="a word"),
        pytest.param("0rps", "'0rps' is no rate", id="nothing"),
        pytest.param("0rps to 9rps", "'0rps' is no rate: write requests", id="ramp from nothing"),
        pytest.param("9rps to", "'9rps to' is no rate", id="half a ramp"),
        pytest.param("9rps +- 10rps every 1m", "falls below 0: swing by at most", id="below 0"),
        pytest.param("9rps +- 1rps every 1", "'1' is no duration", id="period without unit"),
        pytest.param("9rps, 20rps at 50s for 50s", "ends at 100 s, but the", id="late"),
    ],
)
def test_rates_that_cannot_be_meant(text, message):
    with pytest.raises(UsageError) as refusal:
        parse_pieces(text, 90)
    assert message in str(refusal.value)
