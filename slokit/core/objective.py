"""One line of an SLO, read from the words people write.

    p95 <= 150ms              p99[short] <= 95ms       p95(service) <= 120ms
    good(150ms) >= 98.7%      errors <= 0.2%           rps >= 50
    p95 <= baseline + 5%      p95[long] < baseline

Every objective but `rps` and the relative ones comes down to one statement about
counts: at most `allowed_ratio` of the requests may be bad. `p95 <= 150ms` and
`good(150ms) >= 95%` are the same statement.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from slokit.core.units import parse_duration, parse_rate, parse_ratio
from slokit.errors import ExpressionError, UsageError

ALL_CLASSES: Final = "all"


class Metric(StrEnum):
    """What an objective is about."""

    LATENCY = "latency"  # a quantile of the time within a limit
    GOOD = "good"  # the same statement, written and shown as a share within the limit
    ERRORS = "errors"
    RPS = "rps"
    RELATIVE = "relative"  # a quantile against the same quantile of another run


class Clock(StrEnum):
    """Where latency starts: when the request was due, or when it was sent."""

    DUE = "due"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Objective:
    """A parsed objective. `expr` is what was written, with single spaces.

    `allowed_ratio` is the largest share of bad requests (0-1) that keeps the promise;
    `quantile` (0-1) is set for `pNN` forms and for `good(...)`, where it is the share
    that must be good. `limit_s` is the time limit; `strict` makes a request at exactly
    the limit bad. `margin_ratio` is what a relative objective allows on top (0.05 = +5 %).
    """

    expr: str
    metric: Metric
    text_class: str | None = None  # None: each class of the run by itself
    clock: Clock = Clock.DUE
    strict: bool = False
    quantile: float | None = None
    limit_s: float | None = None
    allowed_ratio: float | None = None
    min_rps: float | None = None
    margin_ratio: float | None = None


_HEAD = re.compile(r"\s*(?P<word>[A-Za-z]+)(?P<digits>\d+(?:\.\d+)?)?")
_GOOD_LIMIT = re.compile(r"\s*\(\s*(?P<limit>[^()]*?)\s*\)")
_CLASS = re.compile(r"\s*\[\s*(?P<name>[^\[\]]*?)\s*\]")
_CLOCK = re.compile(r"\s*\(\s*(?P<clock>[^()]*?)\s*\)")
_COMPARE = re.compile(r"\s*(?P<op><=|>=|<|>|==|=|≤|≥)")
_ASCII = {"≤": "<=", "≥": ">="}
_BASELINE = re.compile(r"baseline(?:\s*\+\s*(?P<margin>\S+))?")
_CLASS_NAME = re.compile(r"[\w.-]+")

FORMS: Final = (
    "p95 <= 150ms",
    "p99[short] <= 95ms",
    "p95(service) <= 120ms",
    "good(150ms) >= 98.7%",
    "errors <= 0.2%",
    "rps >= 50",
    "p95 <= baseline + 5%",
)


class _Reader:
    """A cursor over one expression; every refusal knows where it stands."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.position)
        if match:
            self.position = match.end()
        return match

    def refuse(self, expected: str, example: str, position: int | None = None) -> ExpressionError:
        at = self.position if position is None else position
        while at < len(self.text) and self.text[at].isspace():
            at += 1
        return ExpressionError(self.text, at, expected, example)

    def rest(self) -> tuple[str, int]:
        tail = self.text[self.position :]
        return tail.strip(), self.position + len(tail) - len(tail.lstrip())


def parse_objective(text: str) -> Objective:
    """Read one objective; see the module docstring for the forms.

    Raises ExpressionError with the position of the first thing that cannot be meant.

    >>> parse_objective("p99[short] <= 95ms").limit_s
    0.095
    >>> parse_objective("errors <= 0.2%").allowed_ratio
    0.002
    """
    reader = _Reader(text)
    head = reader.take(_HEAD)
    word = head["word"].lower() if head else ""
    digits = head["digits"] if head else None
    if word == "p" and digits:
        return _read_quantile(reader, digits)
    if digits is None and word == "good":
        return _read_good(reader)
    if digits is None and word == "errors":
        return _read_errors(reader)
    if digits is None and word == "rps":
        return _read_rps(reader)
    raise reader.refuse("pNN, good(LIMIT), errors or rps", " | ".join(FORMS), position=0)


