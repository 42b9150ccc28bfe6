"""One objective on one group of requests: the evidence, the verdict and its sentence."""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from slokit.core import comparison, gate, wording
from slokit.core.binomial import share_interval, solve, student_tail
from slokit.core.estimates import BATCHES, quantile, quantile_interval
from slokit.core.judgement import Interval, ObjectiveResult, Verdict
from slokit.core.objective import Clock, Metric, Objective
from slokit.core.sample import BoolArray, FloatArray, IntArray
from slokit.core.sequential import Look


@dataclass(frozen=True, slots=True)
class Group:
    """The judged requests of one text class in one stage, in order of due time.

    Times in seconds, infinite where a request was lost; `end_s` too. `rate_rps` is the rate
    offered to this class, None in a closed loop; `span_s` the time they were due in.
    """

    text_class: str
    stage: int | None
    latency_s: FloatArray
    service_s: FloatArray
    end_s: FloatArray
    ok: BoolArray
    in_flight: IntArray
    rate_rps: float | None
    span_s: float

    def time_s(self, clock: Clock) -> FloatArray:
        """Latency or service time."""
        return self.latency_s if clock is Clock.DUE else self.service_s

    def of(self, text_class: str, mask: BoolArray) -> Self:
        """The requests of one class among these; its rate is its share of the whole."""
        share = float(mask.mean())
        return type(self)(
            text_class,
            self.stage,
            self.latency_s[mask],
            self.service_s[mask],
            self.end_s[mask],
            self.ok[mask],
            self.in_flight[mask],
            None if self.rate_rps is None else self.rate_rps * share,
            self.span_s,
        )


def decide(
    objective: Objective, group: Group, base: Group | None, look: Look, seed: int
) -> ObjectiveResult:
    """Judge one objective on one group, alone: Holm's correction comes after.

    `base` is the same class of the baseline run, for relative objectives.
    """
    if not len(group.ok):
        return undecided(objective, group.text_class, group.stage, "there is no data", look)
    if objective.metric in (Metric.LATENCY, Metric.GOOD):
        result = _latency(objective, group, look)
    elif objective.metric is Metric.ERRORS:
        result = _errors(objective, group, look)
    elif objective.metric is Metric.RPS:
        result = _rate(objective, group, look)
    elif base is None or not len(base.ok):
        why = "the baseline has no data"
        return undecided(objective, group.text_class, group.stage, why, look)
    else:
        result = _relative(objective, group, base, look, seed)
    return replace(result, confidence=1 - look.alpha)


def undecided(
    objective: Objective, text_class: str, stage: int | None, why: str, look: Look
) -> ObjectiveResult:
    """The result where nothing was measured: never a pass."""
    reason = f"{objective.expr} on {text_class}: {why}"
    verdict = Verdict.INCONCLUSIVE
    return ObjectiveResult(
        objective.expr, text_class, stage, verdict, None, None, 0, 0, 0.0, reason, 1 - look.alpha
    )


def _latency(objective: Objective, group: Group, look: Look) -> ObjectiveResult:
    limit_s, allowed, q = objective.limit_s, objective.allowed_ratio, objective.quantile
    if limit_s is None or allowed is None or q is None:
        raise ValueError(f"a latency objective needs a limit and a share: {objective}")
    time_s = group.time_s(objective.clock)
    bad = time_s >= limit_s if objective.strict else time_s > limit_s
    inflated = gate.latency_inflation(time_s, bad, allowed, group.in_flight, look)
    evidence = gate.weigh(bad, allowed, inflated)
    margin = gate.with_margin(time_s, bad, evidence, limit_s, look)
    wide = margin.pass_p <= look.alpha < evidence.pass_p
    evidence = replace(evidence, pass_p=min(evidence.pass_p, margin.pass_p))
    verdict = _verdict(evidence, look.alpha)
    value: float | None
    ci: Interval
    if objective.metric is Metric.GOOD:
        value = 1 - evidence.bad / evidence.total
        behind = margin.at_limit if wide else evidence
        ci = _mirrored(share_interval(behind.bad_eff, behind.n_eff, look.alpha))
        what = wording.good_share(verdict, evidence, limit_s)
    else:
        value = quantile(time_s, q)
        ci = quantile_interval(time_s, q, evidence.n_eff, look.alpha)
        if wide:
            ci = ci[0], _end_with_margin(time_s, q, margin, look.alpha)
        what = wording.quantile(verdict, _name(q, objective.clock), value, limit_s)
    slower = "were slower" if group.ok.all() else "were slower or failed"
    text = f"{what}: {wording.requests(evidence)} {slower}, {wording.share(allowed)} are allowed"
    if wide:
        text += f", and {wording.count(margin.at_third.bad)} took more than a third of the limit"
    return _result(
        objective, group, evidence, look.alpha, verdict=verdict, value=value, ci=ci, text=text,
        margin=margin,
    )  # fmt: skip


