"""A run cut into what is judged, and what one way of counting time makes of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import reduce

import numpy as np

from slokit.core.comparison import holm
from slokit.core.decide import Group, decide, undecided
from slokit.core.judgement import Load, ObjectiveResult, Stage, Verdict
from slokit.core.objective import ALL_CLASSES, Metric, Objective
from slokit.core.sample import BoolArray, FloatArray, Outcome, Samples
from slokit.core.sequential import Look
from slokit.core.steady import NO_TREND, State, Trend, in_flight, trend, warmup_cut


class Start(Enum):
    """From when a request's time is counted."""

    DUE = "due"
    DUE_AND_LAG = "due plus the generator's own lag"
    SENT = "sent"

    def of(self, samples: Samples) -> FloatArray:
        """These moments, shape (n,); a request that was never sent counts from when it was due."""
        if self is Start.DUE:
            return samples.due_s
        if self is Start.DUE_AND_LAG:
            return samples.due_s + np.nan_to_num(samples.lag_s)
        return np.where(np.isfinite(samples.sent_s), samples.sent_s, samples.due_s)


@dataclass(frozen=True, slots=True)
class Run:
    """Samples with their judged stages: number (None if there is one), mask and warm-up cut."""

    samples: Samples
    stages: tuple[tuple[int | None, Stage], ...]
    masks: tuple[BoolArray, ...]
    cuts: tuple[int, ...]
    cuts_s: tuple[float, ...]

    @property
    def judged(self) -> BoolArray:
        """Marks every request that counts, shape (n,)."""
        nothing = np.zeros(len(self.samples), dtype=np.bool_)
        return reduce(np.logical_or, self.masks, nothing)

    @property
    def places(self) -> tuple[str, ...]:
        """How a sentence about each stage begins: empty when there is only one."""
        return tuple(
            "" if number is None else f"stage {stage.label or number + 1}: "
            for number, stage in self.stages
        )

    def span_s(self, i: int) -> float:
        """The time over which the judged requests of a stage were due."""
        due_s = self.samples.due_s[self.masks[i]]
        return max(float(self.stages[i][1].end_s - due_s[0]), 0.0) if len(due_s) else 0.0


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one way of counting time comes to: a verdict, its results, a trend a stage."""

    verdict: Verdict
    objectives: tuple[ObjectiveResult, ...]
    trends: tuple[Trend, ...]


def cut(samples: Samples, load: Load, warmup_s: float | None, until_s: float = math.inf) -> Run:
    """Mark what is judged: constant stages, less their warm-up, less interrupted requests.

    A request under way when the run was stopped from outside says nothing about its latency.
    Nothing that was due after `until_s` counts.
    """
    several = len(load.stages) > 1
    early = samples.due_s <= until_s
    finished = samples.outcome != Outcome.INTERRUPTED.value
    latency_s, ok = samples.latency_s, samples.ok
    stages, masks, cuts, cuts_s = [], [], [], []
    for number, stage in enumerate(load.stages or (Stage(0.0, load.end_s),)):
        if not stage.constant:
            continue
        mask = early & (samples.stage == number) if several else early.copy()
        at = np.flatnonzero(mask)
        due_s = samples.due_s[at]
        left_out = warmup_cut(due_s, latency_s[at], ok[at], warmup_s)
        mask[at[:left_out]] = False
        shown = stage._replace(end_s=min(stage.end_s, until_s))
        stages.append((number if several else None, shown))
        masks.append(mask & finished)
        cuts.append(left_out)
        from_s = due_s[min(left_out, len(at) - 1)] if left_out else stage.start_s
        cuts_s.append(max(float(from_s) - stage.start_s, 0.0))
    return Run(samples, tuple(stages), tuple(masks), tuple(cuts), tuple(cuts_s))


def opinion(
    run: Run,
    base: Run | None,
    objectives: Sequence[Objective],
    load: Load,
    *,
    start: Start,
    look: Look,
    seed: int,
) -> Opinion:
    """Decide every objective on every stage and class it speaks of, then all of them together."""
    results: list[ObjectiveResult] = []
    trends = []
    for i, (number, _) in enumerate(run.stages):
        groups = _groups(run, i, load, start)
        base_groups = _groups(base, i, load, start) if base else {}
        settled = trend(groups[ALL_CLASSES].in_flight) if load.loop == "open" else NO_TREND
        trends.append(settled)
        for objective in objectives:
            for name in _class_names(objective, run.samples):
                group = groups.get(name)
                if group is None:
                    why = "there is no data"
                    results.append(undecided(objective, name, number, why, look))
                    continue
                result = decide(objective, group, base_groups.get(name), look, seed)
                results.append(_settled(result, objective, settled.state))
    results = _corrected(results, look.alpha)
    return Opinion(_overall(results, trends), tuple(results), tuple(trends))


def _class_names(objective: Objective, samples: Samples) -> tuple[str, ...]:
    """The classes an objective speaks of: its own, or each one of the run."""
    if objective.text_class is not None:
        return (objective.text_class,)
    return samples.classes or (ALL_CLASSES,)


def _groups(run: Run, i: int, load: Load, start: Start) -> dict[str, Group]:
    """The judged requests of one stage: all of them, and by class."""
    samples, (number, stage) = run.samples, run.stages[i]
    start_s = start.of(samples)
    end_s = np.where(np.isnan(samples.end_s), np.inf, samples.end_s)
    entered = samples.outcome != Outcome.DROPPED.value  # a dropped request was never under way
    mask = run.masks[i]
    whole = Group(
        text_class=ALL_CLASSES,
        stage=number,
        latency_s=_whole_ns(np.where(samples.ok, end_s - start_s, np.inf)[mask]),
        service_s=_whole_ns(samples.service_s[mask]),
        end_s=end_s[mask],
        ok=samples.ok[mask],
        in_flight=in_flight(start_s[mask], start_s[entered], end_s[entered]),
        rate_rps=_rate_rps(load, stage),
        span_s=run.span_s(i),
    )
    names = samples.text_class[mask]
    return {ALL_CLASSES: whole} | {
        name: whole.of(name, names == name) for name in dict.fromkeys(names.tolist())
    }


def _whole_ns(time_s: FloatArray) -> FloatArray:
    """Times without float dust: 1.1 s - 1.0 s is 100 ms, not a hair above a limit of 100 ms."""
    return np.round(time_s, 9)


def _rate_rps(load: Load, stage: Stage) -> float | None:
    if load.loop == "closed":
        return None
    return load.rate_rps if stage.rate_rps is None else stage.rate_rps


def _settled(result: ObjectiveResult, objective: Objective, state: State) -> ObjectiveResult:
    """A result in the light of the trend: what never settled keeps no promise about time."""
    if state is State.STEADY or objective.metric is Metric.ERRORS:
        return result
    if state is State.OVERLOADED and objective.metric is Metric.RPS:
        reason = f"{result.reason}; but the service answers fewer than it is asked"
        return replace(result, verdict=Verdict.FAIL, reason=reason, fail_p=0.0)
    if result.verdict is Verdict.PASS:
        reason = f"{result.reason}; but in-flight never settled"
        return replace(result, verdict=Verdict.INCONCLUSIVE, reason=reason)
    return result


def _corrected(results: Sequence[ObjectiveResult], alpha: float) -> list[ObjectiveResult]:
    """Holm's correction: of several tests one misses by chance too easily."""
    kept = holm([result.fail_p for result in results], alpha)
    return [
        replace(
            result,
            verdict=Verdict.INCONCLUSIVE,
            reason=f"{result.reason}; among {len(results)} results that may be chance",
        )
        if result.verdict is Verdict.FAIL and not keep
        else result
        for result, keep in zip(results, kept, strict=True)
    ]


def _overall(results: Sequence[ObjectiveResult], trends: Sequence[Trend]) -> Verdict:
    verdicts = {result.verdict for result in results}
    if Verdict.FAIL in verdicts or any(t.state is State.OVERLOADED for t in trends):
        return Verdict.FAIL
    return Verdict.PASS if verdicts == {Verdict.PASS} else Verdict.INCONCLUSIVE
