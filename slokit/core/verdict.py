"""From the samples of a run to its verdict and exit code.

    samples -> warm-up cut -> counts of each objective, class and stage -> Holm -> verdict
                                                               generator judged beside it

A run is judged twice, from the moment requests were due and without the generator's own
lag; when the two disagree the generator decided, not the service.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from slokit.core import wording
from slokit.core.estimates import quantile
from slokit.core.judgement import (
    Generator,
    Judgement,
    Load,
    ObjectiveResult,
    Stage,
    StageCut,
    Verdict,
)
from slokit.core.objective import ALL_CLASSES, Objective
from slokit.core.opinion import Opinion, Run, Start, cut, opinion
from slokit.core.sample import Outcome, Samples
from slokit.core.sequential import ONLY, Look
from slokit.core.steady import State
from slokit.errors import ExitCode

__all__ = [
    "Generator",
    "Judgement",
    "Load",
    "ObjectiveResult",
    "Stage",
    "StageCut",
    "Verdict",
    "final_exit",
    "judge",
    "worst",
]

MIN_SENT_RATIO: Final = 0.98
MAX_LAG_S: Final = 0.002
MAX_LAG_RATIO: Final = 0.02  # of the smallest time limit
MAX_CPU_RATIO: Final = 0.8


def judge(
    samples: Samples,
    objectives: Sequence[Objective],
    load: Load,
    *,
    warmup_s: float | None = None,
    baseline: Samples | None = None,
    look: Look = ONLY,
    seed: int = 0,
) -> Judgement:
    """The verdict on a run.

    `warmup_s` None is the automatic warm-up cut, 0 none at all. `baseline` is the run that
    relative objectives are compared with, cut likewise; `seed` is that of their bootstrap.
    `look` is which of several planned judgements of this run it is: every request that was
    due by then must be among `samples`. PASS needs every objective; FAIL survives Holm's
    correction over all of them.
    """
    run = cut(samples, load, warmup_s, look.until_s)
    base = None if baseline is None else cut(baseline, load, warmup_s)

    def seen_from(start: Start) -> Opinion:
        return opinion(run, base, objectives, load, start=start, look=look, seed=seed)

    due = seen_from(Start.DUE)
    fair = seen_from(Start.DUE_AND_LAG) if (samples.lag_s > 0).any() else due
    failed = due.verdict is Verdict.FAIL
    holds_on_service = failed and seen_from(Start.SENT).verdict is Verdict.FAIL
    generator, lag_warnings = _generator(run, load, objectives)
    blame = _blame(due, fair, generator, _unsent(run.samples, load))
    return Judgement(
        verdict=Verdict.INVALID if blame and not holds_on_service else due.verdict,
        holds_on_service=holds_on_service,
        reasons=(*blame, *_reasons(due, run), *wording.looked(look)),
        look=look,
        warnings=(*lag_warnings, *_warnings(run, look)),
        objectives=due.objectives,
        cuts=_stage_cuts(run, due),
        generator=replace(generator, valid=not blame),
        span_s=sum(run.span_s(i) for i in range(len(run.masks))),
        judged=run.judged,
    )


def final_exit(
    verdict: Verdict | None,
    *,
    holds_on_service: bool = False,
    error: ExitCode | None = None,
    interrupted: ExitCode | None = None,
    all_broken: bool = False,
    on_inconclusive: Literal["fail", "warn"] = "fail",
) -> ExitCode:
    """The exit code of a command: the first that applies.

    A usage, internal or store error; an interruption; no good answer at all; a fail that
    holds on service time; invalid; fail; inconclusive (pass under "warn"); pass. A verdict
    of None is one that was never reached: not enough evidence.
    """
    if stopped := error or interrupted:
        return stopped
    if all_broken:
        return ExitCode.TARGET
    if verdict is Verdict.INVALID and holds_on_service:
        return ExitCode.FAIL
    if verdict is None or verdict is Verdict.INCONCLUSIVE:
        return ExitCode.PASS if on_inconclusive == "warn" else ExitCode.INCONCLUSIVE
    return _EXIT[verdict]


_EXIT: Final = {
    Verdict.PASS: ExitCode.PASS,
    Verdict.FAIL: ExitCode.FAIL,
    Verdict.INVALID: ExitCode.INVALID,
}
_WORST_FIRST: Final = (
    ExitCode.USAGE,
    ExitCode.INTERNAL,
    ExitCode.STORE,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.TARGET,
    ExitCode.FAIL,
    ExitCode.INVALID,
    ExitCode.INCONCLUSIVE,
    ExitCode.PASS,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code of a command that judged several things; no code at all is no evidence.

    >>> worst([ExitCode.PASS, ExitCode.INVALID, ExitCode.FAIL]).name
    'FAIL'
    """
    return min(codes, key=_WORST_FIRST.index, default=ExitCode.INCONCLUSIVE)


