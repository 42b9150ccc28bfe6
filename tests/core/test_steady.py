"""Warm-up is cut, errors never are; growth without end is overload and a burst is not."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slokit.core.steady import State, in_flight, mser_cut, trend, warmup_cut

Queue = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.mark.parametrize(
    ("n", "rate_rps", "warmup_s", "expected"),
    [
        pytest.param(500, 50.0, None, 250, id="5 s at 50 rps"),
        pytest.param(200, 5.0, None, 50, id="50 requests at 5 rps"),
        pytest.param(30, 5.0, None, 30, id="a run inside its warm-up"),
        pytest.param(500, 50.0, 2.0, 100, id="asked for 2 s"),
        pytest.param(500, 50.0, 0.0, 0, id="asked for none"),
        pytest.param(0, 50.0, None, 0, id="no requests"),
    ],
)
def test_floor(n: int, rate_rps: float, warmup_s: float | None, expected: int) -> None:
    due = 3.0 + np.arange(n) / rate_rps
    latency = np.full(n, 0.1)
    assert warmup_cut(due, latency, latency < 1, warmup_s) == expected


def test_a_cold_start_is_cut_where_it_ends() -> None:
    """200 slow requests of 3000; the median cut over 30 seeds is within a batch of them."""
    cuts = []
    for seed in range(30):
        latency = np.random.default_rng(seed).exponential(0.1, 3000)
        latency[:200] += 0.5
        cuts.append(mser_cut(latency, latency < np.inf))
    assert np.median(cuts) == pytest.approx(200, abs=10)


@pytest.mark.parametrize(
    ("n", "cold", "first_error", "expected"),
    [
        pytest.param(999, 200, None, 0, id="below 1000 requests the floor alone"),
        pytest.param(2000, 1000, None, 500, id="at most a quarter"),
        pytest.param(2000, 300, 120, 120, id="never past the first error"),
        pytest.param(2000, 300, 0, 0, id="an error at once: nothing"),
    ],
)
def test_mser_limits(n: int, cold: int, first_error: int | None, expected: int) -> None:
    latency = np.random.default_rng(1).uniform(0.1, 0.11, n)
    latency[:cold] += np.linspace(1, 0.5, cold)
    ok = np.ones(n, dtype=bool)
    if first_error is not None:
        latency[first_error], ok[first_error] = np.inf, False
    assert mser_cut(latency, ok) == expected


def test_in_flight_by_the_definition() -> None:
    rng = np.random.default_rng(2)
    start = np.sort(rng.uniform(0, 10, 200))
    end = start + rng.exponential(1, 200)
    end[7] = np.inf
    expected = [int(((start < t) & (end >= t)).sum()) for t in start]
    assert in_flight(start, start, end).tolist() == expected


@given(st.permutations(range(6)))
def test_requests_due_together_count_alike(order: list[int]) -> None:
    """Their order in the file must not matter."""
    start = np.zeros(6)
    end = np.array([0.5, 1, 2, 3, 4, np.inf])
    assert in_flight(start, start, end[list(order)]).tolist() == [0] * 6
    assert in_flight(np.array([2.5]), start, end[list(order)]).tolist() == [3]


def share(runs: list[State], state: State) -> float:
    return runs.count(state) / len(runs)


def states(
    queue: Queue, n: int, utilisation: float, runs: int, *, exponential: bool
) -> list[State]:
    found = []
    for seed in range(runs):
        due, end = queue(n + 50, 100.0, utilisation / 100, seed, exponential=exponential)
        found.append(trend(in_flight(due[50:], due, end)).state)
    return found


@pytest.mark.parametrize(
    ("n", "utilisation"),
    [
        pytest.param(200, 0.5, id="short, calm"),
        pytest.param(200, 0.93, id="short, nearly saturated"),
        pytest.param(600, 0.93, id="nearly saturated"),
        pytest.param(3000, 0.93, id="long, nearly saturated"),
    ],
)
def test_a_busy_service_is_not_overloaded(queue: Queue, n: int, utilisation: float) -> None:
    """At most 2 of 100 seeded runs from an empty M/M/1 queue; the benchmark has <= 1 %."""
    assert share(states(queue, n, utilisation, 100, exponential=True), State.OVERLOADED) <= 0.02


@pytest.mark.parametrize(
    ("n", "utilisation", "exponential"),
    [
        pytest.param(600, 1.3, True, id="1.3 x capacity"),
        pytest.param(600, 2.0, True, id="2 x capacity"),
        pytest.param(3000, 1.1, False, id="1.1 x capacity, long and regular"),
    ],
)
def test_overload_is_seen(queue: Queue, n: int, utilisation: float, *, exponential: bool) -> None:
    found = states(queue, n, utilisation, 60, exponential=exponential)
    assert share(found, State.OVERLOADED) >= 0.95


def test_a_service_that_freezes_is_not_overloaded() -> None:
    """2 s in every 10 s at half its capacity, at every phase of a run of 60 s."""
    rng = np.random.default_rng(3)
    for phase_s in np.linspace(0, 10, 20, endpoint=False):
        due = np.cumsum(rng.exponential(0.02, 3000))
        end, free = np.empty(3000), 0.0
        for i, service_s in enumerate(rng.exponential(0.01, 3000)):
            start = max(free, due[i])
            into_cycle = (start + phase_s) % 10
            start += max(2 - into_cycle, 0.0)
            free = end[i] = start + service_s
        assert trend(in_flight(due, due, end)).state is State.STEADY


@pytest.mark.parametrize(
    ("counts", "state", "before", "after"),
    [
        pytest.param([5] * 9, State.STEADY, 0.0, 0.0, id="too few to say"),
        pytest.param([5] * 100, State.STEADY, 5.0, 5.0, id="constant"),
        pytest.param(range(1000), State.OVERLOADED, 49.5, 949.5, id="a straight line up"),
        pytest.param(range(1000, 0, -1), State.DRIFTING, 950.5, 50.5, id="and down"),
        pytest.param([i // 100 for i in range(1000)], State.DRIFTING, 0.0, 9.0, id="a little"),
        pytest.param([0] * 900 + [500] * 100, State.STEADY, 0.0, 500.0, id="one burst at the end"),
        pytest.param([20 + i // 500 for i in range(5000)], State.STEADY, 20.0, 29.0, id="slight"),
    ],
)
def test_trend(counts: list[int], state: State, before: float, after: float) -> None:
    found = trend(np.array(counts))
    assert (found.state, found.before, found.after) == (state, before, after)
