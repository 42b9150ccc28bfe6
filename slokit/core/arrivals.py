"""When requests are due: arrival processes as pure functions of a rate and a seed.

An open loop offers load the way strangers do, without waiting for answers. The schedule
is computed before the first request leaves, so nothing the service does can change it.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Self

from slokit.core.rates import Piece, constant
from slokit.errors import UsageError

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

FORMS: Final = "constant, poisson or gamma:CV with CV > 0, e.g. gamma:2"
_GAMMA = re.compile(r"gamma:(\d+(?:\.\d+)?)")


class Process(StrEnum):
    """How the gaps between two requests are distributed."""

    CONSTANT = "constant"  # all the same
    POISSON = "poisson"  # exponential: independent users
    GAMMA = "gamma"  # chosen burstiness: CV > 1 comes in clumps, CV < 1 is smoother than Poisson


@dataclass(frozen=True, slots=True)
class Arrivals:
    """An arrival process; `cv` is the coefficient of variation of the gaps (Poisson: 1)."""

    process: Process
    cv: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `constant`, `poisson` or `gamma:CV`. Raises UsageError naming the forms.

        >>> Arrivals.parse("gamma:2.5").cv
        2.5
        """
        word = text.strip()
        if word == Process.CONSTANT:
            return cls(Process.CONSTANT, cv=0.0)
        if word == Process.POISSON:
            return cls(Process.POISSON, cv=1.0)
        match = _GAMMA.fullmatch(word)
        if match and 0 < float(match[1]) < math.inf:
            return cls(Process.GAMMA, cv=float(match[1]))
        raise UsageError(f"{text!r} is no arrival process: write {FORMS}")


def due_times(
    arrivals: Arrivals, *, rate_rps: float, duration_s: float, seed: int
) -> "NDArray[float64]":
    """Due times of a constant rate, in seconds, ascending, in [0, duration_s).

    `constant` puts request i at exactly i / rate. The random processes are renewal
    processes with mean gap 1 / rate: exponential gaps, or gamma gaps of shape 1 / cv^2
    and scale cv^2 / rate (mean shape * scale, cv = 1 / sqrt(shape)). The number of
    requests is then random too; only a constant process sends exactly rate * duration.

    Raises ValueError unless rate and duration are positive and finite.

    >>> due_times(Arrivals.parse("constant"), rate_rps=4, duration_s=1, seed=0).tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    return due_times_of(arrivals, (constant(rate_rps, duration_s),), seed=seed)


def due_times_of(arrivals: Arrivals, pieces: Sequence[Piece], *, seed: int) -> "NDArray[float64]":
    """Due times in seconds, ascending, under a rate that changes piece by piece.

    The process runs at one request a second of its own time, and L^-1, the inverse of the
    cumulative intensity, carries its times into ours. For Poisson that is exactly the
    inhomogeneous process (Cinlar, Introduction to Stochastic Processes, 1975, section 4.7);
    for the others it keeps the burstiness while the rate moves (Gerhardt and Nelson, INFORMS
    Journal on Computing 21(4), 2009). A constant process is due when L reaches 0, 1, 2, ...

    >>> from slokit.core.rates import parse_pieces
    >>> ramp = parse_pieces("1rps to 3rps", 4)
    >>> due_times_of(Arrivals.parse("constant"), ramp, seed=0)[:3].round(3).tolist()
    [0.0, 0.828, 1.464]
    """
    import numpy as np  # noqa: PLC0415 - reading a scenario must not cost numpy's import

    edges = np.cumsum([0.0, *(piece.expected for piece in pieces)])
    counts = _unit_times(arrivals, float(edges[-1]), seed)
    times, start_s = [], 0.0
    for piece, (low, high) in zip(pieces, pairwise(edges), strict=True):
        first, last = np.searchsorted(counts, [low, high])
        within = np.minimum(piece.when(counts[first:last] - low), piece.duration_s)
        times.append(start_s + within)
        start_s += piece.duration_s
    due_s = np.maximum.accumulate(np.concatenate(times))  # rounding may swap close neighbours
    return due_s[: np.searchsorted(due_s, start_s)]


def _unit_times(arrivals: Arrivals, expected: float, seed: int) -> "NDArray[float64]":
    """The process with a mean gap of 1, in [0, expected)."""
    import numpy as np  # noqa: PLC0415 - reading a scenario must not cost numpy's import

    if arrivals.process is Process.CONSTANT:
        return np.arange(math.ceil(expected), dtype=np.float64)
    shape = 1.0 if arrivals.process is Process.POISSON else arrivals.cv**-2
    generator = np.random.default_rng(seed)
    chunk = int(expected + 6 * arrivals.cv * math.sqrt(expected)) + 16  # nearly always enough
    times = np.empty(0)
    while not len(times) or times[-1] < expected:
        gaps = generator.gamma(shape, 1 / shape, size=chunk)
        start = times[-1] if len(times) else 0.0
        times = np.concatenate([times, start + np.cumsum(gaps)])
    return times[: np.searchsorted(times, expected)]
