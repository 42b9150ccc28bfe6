"""Where a run becomes steady, and whether it ever does.

The start of a run (cold caches, empty queue) is not what an SLO speaks of, so it is cut.
A service that is asked for more than it can do has no steady state at all: its in-flight
count grows without end, and that is a finding about the service, not about the run.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from slokit.core.binomial import student_tail
from slokit.core.estimates import BATCHES, batch_means
from slokit.core.sample import BoolArray, FloatArray, IntArray

FLOOR_S: Final = 5.0
FLOOR_REQUESTS: Final = 50
MSER_MIN_REQUESTS: Final = 1000  # on shorter runs MSER cuts half of a steady run too often
MSER_BATCH: Final = 5
MSER_MAX_SHARE: Final = 0.25
OVERLOAD_P: Final = 0.05
OVERLOAD_MIN_GROWTH: Final = 40  # requests, on top of sqrt(n)
DRIFT_P: Final = 0.005


class State(StrEnum):
    """What the in-flight count did over the judged part of a run."""

    STEADY = "steady"
    DRIFTING = "drifting"  # a significant trend, up or down, that need not go on
    OVERLOADED = "overloaded"  # it grew and never settled


@dataclass(frozen=True, slots=True)
class Trend:
    """A state and the mean in-flight counts of the first and the last tenth."""

    state: State
    before: float
    after: float


NO_TREND: Final = Trend(State.STEADY, 0.0, 0.0)


def warmup_cut(
    due_s: FloatArray, latency_s: FloatArray, ok: BoolArray, warmup_s: float | None = None
) -> int:
    """How many requests at the start do not count; arrays of shape (n,), ordered by due time.

    The floor is the later of 5 s and 50 requests, or `warmup_s` from the first due time.
    MSER-5 may cut more. `warmup_s=0` asks for no cut of any kind.
    """
    if warmup_s == 0 or not len(due_s):
        return 0
    since_first = due_s - due_s[0]
    if warmup_s is None:
        floor = max(int(np.searchsorted(since_first, FLOOR_S)), FLOOR_REQUESTS)
        floor = min(floor, len(due_s))
    else:
        floor = int(np.searchsorted(since_first, warmup_s))
    return floor + mser_cut(latency_s[floor:], ok[floor:])


def mser_cut(latency_s: FloatArray, ok: BoolArray) -> int:
    """MSER-5 on ranks: the cut that minimises the standard error of the rest, in requests.

    0 below 1000 requests; at most a quarter; never past the first error, which no warm-up
    may hide. Ranks, so that lost requests (infinite) count as the slowest. White, "An
    effective truncation heuristic for bias reduction in simulation output" (1997).
    """
    n = len(latency_s)
    if n < MSER_MIN_REQUESTS:
        return 0
    ordered = np.sort(latency_s)
    means = batch_means(np.searchsorted(ordered, latency_s).astype(np.float64), n // MSER_BATCH)
    left = np.arange(len(means), 0, -1)
    sums, squares = _tail_sums(means), _tail_sums(means * means)
    error = (squares - sums * sums / left) / (left * left)
    candidates = error[: math.floor(MSER_MAX_SHARE * len(means)) + 1]
    cut = MSER_BATCH * int(np.argmin(candidates))
    return min(cut, n if ok.all() else int(np.argmin(ok)))


def in_flight(at_s: FloatArray, start_s: FloatArray, end_s: FloatArray) -> IntArray:
    """Requests that started before each time of `at_s` and were not done by then.

    `end_s` is infinite for a request that never ended. Shape of the result: that of `at_s`.

    >>> in_flight(np.array([0.0, 1.0, 5.0]), np.array([0.0, 0.5]), np.array([2.0, np.inf]))
    array([0, 2, 1])
    """
    started = np.searchsorted(np.sort(start_s), at_s, side="left")
    return started - np.searchsorted(np.sort(end_s), at_s, side="left")


def trend(counts: IntArray) -> Trend:
    """Judge in-flight counts of an open-loop run, shape (n,), in order of due time.

    The steps between the means of ten batches are tested by Student's t, which no burst and
    no sawtooth passes. Growth must also exceed sqrt(n) + 40 requests: a queue near its
    capacity wanders by as much, and a server that works in batches by one or two of them,
    and both come back. docs/verdict.md has how often this is right.
    """
    n = len(counts)
    if n < BATCHES:
        return NO_TREND
    means = batch_means(counts.astype(np.float64))
    before, after = float(means[0]), float(means[-1])
    growth, p = after - before, _steps_p(means)
    if p <= OVERLOAD_P and growth >= math.sqrt(n) + OVERLOAD_MIN_GROWTH:
        return Trend(State.OVERLOADED, before, after)
    moved = abs(growth) >= max(1.0, 0.5 * min(before, after))
    return Trend(State.DRIFTING if moved and p <= DRIFT_P else State.STEADY, before, after)


def _steps_p(means: FloatArray) -> float:
    """Chance of steps this one-sided, up or down, if they had no direction."""
    steps = np.diff(means)
    mean = abs(float(steps.mean()))
    spread = float(steps.std(ddof=1)) / math.sqrt(len(steps))
    if not mean:
        return 1.0
    return student_tail(mean / spread, len(steps) - 1) if spread else 0.0


def _tail_sums(values: FloatArray) -> FloatArray:
    return np.cumsum(values[::-1])[::-1]
