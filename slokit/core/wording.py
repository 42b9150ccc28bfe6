"""The sentences of a verdict. Here alone does the core round, because people read these."""

from typing import Final

from slokit.core.gate import Evidence
from slokit.core.judgement import Verdict

_SPACE: Final = " "


def seconds(value_s: float | None) -> str:
    """A time in the unit people use, three digits; None is one without end.

    >>> seconds(0.1823), seconds(12.3456), seconds(0.00042), seconds(None)
    ('182 ms', '12.3 s', '0.42 ms', 'unbounded')
    """
    if value_s is None:
        return "unbounded"
    return f"{digits(value_s)} s" if value_s >= 1 else f"{digits(value_s * 1000)} ms"


def share(ratio: float) -> str:
    """A ratio as a percentage.

    >>> share(0.11917), share(0.002), share(0.0), share(0.99871)
    ('11.9 %', '0.2 %', '0 %', '99.87 %')
    """
    percent = 100 * ratio
    if 90 < percent < 100:  # near 100 the distance to it is what matters
        return f"{100 - float(f'{100 - percent:.3g}'):.4g} %"
    return f"{digits(percent)} %"


def digits(value: float) -> str:
    """Three significant digits, never in powers of ten.

    >>> digits(182.34), digits(0.05), digits(12345.6), digits(150.0)
    ('182', '0.05', '12 346', '150')
    """
    if abs(value) >= 1000:
        return count(int(value + 0.5))
    return f"{float(f'{value:.3g}'):.10f}".rstrip("0").rstrip(".")


def count(number: int) -> str:
    """A whole number with thousands apart: 1 200."""
    return f"{number:,}".replace(",", _SPACE)


def requests(evidence: Evidence) -> str:
    """`143 of 1 200 requests (11.9 %)`."""
    ratio = evidence.bad / evidence.total
    return f"{count(evidence.bad)} of {count(evidence.total)} requests ({share(ratio)})"


def quantile(verdict: Verdict, name: str, value_s: float | None, limit_s: float) -> str:
    """`P95 182 ms is above 150 ms`."""
    if value_s is None:
        return f"{name} falls on failed requests, {seconds(limit_s)} is the limit"
    verb = compared(verdict, "is within", "is above")
    return f"{name} {seconds(value_s)} {verb} {seconds(limit_s)}"


def good_share(verdict: Verdict, evidence: Evidence, limit_s: float) -> str:
    """`97.2 % within 150 ms misses 98.7 %`."""
    good, asked = 1 - evidence.bad / evidence.total, 1 - evidence.allowed_ratio
    verb = compared(verdict, "meets", "misses")
    return f"{share(good)} within {seconds(limit_s)} {verb} {share(asked)}"


def more(further: int | None) -> str:
    """The tail of an undecided sentence: what would decide it."""
    if further is None:
        return "too near the limit for any affordable run"
    return f"about {count(_two_digits(further))} more requests would probably decide"


def compared(verdict: Verdict, yes: str, no: str, unknown: str = "is not decided against") -> str:
    """The verb of a sentence by its verdict."""
    return {Verdict.PASS: yes, Verdict.FAIL: no}.get(verdict, unknown)


def rate(verdict: Verdict, found_rps: float, asked_rps: float) -> str:
    """`49.2 good answers/s miss 50`."""
    verb = compared(verdict, "meet", "miss", "are not decided against")
    return f"{digits(found_rps)} good answers/s {verb} {digits(asked_rps)}"


def _two_digits(number: int) -> int:
    return int(float(f"{number:.2g}"))
