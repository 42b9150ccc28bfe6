"""What a run looked like, in numbers for people: counts, rates, quantiles. Decides nothing."""

from dataclasses import dataclass

import numpy as np

from slokit.core.estimates import quantile
from slokit.core.objective import ALL_CLASSES
from slokit.core.sample import FloatArray, Outcome, Samples


@dataclass(frozen=True, slots=True)
class Distribution:
    """Quantiles, mean and maximum of a time in seconds, unrounded.

    A quantile, or the maximum, that falls on failed requests is None, as is everything when
    there are no requests. The mean is that of the good answers alone.
    """

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    mean: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """One text class. `errors` counts all bad outcomes, `dropped` those never sent.

    `rps` is good answers a second. The ratios say how much worse the tail of the latency is
    than its middle: P99/P50 and P99.9/P50; None where either is.
    """

    count: int
    errors: int
    dropped: int
    rps: float
    latency_s: Distribution
    service_s: Distribution
    lag_s: Distribution
    p99_to_p50: float | None
    p999_to_p50: float | None


def summarise(samples: Samples, span_s: float) -> dict[str, ClassSummary]:
    """Summaries by text class and, under `all`, of everything.

    `span_s` is the time over which the samples were due; 0 when there was none (rps is 0).
    """
    names = [*samples.classes, ALL_CLASSES]
    return {name: _summarise_class(samples.of_class(name), span_s) for name in names}


def _summarise_class(samples: Samples, span_s: float) -> ClassSummary:
    good = int(np.count_nonzero(samples.ok))
    latency = _distribution(samples.latency_s)
    return ClassSummary(
        count=len(samples),
        errors=len(samples) - good,
        dropped=int(np.count_nonzero(samples.outcome == Outcome.DROPPED.value)),
        rps=good / span_s if span_s > 0 else 0.0,
        latency_s=latency,
        service_s=_distribution(samples.service_s),
        lag_s=_distribution(samples.lag_s[np.isfinite(samples.sent_s)]),
        p99_to_p50=_ratio(latency.p99, latency.p50),
        p999_to_p50=_ratio(latency.p999, latency.p50),
    )


def _distribution(times_s: FloatArray) -> Distribution:
    finite = times_s[np.isfinite(times_s)]
    return Distribution(
        p50=quantile(times_s, 0.50),
        p90=quantile(times_s, 0.90),
        p95=quantile(times_s, 0.95),
        p99=quantile(times_s, 0.99),
        p999=quantile(times_s, 0.999),
        mean=float(finite.mean()) if len(finite) else None,
        max=quantile(times_s, 1.0),
    )


def _ratio(top: float | None, bottom: float | None) -> float | None:
    return top / bottom if top is not None and bottom else None
