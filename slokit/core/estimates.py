"""Quantiles with lost requests as infinity, and how much evidence dependent samples hold.

A quantile here is the smallest value x with at least ceil(q n) samples <= x. With this
definition, and no other, `p95 <= L` and `good(L) >= 95%` are the same statement.
"""

import math
from typing import Final

import numpy as np

from slokit.core.binomial import solve, tails
from slokit.core.sample import BoolArray, FloatArray

BATCHES: Final = 10


def rank(q: float, n: int) -> int:
    """The rank, 1 to n, of the q-quantile of n samples: ceil(q n), safe from float dust.

    >>> rank(0.95, 1000), rank(0.95, 1001), rank(0.999, 10)
    (950, 951, 10)
    """
    return min(max(math.ceil(q * n - 1e-9 * n), 1), n)


def quantile(values: FloatArray, q: float) -> float | None:
    """The q-quantile (0 < q <= 1) of values of shape (n,); infinity is a lost request.

    None when there are no values, or when the quantile falls on a lost request.

    >>> quantile(np.array([3.0, 1.0, 2.0, np.inf]), 0.75)
    3.0
    >>> quantile(np.array([3.0, 1.0, 2.0, np.inf]), 0.95) is None
    True
    """
    if not len(values):
        return None
    index = rank(q, len(values)) - 1
    return _finite(float(np.partition(values, index)[index]))


def quantile_interval(
    values: FloatArray, q: float, n_eff: float, alpha: float
) -> tuple[float | None, float | None]:
    """Limits of the q-quantile; each end is wrong with chance <= alpha.

    The ends are order statistics of `values`, shape (n,): those limits at which the count
    of slower requests would just be decided, with `n_eff` independent requests' worth of
    evidence. So an upper end <= L is the same statement as "few enough were above L". An
    end is None where it falls on a lost request or the evidence reaches no rank.
    """
    n, e = len(values), 1 - q
    if not n:
        return None, None
    most = solve(lambda t: tails(t, n_eff, e)[0] - alpha, 0.0, n_eff) * n / n_eff
    least = solve(lambda t: alpha - tails(t, n_eff, e)[1], 0.0, n_eff) * n / n_eff
    ordered = np.sort(values)
    low = high = None
    if tails(n_eff, n_eff, e)[1] <= alpha:
        low = _finite(float(ordered[min(math.floor(n - least + 1e-6), n - 1)]))
    if tails(0.0, n_eff, e)[0] <= alpha:
        high = _finite(float(ordered[max(math.ceil(n - most - 1e-6), 1) - 1]))
    return low, high


def batch_means(values: BoolArray | FloatArray, batches: int = BATCHES) -> FloatArray:
    """Means of equal consecutive batches, shape (batches,); the oldest remainder is left out.

    Needs at least one value a batch.
    """
    size = len(values) // batches
    recent = values[len(values) - batches * size :]
    return np.asarray(recent.reshape(batches, size).mean(axis=1), dtype=np.float64)


def inflation(indicator: BoolArray, batches: int = BATCHES) -> float:
    """Variance of the mean of an indicator over time, relative to independent samples.

    1 is independence; m s^2 / (p (1 - p)) of the means of batches of m, shape (n,). An
    indicator that never changes tells nothing and counts as 1. Needs n >= batches.
    """
    means = batch_means(indicator, batches)
    p = float(means.mean())
    if p in (0.0, 1.0):
        return 1.0
    return len(indicator) // batches * float(means.var(ddof=1)) / (p * (1 - p))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
