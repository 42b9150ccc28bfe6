"""Stopping early without fooling oneself: when to look at a run, and what each look may spend.

Whoever judges a growing run again and again and stops at the first significant result is
wrong far more often than the 5 % of each test: eleven looks make it 25 %. So the looks are
planned before the load starts, each doubles the judged time, and each may be wrong with the
same share of alpha, so that all of them together may be wrong with alpha. The inflation is
taken more carefully too. docs/verdict.md has the error rate over the whole path.
"""

import math
from dataclasses import dataclass
from typing import Final

ALPHA: Final = 0.05  # the chance of a wrong verdict, over all looks
SAFETY: Final = 1.5  # of the inflation: batch means see too little of slow fluctuations
SAFETY_OF_LOOKS: Final = 1.8  # where a small alpha makes an inflation that is too low cost more
FIRST_REQUESTS: Final = 500  # judged requests of the rarest class at the first look
MAX_LOOKS: Final = 6


@dataclass(frozen=True, slots=True)
class Look:
    """One of the planned looks at a run; judged is what was due until `until_s`.

    `number` runs from 1 to `planned`. A run that is judged once, at its end, has one look.

    >>> Look(2, planned=5).alpha, Look(2, planned=5).spent, Look().alpha
    (0.01, 0.02, 0.05)
    """

    number: int = 1
    planned: int = 1
    until_s: float = math.inf

    @property
    def alpha(self) -> float:
        """The chance that a pass (a fail) of this look is wrong."""
        return ALPHA / self.planned

    @property
    def spent(self) -> float:
        """The chance of a wrong verdict at this look or any before it."""
        return self.number * self.alpha

    @property
    def safety(self) -> float:
        """The factor on the inflation of dependent requests."""
        return SAFETY if self.planned == 1 else SAFETY_OF_LOOKS


ONLY: Final = Look()


def look_times(end_s: float, warmup_s: float, rate_rps: float | None) -> tuple[float, ...]:
    """When to look, in seconds since the run began: the last time is the end of the run.

    The judged time, which begins at `warmup_s`, doubles from look to look. `rate_rps` is the
    rate of the rarest class in requests a second: the first look comes when about 500 of them
    were due. In a closed loop (None) nobody knows it beforehand: six looks, of which those
    that come too early decide nothing.

    >>> look_times(165.0, 5.0, 25.0)
    (25.0, 45.0, 85.0, 165.0)
    """
    judged_s = max(end_s - warmup_s, 0.0)
    looks = MAX_LOOKS
    if rate_rps is not None:
        doublings = math.log2(max(judged_s * rate_rps / FIRST_REQUESTS, 1.0))
        looks = min(1 + math.floor(doublings + 1e-9), MAX_LOOKS)
    return tuple(end_s - judged_s * (1 - 0.5**k) for k in reversed(range(looks)))
