"""How numbers, units and verdicts are written; the only place where anything is rounded.

Inside slokit a time is unrounded seconds and a share is a ratio. Here they become words:
at least three significant digits, a unit, no exponent, and never NaN: what is not known
is `–`, and whoever prints it knows why.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeGuard

UNKNOWN: Final = "–"
NO_BREAK: Final = "\u00a0\u202f"
GROUP: Final = "\u202f"  # narrow no-break space: 12 000 without inviting a line break

_BEYOND: Final = 1e15
_SHARE_DECIMALS: Final = 6  # a share is a count over a count; finer is noise
_DURATION_UNITS: Final = (  # below (seconds), size in seconds, name
    (1e-6, 1e-9, "ns"),
    (1e-4, 1e-6, "µs"),
    (1.0, 1e-3, "ms"),
    (600.0, 1.0, "s"),
    (7200.0, 60.0, "min"),
    (math.inf, 3600.0, "h"),
)
_VERDICT_WORDS: Final = {
    "pass": "PASS ✓",
    "fail": "FAIL ✗",
    "inconclusive": "INCONCLUSIVE ?",
    "invalid": "INVALID !",
    "improved": "IMPROVED ✓",
    "regressed": "REGRESSED ✗",
    "equivalent": "EQUIVALENT =",
}
_SPACES = re.compile(r"[^\S\u00a0\u202f]+")  # the no-break ones are meant


def number(value: float | None) -> str:
    """At least three significant digits; digits before the point are never rounded away.

    >>> number(38.1512), number(1234.56), number(0.0042), number(9.996), number(None)
    ('38.2', '1\u202f235', '0.00420', '10.0', '–')
    """
    if not _known(value):
        return UNKNOWN
    if value == 0:
        return "0"
    exponent = int(f"{value:.2e}".partition("e")[2])  # after rounding: 9.996 is 1.00e+01
    return _grouped(value, max(0, 2 - exponent))


def count(value: float | None) -> str:
    """A whole number with its digits grouped.

    >>> count(1200), count(37.6)
    ('1\u202f200', '38')
    """
    if not _known(value):
        return UNKNOWN
    return _grouped(value, 0)


def about(value: float | None) -> str:
    """An estimated whole number, to two digits.

    >>> about(12374), about(37)
    ('~12\u202f000', '~37')
    """
    return f"~{_grouped(float(f'{value:.1e}'), 0)}" if _known(value) else UNKNOWN


def duration(seconds: float | None) -> str:
    """A time with the unit that reads best.

    >>> duration(0.0952), duration(0.99951), duration(0.000213), duration(0)
    ('95.2 ms', '1.00 s', '0.213 ms', '0 ms')
    """
    if not _known(seconds):
        return UNKNOWN
    size, unit = _duration_unit(seconds)
    return f"{number(seconds / size)} {unit}"


def milliseconds(seconds: float | None) -> str:
    """A time in ms without the unit, for columns whose head names it.

    >>> milliseconds(0.0952), milliseconds(1.5)
    ('95.2', '1\u202f500')
    """
    return number(None if seconds is None else seconds * 1000)


def share(ratio: float | None) -> str:
    """A ratio 0-1 in per cent: only nothing is 0 %, only everything is 100 %.

    The digits follow the smaller of the share and the rest, as 99.97 % is not 100 %.

    >>> share(0.00123), share(0.9997), share(0.05), share(1.0)
    ('0.123 %', '99.97 %', '5 %', '100 %')
    """
    text = _share_digits(ratio)
    return text if text == UNKNOWN else f"{text} %"


def change(ratio: float | None) -> str:
    """A relative change with its sign, to a tenth of a per cent.

    >>> change(-0.5476), change(0.032), change(0.00001)
    ('-54.8 %', '+3.2 %', '0.0 %')
    """
    text = _change_digits(ratio)
    return text if text == UNKNOWN else f"{text} %"


def rate(per_second: float | None) -> str:
    """Requests a second.

    >>> rate(38.152)
    '38.2 requests/s'
    """
    text = number(per_second)
    return text if text == UNKNOWN else f"{text} requests/s"


def times(ratio: float | None) -> str:
    """A ratio of two quantiles, such as P99/P50.

    >>> times(2.3456)
    '2.35x'
    """
    text = number(ratio)
    return text if text == UNKNOWN else f"{text}x"


def interval(ends: Sequence[float | None] | None, unit: str = "s") -> str:
    """Both ends in one unit; an end that was not measured is `–`.

    `unit` is that of the ends: s, ratio, rps, or baseline (times the baseline's value,
    written as a change).

    >>> interval((0.0901, 0.0993)), interval((0.0901, None)), interval(None)
    ('[90.1, 99.3] ms', '[90.1, –] ms', '–')
    """
    known = [end for end in ends or () if _known(end)]
    if ends is None or not known:
        return UNKNOWN
    if unit == "s":
        size, name = _duration_unit(max(known, key=abs))
        return f"{_ends(ends, lambda end: number(end / size))} {name}"
    digits, name = _INTERVAL_DIGITS[unit]
    return f"{_ends(ends, digits)} {name}"


def interval_in(ends: Sequence[float | None] | None, unit: str) -> str:
    """An interval without its unit, for columns whose head or value names it: ms or %.

    The ends are seconds for ms, relative changes for %.

    >>> interval_in((0.0901, 1.2), "ms"), interval_in((-0.581, 0.012), "%")
    ('[90.1, 1\u202f200]', '[-58.1, +1.2]')
    """
    if ends is None or not any(_known(end) for end in ends):
        return UNKNOWN
    return _ends(ends, {"ms": milliseconds, "%": _change_digits}[unit])


def measure(value: float | None, unit: str) -> str:
    """One value in the unit of its objective: s, ratio, rps, or baseline.

    >>> measure(0.182, "s"), measure(0.987, "ratio"), measure(1.032, "baseline")
    ('182 ms', '98.7 %', '+3.2 %')
    """
    if unit == "baseline":
        return change(None if value is None else value - 1)
    return {"s": duration, "ratio": share, "rps": rate}[unit](value)


def verdict_word(verdict: str | None) -> str:
    """A verdict as text with its sign: colour is never the only one.

    >>> verdict_word("fail"), verdict_word(None)
    ('FAIL ✗', 'NO VERDICT')
    """
    return "NO VERDICT" if verdict is None else _VERDICT_WORDS[verdict]


def clean(text: object, limit: int = 2000) -> str:
    r"""One line of printable text from outside, at most `limit` characters.

    Control characters (a terminal obeys some), direction marks and lone surrogates go.

    >>> clean("a\x1b[31m\tmodel\nname"), clean("x" * 9, limit=4)
    ('a[31m model name', 'xxx…')
    """
    spaced = _SPACES.sub(" ", str(text)[: limit * 4])
    kept = "".join(c for c in spaced if c.isprintable() or c in NO_BREAK).strip()
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def _known(value: float | None) -> TypeGuard[float]:
    """Nothing that is measured is infinite, or anywhere near it."""
    return value is not None and abs(value) < _BEYOND


def _grouped(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}".replace(",", GROUP)


def _duration_unit(seconds: float) -> tuple[float, str]:
    if seconds == 0:
        return 1e-3, "ms"
    rounded = float(f"{abs(seconds):.2e}")  # 0.9996 s prints as 1.00 s, not 1 000 ms
    return next((size, name) for below, size, name in _DURATION_UNITS if rounded < below)


def _share_digits(ratio: float | None) -> str:
    if not _known(ratio):
        return UNKNOWN
    percent, rest = ratio * 100, (1 - ratio) * 100
    decimals = min(_SHARE_DECIMALS, max(_decimals(percent, 3), _decimals(rest, 3)))
    text = _grouped(percent, decimals)
    text = text.rstrip("0").rstrip(".") if "." in text else text
    smallest = f"{10**-_SHARE_DECIMALS:.{_SHARE_DECIMALS}f}"
    if text in {"0", "-0"} and ratio != 0:
        return f"<{smallest}"
    if text == "100" and ratio != 1:
        return f">{100 - float(smallest):.{_SHARE_DECIMALS}f}"
    return text


def _change_digits(ratio: float | None) -> str:
    if not _known(ratio):
        return UNKNOWN
    text = f"{ratio * 100:+,.1f}".replace(",", GROUP)
    return "0.0" if text in {"+0.0", "-0.0"} else text


def _decimals(value: float, significant: int) -> int:
    """How many decimals show `significant` digits of a value."""
    if value == 0:
        return 0
    return max(0, significant - 1 - int(f"{value:.{significant - 1}e}".partition("e")[2]))


def _ends(ends: Sequence[float | None], digits: Callable[[float], str]) -> str:
    low, high = (digits(end) if _known(end) else UNKNOWN for end in ends)
    return f"[{low}, {high}]"


_INTERVAL_DIGITS: Final[dict[str, tuple[Callable[[float], str], str]]] = {
    "ratio": (_share_digits, "%"),
    "rps": (number, "/s"),
    "baseline": (lambda end: _change_digits(end - 1), "%"),
}
