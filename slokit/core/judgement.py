"""The values a verdict is made of: what was offered, what was found, what it comes to."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

from slokit.core.sample import BoolArray, Samples
from slokit.core.sequential import ONLY, Look
from slokit.core.steady import State

Interval = tuple[float | None, float | None]


class Verdict(StrEnum):
    """Does the service keep its promise? Silence is not a yes."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"  # not enough evidence
    INVALID = "invalid"  # the generator decided the outcome, not the service


class Stage(NamedTuple):
    """A part of the load; times in seconds since the run began.

    Only stages of constant load are judged. `rate_rps` is this stage's own rate where the
    stages of an open-loop run differ.
    """

    start_s: float
    end_s: float
    constant: bool = True
    label: str = ""
    rate_rps: float | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What was offered, and how the generator fared.

    `scheduled` and `sent` are counts of requests over the whole run; `cpu_ratio` is the
    highest mean share of a core that a load process used, None where it was not measured;
    `end_s` is when the last request was due to be offered. No stages: one constant stage.
    """

    loop: Literal["open", "closed"]
    rate_rps: float | None
    scheduled: int
    sent: int
    end_s: float
    stages: tuple[Stage, ...] = ()
    cpu_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """One objective on one text class in one stage.

    `value` and `ci` are in the objective's own terms: seconds of a quantile, the good or the
    failed share (0-1), requests a second, or the ratio to the baseline. Each end of `ci` is a
    one-sided bound at `confidence`, so `pass` means that the whole interval keeps the promise;
    None where it falls on failed requests. `n_eff` is how many independent requests would hold
    the same evidence; `more_requests` how many more would probably decide. `fail_p` is the
    chance of evidence this strong for a fail if the promise were just kept.
    """

    expr: str
    text_class: str
    stage: int | None
    verdict: Verdict
    value: float | None
    ci: Interval | None
    bad: int
    total: int
    n_eff: float
    reason: str
    confidence: float = 0.95
    more_requests: int | None = None
    fail_p: float = 1.0


@dataclass(frozen=True, slots=True)
class StageCut:
    """How a judged stage settled: the warm-up left out of it, and its in-flight trend."""

    stage: int | None
    label: str
    warmup_s: float
    warmup_requests: int
    state: State
    in_flight_before: float
    in_flight_after: float


@dataclass(frozen=True, slots=True)
class Generator:
    """Whether the load generator did what it should. `lag_p99_s` is None if nothing was sent."""

    valid: bool
    scheduled: int
    sent: int
    lag_p99_s: float | None
    cpu_ratio: float | None
    dropped: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a run with everything that led to it.

    `holds_on_service` is True for a fail that stands on service time too, where no delay of
    the generator can have a part. `judged` marks the samples that counted, shape (n,);
    `span_s` is the time over which they were due. `look` tells which of the planned looks at
    the run this is, and what share of the error it may spend.
    """

    verdict: Verdict
    holds_on_service: bool
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    objectives: tuple[ObjectiveResult, ...]
    cuts: tuple[StageCut, ...]
    generator: Generator
    span_s: float
    judged: BoolArray = field(compare=False, repr=False)
    look: Look = ONLY

    def samples(self, samples: Samples) -> Samples:
        """Those of the judged run's samples that counted: the ones to summarise."""
        return samples.where(self.judged)