def _end_with_margin(
    time_s: FloatArray, q: float, margin: gate.Margin, alpha: float
) -> float | None:
    """The upper end of a quantile that passed by a wide margin: both halves keep below it."""
    ends = (
        (scale, quantile_interval(time_s, share, half.n_eff, alpha)[1])
        for scale, share, half in (
            (1.0, q, margin.at_limit),
            (gate.MARGIN, 1 - margin.at_third.allowed_ratio, margin.at_third),
        )
    )
    return max((scale * end for scale, end in ends if end is not None), default=None)


def _errors(objective: Objective, group: Group, look: Look) -> ObjectiveResult:
    allowed = objective.allowed_ratio
    if allowed is None:
        raise ValueError(f"an error objective needs a share: {objective}")
    alpha = look.alpha
    evidence = gate.weigh(~group.ok, allowed, gate.error_inflation(~group.ok, look))
    verdict = _verdict(evidence, alpha)
    ci = share_interval(evidence.bad_eff, evidence.n_eff, alpha)
    verb = wording.compared(verdict, "keep within", "exceed", "are not decided against")
    text = f"errors {verb} {wording.share(allowed)}: {wording.requests(evidence)} failed"
    value = evidence.bad / evidence.total
    return _result(
        objective, group, evidence, alpha, verdict=verdict, value=value, ci=ci, text=text
    )


def _rate(objective: Objective, group: Group, look: Look) -> ObjectiveResult:
    if objective.min_rps is None:
        raise ValueError(f"a rate objective needs a rate: {objective}")
    if group.rate_rps is None:
        return _rate_by_time(objective, group, objective.min_rps, look)
    alpha, rate, asked = look.alpha, group.rate_rps, objective.min_rps
    allowed = round(1 - asked / rate, 9)  # exactly 0 where all that was offered is asked for
    evidence = gate.weigh(~group.ok, max(allowed, 0.0), gate.error_inflation(~group.ok, look))
    verdict = _verdict(evidence, alpha)
    low, high = _mirrored(share_interval(evidence.bad_eff, evidence.n_eff, alpha))
    value, ci = rate * (1 - evidence.bad / evidence.total), (rate * low, rate * high)
    text = f"{wording.rate(verdict, value, asked)}: {wording.requests(evidence)} failed"
    if allowed < 0:
        verdict, evidence = Verdict.FAIL, replace(evidence, fail_p=0.0)
        text = f"only {wording.digits(rate)} requests/s were offered, {wording.digits(asked)} asked"
    return _result(
        objective, group, evidence, alpha, verdict=verdict, value=value, ci=ci, text=text
    )


