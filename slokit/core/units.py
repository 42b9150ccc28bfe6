"""Read the quantities people write at the edge: `150ms`, `5m`, `0.5%`, `50rps`.

Inside slokit a duration is seconds (float), a share is a ratio 0-1, a rate is requests
a second. Each parser refuses what it cannot mean and says what it allows.
"""

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

from slokit.errors import UsageError

_NUMBER: Final = r"\d{1,15}(?:\.\d{1,15})?"  # more digits are a slip, or an attack
_SECONDS: Final = {
    "us": Fraction(1, 1_000_000),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86_400),
}
_DURATION_PART = re.compile(rf"({_NUMBER})\s?(us|ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_NUMBER}\s?(?:us|ms|s|m|h|d))+")
_RATIO = re.compile(rf"({_NUMBER})\s*%")
_RATE = re.compile(rf"({_NUMBER})\s*(?:rps|/s)?")


def parse_duration(text: str) -> float:
    """Seconds of a written duration such as `150ms`, `150 ms`, `1h30m`. Always > 0.

    >>> parse_duration("150ms"), parse_duration("1m30s")
    (0.15, 90.0)
    """
    compact = text.strip()
    if _DURATION.fullmatch(compact):
        parts = _DURATION_PART.findall(compact)
        seconds = float(sum(Fraction(Decimal(n)) * _SECONDS[u] for n, u in parts))
        if 0 < seconds < math.inf:
            return seconds
    raise UsageError(
        f"{text!r} is no duration: write a number > 0 with us, ms, s, m, h or d: 150ms"
    )


def parse_ratio(text: str) -> float:
    """The ratio 0-1 of a written percentage.

    >>> parse_ratio("98.7%")
    0.987
    """
    match = _RATIO.fullmatch(text.strip())
    ratio = float(Fraction(Decimal(match[1])) / 100) if match else -1.0
    if 0 <= ratio <= 1:
        return ratio
    raise UsageError(f"{text!r} is no share: write a percentage from 0% to 100%: 0.5%")


def parse_rate(text: str) -> float:
    """Requests a second of a written rate: `50rps`, `50/s` or plain `50`. Always > 0.

    >>> parse_rate("12.5rps")
    12.5
    """
    match = _RATE.fullmatch(text.strip())
    rate = float(match[1]) if match else 0.0
    if 0 < rate < math.inf:
        return rate
    raise UsageError(f"{text!r} is no rate: write requests a second, > 0: 50rps")