def _read_quantile(reader: _Reader, digits: str) -> Objective:
    percent = Fraction(Decimal(digits))
    if not 0 < percent < 100:
        raise reader.refuse("a percentile between p0 and p100", "p99.9 <= 150ms", position=0)
    text_class, clock = _read_scope(reader)
    operator = _read_operator(reader, ("<=", "<"), f"p{digits} <= 150ms")
    rest, at = reader.rest()
    if rest.startswith("baseline"):
        match = _BASELINE.fullmatch(rest)
        if match is None:
            raise reader.refuse("baseline or baseline + N%", "p95 <= baseline + 5%", at)
        margin = 0.0
        if match["margin"]:
            margin = _value(reader, parse_ratio, match["margin"], at + match.start("margin"))
        return Objective(
            _tidy(reader.text),
            Metric.RELATIVE,
            text_class=text_class,
            clock=clock,
            strict=operator == "<",
            quantile=float(percent / 100),
            margin_ratio=margin,
        )
    return Objective(
        _tidy(reader.text),
        Metric.LATENCY,
        text_class=text_class,
        clock=clock,
        strict=operator == "<",
        quantile=float(percent / 100),
        limit_s=_value(reader, parse_duration, rest, at),
        allowed_ratio=float(1 - percent / 100),
    )


def _read_good(reader: _Reader) -> Objective:
    start = reader.position
    match = reader.take(_GOOD_LIMIT)
    if match is None:
        raise reader.refuse("a limit in parentheses", "good(150ms) >= 98.7%")
    limit_s = _value(reader, parse_duration, match["limit"], start + 1)
    text_class, clock = _read_scope(reader)
    _read_operator(reader, (">=",), "good(150ms) >= 98.7%")
    rest, at = reader.rest()
    share = Fraction(str(_value(reader, parse_ratio, rest, at)))
    if share == 0:
        raise reader.refuse("a share above 0%", "good(150ms) >= 98.7%", at)
    return Objective(
        _tidy(reader.text),
        Metric.GOOD,
        text_class=text_class,
        clock=clock,
        quantile=float(share),
        limit_s=limit_s,
        allowed_ratio=float(1 - share),
    )


def _read_errors(reader: _Reader) -> Objective:
    text_class, _ = _read_scope(reader, clock_allowed=False)
    operator = _read_operator(reader, ("<=", "<"), "errors <= 0.2%")
    rest, at = reader.rest()
    allowed = _value(reader, parse_ratio, rest, at)
    if operator == "<" and allowed == 0:
        raise reader.refuse("a share above 0% after <", "errors <= 0%", at)
    return Objective(
        _tidy(reader.text),
        Metric.ERRORS,
        text_class=text_class,
        strict=operator == "<",
        allowed_ratio=allowed,
    )


def _read_rps(reader: _Reader) -> Objective:
    text_class, _ = _read_scope(reader, clock_allowed=False)
    _read_operator(reader, (">=",), "rps >= 50")
    rest, at = reader.rest()
    return Objective(
        _tidy(reader.text),
        Metric.RPS,
        text_class=text_class or ALL_CLASSES,  # a service's throughput is one number
        min_rps=_value(reader, parse_rate, rest, at),
    )


def _read_scope(reader: _Reader, *, clock_allowed: bool = True) -> tuple[str | None, Clock]:
    """The optional `[class]` and `(service)`, in either order."""
    text_class, clock = None, None
    while True:
        start = reader.position
        if text_class is None and (match := reader.take(_CLASS)):
            if not _CLASS_NAME.fullmatch(match["name"]):
                raise reader.refuse("a text class", "p95[short] <= 150ms", start)
            text_class = match["name"]
        elif clock_allowed and clock is None and (match := reader.take(_CLOCK)):
            if match["clock"] not in set(Clock):
                raise reader.refuse("(service) or (due)", "p95(service) <= 120ms", start)
            clock = Clock(match["clock"])
        else:
            return text_class, clock or Clock.DUE


def _read_operator(reader: _Reader, allowed: tuple[str, ...], example: str) -> str:
    start = reader.position
    match = reader.take(_COMPARE)
    operator = _ASCII.get(match["op"], match["op"]) if match else None
    if operator is None or operator not in allowed:
        raise reader.refuse(" or ".join(allowed), example, start)
    return operator


def _value(reader: _Reader, parse: Callable[[str], float], text: str, at: int) -> float:
    try:
        return parse(text)
    except UsageError as error:
        expected = str(error).partition(": write ")[2]
        what, _, example = expected.rpartition(": ")
        if _CLASS.search(text):
            what += " (a text class goes after the metric: p95[short] <= 150ms)"
        raise reader.refuse(what, example, at) from None


def _tidy(text: str) -> str:
    """Single spaces, plain operators, and the first word in lower case: P95 is p95."""
    words = " ".join(text.split()).replace("≤", "<=").replace("≥", ">=")
    head = _HEAD.match(words)
    return words[: head.end()].lower() + words[head.end() :] if head else words
