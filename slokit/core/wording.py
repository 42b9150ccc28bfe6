"""The sentences of a verdict. Here alone does the core round, because people read these."""

import math
from typing import Final

from slokit.core.evidence import USUAL_INFLATION, Prospect, utilisation
from slokit.core.gate import MARGIN, Evidence
from slokit.core.judgement import Verdict
from slokit.core.objective import Metric
from slokit.core.sequential import Look

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


def looked(look: Look) -> tuple[str, ...]:
    """Which of several planned looks a verdict belongs to; nothing where there was only one.

    >>> looked(Look(2, planned=5, until_s=40.0))
    ('look 2 of 5, at 40 s: each may be wrong with chance 1 %',)
    """
    if look.planned == 1:
        return ()
    when = "" if math.isinf(look.until_s) else f", at {seconds(look.until_s)}"
    error = share(look.alpha)
    return (f"look {look.number} of {look.planned}{when}: each may be wrong with chance {error}",)


def forecast(prospect: Prospect, longer: str = "--duration ") -> str:
    """What a planned load can say about one objective on one class; `longer` says what would do."""
    name = prospect.text_class
    expr = prospect.objective.expr
    head = f"{expr}: " if f"[{name}]" in expr else f"{expr} [{name}]: "
    if prospect.requests is None:
        return head + _forecast_closed(prospect)
    planned = f"about {count(prospect.requests)} requests after the warm-up"
    if not prospect.can_pass:
        return f"{head}{planned}; {_cannot_pass(prospect, longer)}"
    if prospect.most_inflation is None:
        return f"{head}{planned}; {_forecast_of_count(prospect)}"
    text = f"{head}{planned}; without a slow one they pass {_reach(prospect.most_inflation)}"
    reach = prospect.most_inflation
    if prospect.wide_inflation is not None and prospect.objective.limit_s is not None:
        reach = max(reach, prospect.wide_inflation)
        near = seconds(prospect.objective.limit_s / MARGIN)
        text += f", where nearly all take less than {near} {_reach(prospect.wide_inflation)}"
    if reach < USUAL_INFLATION and prospect.usual_s is not None:
        text += f"; a busier service wants {longer}{math.ceil(prospect.usual_s)}s"
    return text


def _cannot_pass(prospect: Prospect, longer: str) -> str:
    """Why not even a perfect service would pass, and what would help."""
    if prospect.duration_s is None:
        return "the load has no request of this class"
    return (
        f"that cannot pass, even if all are good: {count(prospect.needed)} are needed, "
        f"{longer}{math.ceil(prospect.duration_s)}s or more"
    )


def _forecast_closed(prospect: Prospect) -> str:
    if prospect.objective.metric is Metric.RPS:
        return "decided by the rates of ten slices of time"
    if prospect.needed == 1:
        return "a pass needs that none fails"
    return (
        f"a pass needs {count(prospect.needed)} independent requests, all good, or more; "
        "how many there will be is the service's doing"
    )


def _forecast_of_count(prospect: Prospect) -> str:
    if prospect.needed == 1:
        return "they pass if none fails"
    most = prospect.most_bad or 0
    failed = f"up to {count(most)} failed" if most else "none failed"
    return f"they pass with {failed}; {count(prospect.needed)} are needed without any"


def _reach(inflation: float) -> str:
    busy = utilisation(inflation)
    where = f"one server at {share(float(f'{busy:.1g}'))} of its capacity" if busy else "near idle"
    return f"up to an inflation of {float(f'{inflation:.2g}'):g} ({where})"


def _two_digits(number: int) -> int:
    return int(float(f"{number:.2g}"))
