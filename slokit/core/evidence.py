"""What a planned load can decide, before it is sent: the gate's arithmetic, backwards.

A run that cannot pass even if every request is good is a waste of its duration. How many
independent requests a pass needs is arithmetic; how much the requests of a service depend on
each other is not known beforehand, so it is told as the largest inflation that still passes,
and as how busy a single server may be for that.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from slokit.core.binomial import tails
from slokit.core.estimates import BATCHES
from slokit.core.gate import (
    MIN_EFFECTIVE_TO_PASS,
    MIN_EFFECTIVE_WITH_MARGIN,
    MIN_REQUESTS_WITH_MARGIN,
)
from slokit.core.objective import ALL_CLASSES, Metric, Objective
from slokit.core.sequential import Look
from slokit.core.steady import FLOOR_REQUESTS, FLOOR_S

# Median inflation of P95 on M/M/1 by utilisation, 1000 to 3000 requests (docs/verdict.md)
_UTILISATION: Final = (0.0, 0.3, 0.5, 0.7, 0.85, 0.93)
_INFLATION: Final = (2.0, 5.5, 11.0, 30.0, 80.0, 200.0)
USUAL_INFLATION: Final = 11.0  # half of the capacity of one server


@dataclass(frozen=True, slots=True)
class Offer:
    """A planned load. `mix` maps text classes to weights; `rate_rps` is None in a closed loop.

    `warmup_s` is what was asked to be cut; None for the automatic cut.
    """

    rate_rps: float | None
    duration_s: float
    mix: Mapping[str, float]
    warmup_s: float | None = None

    @property
    def cut_s(self) -> float:
        """The warm-up in seconds: as asked for, else the later of 5 s and 50 requests."""
        if self.warmup_s is not None:
            return self.warmup_s
        return max(FLOOR_S, FLOOR_REQUESTS / self.rate_rps) if self.rate_rps else FLOOR_S

    def classes(self, objective: Objective) -> dict[str, float]:
        """The text classes that an objective speaks of, with their shares of the requests."""
        weight = sum(self.mix.values())
        shares = {name: value / weight for name, value in self.mix.items()}
        name = objective.text_class
        if name is None:
            return shares
        return {name: 1.0 if name == ALL_CLASSES else shares.get(name, 0.0)}

    def requests(self, share: float) -> int | None:
        """About how many requests will be judged; None where nobody can know."""
        if self.rate_rps is None:
            return None
        return int(max(self.duration_s - self.cut_s, 0.0) * self.rate_rps * share + 1e-6)

    def duration_for(self, requests: float, share: float) -> float | None:
        """How long the load would have to last for so many judged requests, in whole seconds."""
        if self.rate_rps is None or not share:
            return None
        return math.ceil(self.cut_s + requests / (self.rate_rps * share) - 1e-9)


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a planned load can say about one objective on one text class.

    `requests` is about how many will be judged, `needed` how many independent ones pass
    without a bad one. Where both are known: `most_bad` bad ones still pass, if they are spread
    evenly; None if no number does. `most_inflation` is the largest one at which a run
    without a bad request passes, `wide_inflation` the same where nearly all requests take less
    than a third of the limit. `duration_s` is how long a load would have to last to pass at
    all, `usual_s` to pass a service at half of its capacity.
    """

    objective: Objective
    text_class: str
    requests: int | None
    needed: int
    most_bad: int | None = None
    most_inflation: float | None = None
    wide_inflation: float | None = None
    duration_s: float | None = None
    usual_s: float | None = None

    @property
    def can_pass(self) -> bool:
        """False where not even a perfect service would pass."""
        return self.requests is None or self.requests >= self.needed


def prospects(objectives: Sequence[Objective], offer: Offer, look: Look) -> tuple[Prospect, ...]:
    """What the last look at a planned load can say about each objective and class."""
    return tuple(
        _prospect(objective, name, share, offer, look)
        for objective in objectives
        if objective.metric is not Metric.RELATIVE
        for name, share in offer.classes(objective).items()
    )


def rarest_rps(objectives: Sequence[Objective], offer: Offer) -> float | None:
    """The rate of the rarest class that is judged by itself; None in a closed loop."""
    if offer.rate_rps is None:
        return None
    shares = [s for o in objectives for s in offer.classes(o).values() if s > 0]
    return offer.rate_rps * min(shares, default=1.0)


def needed_requests(e: float, alpha: float, least: float = MIN_EFFECTIVE_TO_PASS) -> int:
    """How many independent requests pass without a single bad one.

    >>> needed_requests(0.05, 0.05), needed_requests(0.002, 0.05)
    (60, 1497)
    """
    if not 0 < e < 1:
        return 1
    return max(math.ceil(math.log(alpha) / math.log1p(-e)), math.ceil(least))


def most_bad(n: int, e: float, look: Look) -> int | None:
    """The largest number of bad requests of n, spread evenly, that passes; None if none does.

    >>> most_bad(2750, 0.002, Look()), most_bad(1000, 0.002, Look())
    (0, None)
    """
    if not 0 < e < 1:
        return n if e >= 1 else 0

    def passes(bad: int) -> bool:
        d = max(1.0, look.safety * spread_inflation(bad))
        return n / d >= MIN_EFFECTIVE_TO_PASS and tails(bad / d, n / d, e)[0] <= look.alpha

    independent = range(math.ceil(e * n))
    bad = bisect_left(independent, x=True, key=lambda t: tails(t, n, e)[0] > look.alpha) - 1
    while bad >= 0 and not passes(bad):
        bad -= 1
    return bad if bad >= 0 else None


def spread_inflation(bad: int) -> float:
    """The inflation of few bad requests among many that are spread as evenly as can be.

    Of t = 10 k + r bad ones r batches hold one more: 10/9 r (1 - r/10) / t.
    """
    left = bad % BATCHES
    return BATCHES / (BATCHES - 1) * left * (1 - left / BATCHES) / bad if bad else 0.0


def utilisation(inflation: float) -> float:
    """How busy a single server with random service times is whose P95 shows this inflation.

    >>> utilisation(11.0), utilisation(1.0)
    (0.5, 0.0)
    """
    return float(np.interp(math.log(inflation), np.log(_INFLATION), _UTILISATION))


def _prospect(objective: Objective, name: str, share: float, offer: Offer, look: Look) -> Prospect:
    e = _allowed(objective, offer)
    needed = needed_requests(e, look.alpha)
    n = offer.requests(share)
    if n is None:
        return Prospect(objective, name, None, needed)
    is_latency = objective.metric in (Metric.LATENCY, Metric.GOOD) and 0 < e < 1
    wide = None
    if is_latency and n >= max(MIN_REQUESTS_WITH_MARGIN, needed):
        wide = n / needed_requests(math.sqrt(e), look.alpha, MIN_EFFECTIVE_WITH_MARGIN)
    return Prospect(
        objective,
        name,
        n,
        needed,
        most_bad=None if is_latency else most_bad(n, e, look),
        most_inflation=n / needed if is_latency else None,
        wide_inflation=wide,
        duration_s=offer.duration_for(needed, share),
        usual_s=offer.duration_for(USUAL_INFLATION * needed, share) if is_latency else None,
    )


def _allowed(objective: Objective, offer: Offer) -> float:
    """The share of bad requests that keeps the promise."""
    if objective.metric is Metric.RPS:
        if offer.rate_rps is None or objective.min_rps is None:
            return 1.0  # counted by time: ten slices decide, however many requests
        return round(1 - objective.min_rps / offer.rate_rps, 9)
    return objective.allowed_ratio or 0.0
