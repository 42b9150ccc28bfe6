"""Two stored runs side by side: did quantiles change, and by more than chance and 5 %?

Each run is resampled in blocks of neighbouring requests, because requests under load are
not independent. This is the weak method: two runs of the same service differ by more than
their own scatter shows, and by what else changed between them. docs/verdict.md has how
often unchanged pairs are called changed. Interleaved slices of two live services decide the
same question far better.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slokit.core.estimates import BATCHES, inflation, quantile, rank
from slokit.core.objective import ALL_CLASSES, Clock
from slokit.core.sample import FloatArray, Samples

METHOD: Final = "bootstrap"
METRICS: Final[Mapping[str, float]] = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
MARGIN_RATIO: Final = 0.05
RESAMPLES: Final = 2000
_STARTS: Final = 2048  # block positions considered at most; bounds memory
_LEVELS: Final = 1024  # latency levels counted at most, for all quantiles together

Interval = tuple[float | None, float | None]


class ChangeVerdict(StrEnum):
    """What the interval of a change says, with the practical margin."""

    IMPROVED = "improved"
    REGRESSED = "regressed"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Change:
    """One quantile of two runs, in seconds; `change_ratio` = candidate / base - 1.

    A value or an end of an interval is None where it falls on failed requests.
    `slower_p` and `faster_p` are two-sided bootstrap p-values of a change beyond the margin.
    """

    base: float | None
    candidate: float | None
    change_ratio: float | None
    ci: Interval
    base_ci: Interval
    candidate_ci: Interval
    slower_p: float
    faster_p: float
    verdict: ChangeVerdict = ChangeVerdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Comparison:
    """Changes by text class and metric; `all` pools the classes when there are several."""

    classes: Mapping[str, Mapping[str, Change]]
    method: str = METHOD


def compare(
    base: Samples, candidate: Samples, *, seed: int = 0, confidence: float = 0.95
) -> Comparison:
    """Compare P50, P95 and P99 (latency from due) of the classes both runs have.

    Both runs without their warm-up. Improved and regressed survive Holm's correction over
    all classes and metrics. Raises ValueError when the runs share no text class.
    """
    shared = [name for name in base.classes if name in candidate.classes]
    if not shared:
        raise ValueError(
            f"no text class in common: base has {list(base.classes)}, "
            f"candidate has {list(candidate.classes)}"
        )
    names = [*shared, ALL_CLASSES] if len(shared) > 1 and ALL_CLASSES not in shared else shared
    found = {
        (name, metric): change
        for name in names
        for metric, change in zip(
            METRICS,
            changes(
                base.of_class(name).time_s(Clock.DUE),
                candidate.of_class(name).time_s(Clock.DUE),
                tuple(METRICS.values()),
                margin_ratio=MARGIN_RATIO,
                confidence=confidence,
                seed=seed,
            ),
            strict=True,
        )
    }
    keys = list(found)
    kept = holm([min(found[key].slower_p, found[key].faster_p) for key in keys], 1 - confidence)
    judged = {key: _judged(found[key], keep) for key, keep in zip(keys, kept, strict=True)}
    return Comparison({name: {m: judged[name, m] for m in METRICS} for name in names})


def changes(
    base: FloatArray,
    candidate: FloatArray,
    quantiles: Sequence[float],
    *,
    margin_ratio: float,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Change]:
    """Change of each quantile between latencies of shape (n,) and (m,), in order of due time."""
    rng = np.random.default_rng(seed)
    draws_base = resampled_quantiles(base, quantiles, rng)
    draws_candidate = resampled_quantiles(candidate, quantiles, rng)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = draws_candidate / draws_base - 1
    tail = (1 - confidence) / 2
    found = []
    for i, q in enumerate(quantiles):
        before, after, ratio = quantile(base, q), quantile(candidate, q), ratios[:, i]
        found.append(
            Change(
                before,
                after,
                after / before - 1 if before and after is not None else None,
                _interval(ratio, tail),
                _interval(draws_base[:, i], tail),
                _interval(draws_candidate[:, i], tail),
                slower_p=_p_value(~(ratio > margin_ratio)),
                faster_p=_p_value(~(ratio < -margin_ratio)),
            )
        )
    return found


def resampled_quantiles(
    values: FloatArray, quantiles: Sequence[float], rng: np.random.Generator
) -> FloatArray:
    """Quantiles of circular block resamples of `values` (n,): shape (2000, len(quantiles)).

    A resample is a bag of blocks, so its counts below each level are the sum of its blocks'
    counts: one matrix product instead of 2000 sorts. Up to 2048 block starts and 1024 levels
    are exact; beyond, starts lie evenly and levels densely about the quantiles.
    """
    n = len(values)
    if not n:
        return np.full((RESAMPLES, len(quantiles)), np.nan)
    block = block_length(values, quantiles)
    step = math.ceil(n / _STARTS)  # blocks of whole steps cover every request alike
    block = math.ceil(block / step) * step
    starts = np.arange(0, n, step)
    levels = _levels(np.sort(values), quantiles, block)
    below = _counts_below(values, levels, starts, block)
    blocks = math.ceil(n / block)
    drawn = rng.integers(0, len(starts), (RESAMPLES, blocks)) + (
        np.arange(RESAMPLES)[:, None] * len(starts)
    )
    bags = np.bincount(drawn.ravel(), minlength=RESAMPLES * len(starts))
    totals = bags.reshape(RESAMPLES, len(starts)).astype(np.float32) @ below
    needed = [rank(q, blocks * block) for q in quantiles]
    picks = np.stack([(totals < k - 0.5).sum(axis=1) for k in needed], axis=1)
    return np.asarray(np.append(levels, np.inf)[picks], dtype=np.float64)


def block_length(values: FloatArray, quantiles: Sequence[float]) -> int:
    """max(n^(1/3), 3 D) requests, D the inflation at the quantiles; at most a tenth of n."""
    n = len(values)
    if n < 2 * BATCHES:
        return 1
    ordered = np.sort(values)
    d = max(inflation(values > ordered[rank(q, n) - 1]) for q in quantiles)
    return min(max(math.ceil(math.cbrt(n)), math.ceil(3 * d)), n // BATCHES)


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which of several tests stay significant together (Holm 1979, family-wise error alpha).

    >>> holm([0.04, 0.01, 0.03], 0.05)
    [False, True, False]
    """
    kept = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for left, index in zip(range(len(order), 0, -1), order, strict=True):
        if p_values[index] > alpha / left:
            break
        kept[index] = True
    return kept


