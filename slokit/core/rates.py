"""How much load is offered when: a rate that may change, piece by piece.

    50rps                            the same all the time
    10rps to 100rps                  a ramp over the whole time
    50rps +- 30rps every 10m         a sine, as days go
    20rps, 100rps at 30s for 10s     a spike: before, spike and after are judged alone

A piece knows its cumulative intensity L(t), the mean number of requests due in its first t
seconds, and the inverse of it. With these any arrival process follows any rate exactly:
see slokit.core.arrivals.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from slokit.core.units import parse_duration, parse_rate
from slokit.errors import UsageError

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

FORMS: Final = "50rps, 10rps to 100rps, 50rps +- 30rps every 10m, or 20rps, 100rps at 30s for 10s"
_RAMP = re.compile(r"(?P<first>.+?)\s+to\s+(?P<last>.+)")
_SINE = re.compile(r"(?P<mean>.+?)\s*(?:\+-|±)\s*(?P<swing>.+?)\s+every\s+(?P<period>.+)")
_SPIKE = re.compile(r"(?P<base>.+?),\s*(?P<peak>.+?)\s+at\s+(?P<at>.+?)\s+for\s+(?P<length>.+)")
_BISECTIONS: Final = 53  # as many as a double has bits


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of load: from `first_rps` to `last_rps` in a line, or a sine around them.

    A sine starts at its mean and rises: rate(t) = mean + swing * sin(2 pi t / period).
    """

    duration_s: float
    first_rps: float
    last_rps: float
    swing_rps: float = 0.0
    period_s: float = 0.0
    label: str = ""

    @property
    def is_constant(self) -> bool:
        """True where the rate does not change."""
        return self.first_rps == self.last_rps and self.swing_rps == 0

    @property
    def peak_rps(self) -> float:
        """The highest rate of the piece, or a bound of it for a part of a sine."""
        return max(self.first_rps, self.last_rps) + self.swing_rps

    @property
    def expected(self) -> float:
        """Mean number of requests, L(duration)."""
        line = (self.first_rps + self.last_rps) / 2 * self.duration_s
        return line + self._wave(self.duration_s)

    def _wave(self, t_s: float) -> float:
        """The sine's part of L(t): swing * period / (2 pi) * (1 - cos(2 pi t / period))."""
        if not self.swing_rps:
            return 0.0
        angular = 2 * math.pi / self.period_s
        return self.swing_rps / angular * (1 - math.cos(angular * t_s))

    def when(self, counts: "NDArray[float64]") -> "NDArray[float64]":
        """Seconds at which L reaches each of `counts` (in [0, expected)); the inverse of L.

        A line has the root of L(t) = first t + slope t^2 / 2, in the form that loses no
        digits on a gentle slope; a sine, which has no closed form, is bisected within its
        period.
        """
        import numpy as np  # noqa: PLC0415 - reading a scenario must not cost numpy's import

        if self.is_constant:
            return counts / self.first_rps
        if not self.swing_rps:
            slope = (self.last_rps - self.first_rps) / self.duration_s
            root = np.sqrt(np.maximum(self.first_rps**2 + 2 * slope * counts, 0.0))
            return np.asarray(2 * counts / (self.first_rps + root), dtype=np.float64)
        periods, rest = np.divmod(counts, self.first_rps * self.period_s)
        angular = 2 * math.pi / self.period_s
        low, high = np.zeros_like(rest), np.full_like(rest, self.period_s)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            wave = self.swing_rps / angular * (1 - np.cos(angular * middle))
            early = self.first_rps * middle + wave <= rest
            low, high = np.where(early, middle, low), np.where(early, high, middle)
        return np.asarray(periods * self.period_s + low, dtype=np.float64)


def constant(rate_rps: float, duration_s: float, label: str = "") -> Piece:
    """The same rate all the time. Raises ValueError unless both are positive and finite."""
    if not (0 < rate_rps < math.inf and 0 < duration_s < math.inf):
        raise ValueError(f"need a rate and a duration > 0, got {rate_rps} and {duration_s}")
    return Piece(duration_s, rate_rps, rate_rps, label=label or f"{rate_rps:g} requests/s")


def parse_pieces(text: str, duration_s: float, label: str = "") -> tuple[Piece, ...]:
    """Read one of the forms above over `duration_s` seconds; `label` replaces the given ones.

    Raises UsageError for what is none of them, or does not fit into the time.

    >>> [(piece.label, piece.duration_s) for piece in parse_pieces("5rps, 9rps at 3s for 2s", 9)]
    [('before', 3.0), ('spike', 2.0), ('after', 4.0)]
    >>> parse_pieces("10rps to 30rps", 60)[0].expected
    1200.0
    """
    pieces = _parse(text.strip(), duration_s)
    return tuple(replace(piece, label=label) for piece in pieces) if label else pieces


def _parse(text: str, duration_s: float) -> tuple[Piece, ...]:
    if match := _SPIKE.fullmatch(text):
        at_s, length_s = parse_duration(match["at"]), parse_duration(match["length"])
        base_rps, peak_rps = parse_rate(match["base"]), parse_rate(match["peak"])
        return _spike(text, (base_rps, peak_rps), (at_s, length_s), duration_s)
    if match := _SINE.fullmatch(text):
        mean_rps, swing_rps = parse_rate(match["mean"]), parse_rate(match["swing"])
        if swing_rps > mean_rps:
            raise UsageError(f"{text!r} falls below 0: swing by at most the mean rate")
        label = f"{mean_rps:g} +- {swing_rps:g} requests/s"
        period_s = parse_duration(match["period"])
        return (Piece(duration_s, mean_rps, mean_rps, swing_rps, period_s, label),)
    if match := _RAMP.fullmatch(text):
        first_rps, last_rps = parse_rate(match["first"]), parse_rate(match["last"])
        label = f"{first_rps:g} to {last_rps:g} requests/s"
        return (Piece(duration_s, first_rps, last_rps, label=label),)
    try:
        return (constant(parse_rate(text), duration_s),)
    except UsageError:
        raise UsageError(f"{text!r} is no rate: write {FORMS}") from None


def _spike(
    text: str, rates_rps: tuple[float, float], times_s: tuple[float, float], duration_s: float
) -> tuple[Piece, ...]:
    (base_rps, peak_rps), (at_s, length_s) = rates_rps, times_s
    rest_s = duration_s - at_s - length_s
    if rest_s < 0:
        end_s = at_s + length_s
        raise UsageError(f"{text!r} ends at {end_s:g} s, but the load at {duration_s:g} s")
    pieces = (constant(base_rps, at_s, "before"), constant(peak_rps, length_s, "spike"))
    return (*pieces, constant(base_rps, rest_s, "after")) if rest_s else pieces


def mean_rps(pieces: Sequence[Piece]) -> float:
    """Requests a second over all pieces."""
    return sum(piece.expected for piece in pieces) / sum(piece.duration_s for piece in pieces)