def _rate_by_time(objective: Objective, group: Group, asked: float, look: Look) -> ObjectiveResult:
    """Without a schedule, throughput is what it is: good answers in ten equal slices of time."""
    done = np.sort(group.end_s[group.ok])
    bad, total = int(np.count_nonzero(~group.ok)), len(group.ok)
    if len(done) < BATCHES or done[0] == done[-1]:
        why = f"{len(done)} good answers, or all at one instant, tell no rate"
        return undecided(objective, group.text_class, group.stage, why, look)
    slices = np.histogram(done, bins=BATCHES, range=(done[0], done[-1]))[0]
    rates = slices / (float(done[-1] - done[0]) / BATCHES)
    value, spread = float(rates.mean()), float(rates.std(ddof=1)) / math.sqrt(BATCHES)
    reach = solve(lambda t: look.alpha - student_tail(t, BATCHES - 1), 0.0, 1e3) * spread
    ci = (value - reach, value + reach)
    verdict = Verdict.INCONCLUSIVE
    if ci[0] >= asked:
        verdict = Verdict.PASS
    elif ci[1] < asked:
        verdict = Verdict.FAIL
    t = (asked - value) / spread if spread else math.copysign(math.inf, asked - value)
    fail_p = student_tail(t, BATCHES - 1) if t > 0 else 1.0
    text = wording.rate(verdict, value, asked)
    text += f" ({wording.digits(ci[0])} to {wording.digits(ci[1])})"
    return ObjectiveResult(
        objective.expr, group.text_class, group.stage, verdict, value, ci, bad, total,
        float(BATCHES), text, fail_p=fail_p,
    )  # fmt: skip


def _relative(
    objective: Objective, group: Group, base: Group, look: Look, seed: int
) -> ObjectiveResult:
    q, margin = objective.quantile, objective.margin_ratio
    if q is None or margin is None:
        raise ValueError(f"a relative objective needs a quantile and a margin: {objective}")
    before, after = base.time_s(objective.clock), group.time_s(objective.clock)
    [change] = comparison.changes(
        before, after, (q,), margin_ratio=margin, confidence=1 - look.alpha, seed=seed
    )
    low, high = change.ci
    verdict = Verdict.INCONCLUSIVE
    if high is not None and high < margin:
        verdict = Verdict.PASS
    elif change.slower_p <= look.alpha:
        verdict = Verdict.FAIL
    ratio = None if change.change_ratio is None else 1 + change.change_ratio
    verb = wording.compared(verdict, "is within", "is above")
    name = _name(q, objective.clock)
    text = f"{name} {wording.seconds(change.candidate)} {verb} the baseline's "
    text += f"{wording.seconds(change.base)} + {wording.share(margin)}"
    text += " (weak: two stored runs, block bootstrap)"
    bad = int(np.count_nonzero(~group.ok))
    ci = (None if low is None else 1 + low, None if high is None else 1 + high)
    return ObjectiveResult(
        objective.expr, group.text_class, group.stage, verdict, ratio, ci, bad, len(group.ok),
        len(group.ok) / comparison.block_length(after, (q,)), text, fail_p=change.slower_p,
    )  # fmt: skip


def _name(q: float, clock: Clock) -> str:
    name = f"P{wording.digits(100 * q)}"
    return name if clock is Clock.DUE else f"{name} of the service time"


def _mirrored(interval: tuple[float, float]) -> tuple[float, float]:
    """The interval of the good share from that of the bad one."""
    return 1 - interval[1], 1 - interval[0]


def _verdict(evidence: gate.Evidence, alpha: float) -> Verdict:
    if evidence.pass_p <= alpha:
        return Verdict.PASS
    return Verdict.FAIL if evidence.fail_p <= alpha else Verdict.INCONCLUSIVE


def _result(
    objective: Objective,
    group: Group,
    evidence: gate.Evidence,
    alpha: float,
    *,
    verdict: Verdict,
    value: float | None,
    ci: Interval,
    text: str,
    margin: gate.Margin | None = None,
) -> ObjectiveResult:
    further = None
    if verdict is Verdict.INCONCLUSIVE:
        ways = [gate.further_requests(evidence, alpha)]
        if margin is not None:
            ways.append(margin.further_requests(alpha))
        further = min((way for way in ways if way is not None), default=None)
        text += f"; {wording.more(further)}"
    return ObjectiveResult(
        objective.expr, group.text_class, group.stage, verdict, value, ci, evidence.bad,
        evidence.total, evidence.n_eff, text, more_requests=further, fail_p=evidence.fail_p,
    )  # fmt: skip