def _generator(
    run: Run, load: Load, objectives: Sequence[Objective]
) -> tuple[Generator, tuple[str, ...]]:
    """How the generator fared on the judged samples, and what is near a bad sign."""
    samples = run.samples
    lag_p99_s = quantile(samples.lag_s[run.judged & np.isfinite(samples.sent_s)], 0.99)
    dropped = int(np.count_nonzero(samples.outcome == Outcome.DROPPED.value))
    generator = Generator(
        valid=True,
        scheduled=load.scheduled,
        sent=load.sent,
        lag_p99_s=lag_p99_s,
        cpu_ratio=load.cpu_ratio,
        dropped=dropped,
    )
    limits = [o.limit_s for o in objectives if o.limit_s is not None]
    allowed_s = max(MAX_LAG_S, MAX_LAG_RATIO * min(limits, default=0.0))
    warnings = []
    if lag_p99_s is not None and lag_p99_s > allowed_s:
        warnings.append(
            f"the generator sent late: lag P99 {wording.seconds(lag_p99_s)}, "
            f"up to {wording.seconds(allowed_s)} is harmless"
        )
    if load.cpu_ratio is not None and load.cpu_ratio > MAX_CPU_RATIO:
        warnings.append(
            f"a load process used {wording.share(load.cpu_ratio)} of a core, "
            f"up to {wording.share(MAX_CPU_RATIO)} is harmless"
        )
    return generator, tuple(warnings)


def _unsent(samples: Samples, load: Load) -> int:
    """Requests that were scheduled and vanished: not sent, not dropped, not interrupted."""
    never_sent = ~np.isfinite(samples.sent_s)
    excused = np.isin(samples.outcome, [Outcome.DROPPED.value, Outcome.INTERRUPTED.value])
    return max(load.scheduled - load.sent - int(np.count_nonzero(never_sent & excused)), 0)


def _blame(due: Opinion, fair: Opinion, generator: Generator, unsent: int) -> tuple[str, ...]:
    """Why the outcome is the generator's doing; empty when it is the service's."""
    blame = []
    if due.verdict is not fair.verdict and _lag_mattered(due, fair):
        blame.append(
            f"the generator decided the outcome: {due.verdict} as users feel it, "
            f"{fair.verdict} without the generator's own lag "
            f"(P99 {wording.seconds(generator.lag_p99_s)})"
        )
    if unsent > (1 - MIN_SENT_RATIO) * generator.scheduled:
        blame.append(
            f"the generator left out {wording.count(unsent)} of "
            f"{wording.count(generator.scheduled)} scheduled requests by its own fault, "
            f"at most {wording.share(1 - MIN_SENT_RATIO)} may be"
        )
    return tuple(blame)


def _lag_mattered(due: Opinion, fair: Opinion) -> bool:
    """True where the lag made a request bad, or a queue grow, or a quantile differ from a baseline.

    Near its edge a verdict turns with the slightest change of n_eff. Where every request is
    as good with the lag as without it, that is chance and not the generator's deed.
    """
    if [t.state for t in due.trends] != [t.state for t in fair.trends]:
        return True
    pairs = zip(due.objectives, fair.objectives, strict=True)
    return any(
        a.bad != b.bad or ("baseline" in a.expr and a.verdict is not b.verdict) for a, b in pairs
    )


def _reasons(due: Opinion, run: Run) -> tuple[str, ...]:
    """The sentences behind the verdict: of overload, then of the results that made it."""
    reasons = [
        f"{where}in-flight grew from {wording.digits(t.before)} to {wording.digits(t.after)} "
        "and never settled: the service answers fewer than it is asked"
        for t, where in zip(due.trends, run.places, strict=True)
        if t.state is State.OVERLOADED
    ]
    if not due.objectives:
        reasons.append("there is no objective, or no stage of constant load, to judge")
    places = dict(zip((number for number, _ in run.stages), run.places, strict=True))
    for result in due.objectives:
        if result.verdict is due.verdict:
            scope = "" if result.text_class == ALL_CLASSES else f"{result.text_class}: "
            reasons.append(f"{places[result.stage]}{scope}{result.reason}")
    return tuple(reasons)


def _warnings(run: Run, look: Look) -> tuple[str, ...]:
    warnings = []
    early = run.samples.due_s <= look.until_s
    stopped = early & (run.samples.outcome == Outcome.INTERRUPTED.value)
    interrupted = int(np.count_nonzero(stopped))
    if interrupted:
        warnings.append(
            f"{wording.count(interrupted)} requests were under way when the run was stopped; "
            "they are not judged"
        )
    if sum(run.cuts) and not run.judged.any():
        warnings.append(f"all {wording.count(sum(run.cuts))} requests fell into the warm-up")
    return tuple(warnings)


def _stage_cuts(run: Run, due: Opinion) -> tuple[StageCut, ...]:
    return tuple(
        StageCut(number, stage.label, cut_s, requests, t.state, t.before, t.after)
        for (number, stage), cut_s, requests, t in zip(
            run.stages, run.cuts_s, run.cuts, due.trends, strict=True
        )
    )
