"""Three-way decisions on counts: is a share of bad requests below e, above it, or unknown?

Requests under load are not independent: one busy moment makes a hundred of them slow. So
t bad of n are read as t/D bad of n/D independent ones, where the inflation D comes from
the run itself: how much the means of ten consecutive batches scatter. A quiet run has few
slow requests and hides its congestion at the limit, therefore D is taken at the run's own
quantiles too, and of the in-flight count where it explains latency. Where nearly all
requests keep far from the limit, fewer of them are enough: see `with_margin`.
docs/verdict.md has the measured error rates; benchmarks/gate_calibration.py measures them.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from slokit.core.binomial import student_tail, tails
from slokit.core.estimates import BATCHES, batch_means, inflation, rank
from slokit.core.sample import BoolArray, FloatArray, IntArray
from slokit.core.sequential import ONLY, Look

MIN_EFFECTIVE_TO_PASS: Final = 60.0
MARGIN: Final = 3.0  # the limit is this many times what nearly all requests take
MIN_EFFECTIVE_WITH_MARGIN: Final = 20.0
MIN_REQUESTS_WITH_MARGIN: Final = 320  # a stall that comes back may miss a shorter run
CAUTION_AT_LIMIT: Final = 2.0  # regular stalls scatter less between batches than they weigh
MIN_EFFECTIVE_TO_FAIL: Final = 10.0
MIN_CORRELATION: Final = 0.2  # below it the queue does not explain the latency
_POWER: Final = 0.8  # of the run that `further_requests` plans


@dataclass(frozen=True, slots=True)
class Evidence:
    """What t bad of n requests say about "at most a share e is bad".

    `pass_p` and `fail_p` are the chances of evidence this strong for a pass (a fail) if the
    true share were e; 1 where a guard forbids that decision. Decide with `<= alpha`.
    """

    bad: int
    total: int
    allowed_ratio: float
    inflation: float
    pass_p: float
    fail_p: float

    @property
    def n_eff(self) -> float:
        """The number of independent requests that would hold as much evidence."""
        return self.total / self.inflation

    @property
    def bad_eff(self) -> float:
        """The bad among `n_eff`; a real number, never rounded."""
        return self.bad / self.inflation


@dataclass(frozen=True, slots=True)
class Margin:
    """The two halves of a pass by a wide margin; see `with_margin`."""

    at_limit: Evidence
    at_third: Evidence

    @property
    def pass_p(self) -> float:
        """The chance of evidence this strong for a pass: both halves are needed."""
        return max(self.at_limit.pass_p, self.at_third.pass_p)

    def further_requests(self, alpha: float) -> int | None:
        """How many more requests would probably pass; None where the shares seen do not."""
        if any(
            half.bad >= half.allowed_ratio * half.total for half in (self.at_limit, self.at_third)
        ):
            return None
        at_limit = further_requests(self.at_limit, alpha)
        at_third = further_requests(self.at_third, alpha, MIN_EFFECTIVE_WITH_MARGIN)
        return None if at_limit is None or at_third is None else max(at_limit, at_third)


def weigh(
    bad: BoolArray,
    allowed_ratio: float,
    inflated: float,
    least_effective: float = MIN_EFFECTIVE_TO_PASS,
) -> Evidence:
    """Weigh an indicator of shape (n,), in order of due time, n > 0, against a share e.

    `inflated` is the D of `latency_inflation` or `error_inflation`; with fewer than
    `least_effective` requests after it nothing passes. With e = 0 ("no errors") no count
    could prove the promise, so it is read as "none were seen": one bad request fails, none
    passes. With e = 1 anything passes.
    """
    n, t, e = len(bad), int(np.count_nonzero(bad)), allowed_ratio
    d = min(max(inflated, 1.0), float(n))
    if e <= 0 or e >= 1:
        kept = t == 0 or e >= 1
        return Evidence(t, n, e, d, pass_p=float(not kept), fail_p=float(kept))
    at_most, at_least = tails(t / d, n / d, e)
    below = t < e * n
    passes = below and n / d >= least_effective
    fails = not below and n / d >= MIN_EFFECTIVE_TO_FAIL
    return Evidence(
        t,
        n,
        e,
        d,
        pass_p=at_most if passes else 1.0,
        fail_p=min(at_least if fails else 1.0, _every_batch_p(bad, e)),
    )


def with_margin(
    latency_s: FloatArray, bad: BoolArray, evidence: Evidence, limit_s: float, look: Look = ONLY
) -> Margin:
    """A pass of a quick service in a short run; `bad`, shape (n,), is what `evidence` weighed.

    A queue that slows 5 % of the requests beyond L slows many more beyond L/3, because its
    tail is smooth: an exponential one 37 %. So where a run shows, with the full inflation,
    that at most sqrt(e) are above L/3, no congestion hides at L. What is slow without a queue
    need not have a smooth tail: it is counted at L, with the inflation of its own indicator.
    """
    e, n = evidence.allowed_ratio, len(bad)
    third = latency_s > limit_s / MARGIN
    at_limit = CAUTION_AT_LIMIT * error_inflation(bad, look) if bad.any() else 1.0
    at_third = float(n)
    if n >= MIN_REQUESTS_WITH_MARGIN:
        at_third = max(evidence.inflation, look.safety * inflation(third))
    return Margin(
        at_limit=weigh(bad, e, at_limit),
        at_third=weigh(third, math.sqrt(max(e, 0.0)), at_third, MIN_EFFECTIVE_WITH_MARGIN),
    )


def latency_inflation(
    latency_s: FloatArray,
    bad: BoolArray,
    allowed_ratio: float,
    in_flight: IntArray,
    look: Look = ONLY,
) -> float:
    """D of a latency objective: the largest of its indicators, with the safety factor.

    All arrays have shape (n,) in order of due time. `latency_s` is infinite where a request
    was lost, and in whole nanoseconds: dust in equal times looks like a slow fluctuation.
    `in_flight` counts the requests under way when each one was due.
    """
    n = len(bad)
    if n < 2 * BATCHES:
        return float(max(n, 1))  # too short to see any dependence: no evidence
    quantiles = sorted({q for q in _own_quantiles(allowed_ratio) if 0 < q < 1})
    indicators = [bad, *_above(latency_s, quantiles)]
    if _queue_explains(latency_s, in_flight):
        indicators += _above(in_flight, quantiles)
    return max(1.0, look.safety * max(inflation(i) for i in indicators))


def error_inflation(bad: BoolArray, look: Look = ONLY) -> float:
    """D of a count that has no latency behind it: from its own indicator alone.

    Without a single bad request there is nothing to scatter: each request counts in full.
    """
    if len(bad) < 2 * BATCHES or not bad.any():
        return 1.0
    return max(1.0, look.safety * inflation(bad))


def further_requests(
    evidence: Evidence, alpha: float, least_effective: float = MIN_EFFECTIVE_TO_PASS
) -> int | None:
    """How many more requests would probably decide, to an order of magnitude.

    A sample-size formula with power 0.8 at the share seen; None when that share is so near
    the allowed one that no affordable run decides, or when e is 0 or 1.
    """
    e, n = evidence.allowed_ratio, evidence.total
    if not 0 < e < 1 or not n:
        return None
    p = evidence.bad / n
    if abs(p - e) < 0.02 * e:
        return None
    z, z_power = NormalDist().inv_cdf(1 - alpha), NormalDist().inv_cdf(_POWER)
    seen = max(p, 0.2 * e)
    root = (z * math.sqrt(e * (1 - e)) + z_power * math.sqrt(seen * max(1 - p, 0))) / (p - e)
    needed = evidence.inflation * max(root * root, least_effective)
    return max(math.ceil(needed) - n, math.ceil(0.1 * n))


def _own_quantiles(e: float) -> tuple[float, ...]:
    return (1 - e, 1 - 2 * e, 0.75, 0.5)


def _above(values: FloatArray | IntArray, quantiles: list[float]) -> list[BoolArray]:
    ranks = [rank(q, len(values)) - 1 for q in quantiles]
    ordered = np.partition(values, ranks)
    return [values > ordered[index] for index in ranks]


def _queue_explains(latency_s: FloatArray, in_flight: IntArray) -> bool:
    usable = np.isfinite(latency_s) & (latency_s > 0)
    if np.count_nonzero(usable) <= 2:
        return False
    queue, log_latency = in_flight[usable].astype(np.float64), np.log(latency_s[usable])
    if queue.std() == 0 or log_latency.std() == 0:
        return False
    return float(np.corrcoef(queue, log_latency)[0, 1]) > MIN_CORRELATION


def _every_batch_p(bad: BoolArray, e: float) -> float:
    """Chance, at share e, of ten batches that all exceed e by this much; 1 if one does not.

    An overloaded service scatters so wildly that its n_eff vanishes, yet every tenth of the
    run misses the promise: Student's t over the batch means still says so.
    """
    if len(bad) < BATCHES:
        return 1.0
    means = batch_means(bad)
    if (means <= e).any():
        return 1.0
    spread = float(means.std(ddof=1)) / math.sqrt(BATCHES)
    return student_tail((float(means.mean()) - e) / spread, BATCHES - 1) if spread else 0.0