def _levels(ordered: FloatArray, quantiles: Sequence[float], block: int) -> FloatArray:
    """Sample values to count at: all of them, or those within ten standard errors."""
    n = len(ordered)
    finite = int(np.searchsorted(ordered, np.inf))
    if n <= _LEVELS:
        return np.unique(ordered[:finite])
    ranks = []
    for q in quantiles:
        reach = 10 * math.sqrt(q * (1 - q) * n * block)
        around = np.linspace(q * n - reach, q * n + reach, _LEVELS // len(quantiles))
        ranks.append(np.clip(around, 0, n - 1).astype(np.int64))
    chosen = np.unique(np.concatenate([*ranks, np.array([0, n - 1])]))
    return np.unique(ordered[chosen[chosen < finite]])


def _counts_below(
    values: FloatArray, levels: FloatArray, starts: NDArray[np.int64], block: int
) -> NDArray[np.float32]:
    """How many of the `block` values from each start (circular) are <= each level."""
    bins = np.searchsorted(levels, values, side="left")  # len(levels) for a lost request
    counts = np.empty((len(starts), len(levels)), dtype=np.float32)
    circular = np.concatenate([bins, bins[:block]])
    for row, start in enumerate(starts):
        one = np.bincount(circular[start : start + block], minlength=len(levels) + 1)
        counts[row] = np.cumsum(one[:-1])
    return counts


def _interval(draws: FloatArray, tail: float) -> Interval:
    """Percentile interval; an undefined draw (lost over lost) could lie on either side."""
    ordered_low = np.sort(np.where(np.isnan(draws), -np.inf, draws))
    ordered_high = np.sort(np.where(np.isnan(draws), np.inf, draws))
    low = float(ordered_low[rank(tail, len(draws)) - 1])
    high = float(ordered_high[rank(1 - tail, len(draws)) - 1])
    return (low if math.isfinite(low) else None, high if math.isfinite(high) else None)


def _p_value(against: NDArray[np.bool_]) -> float:
    extreme = int(np.count_nonzero(against)) + 1
    return min(1.0, 2 * extreme / (len(against) + 1))


def _judged(change: Change, significant: bool) -> Change:  # noqa: FBT001 - one flag of Holm's list
    low, high = change.ci
    if significant:
        slower = change.slower_p < change.faster_p
        verdict = ChangeVerdict.REGRESSED if slower else ChangeVerdict.IMPROVED
    elif low is not None and high is not None and -MARGIN_RATIO <= low <= high <= MARGIN_RATIO:
        verdict = ChangeVerdict.EQUIVALENT
    else:
        verdict = ChangeVerdict.INCONCLUSIVE
    return replace(change, verdict=verdict)
