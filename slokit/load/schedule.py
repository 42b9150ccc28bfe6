"""When the requests of a plan are due, and which stage each belongs to."""

from array import array
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from slokit.core.arrivals import Arrivals, due_times_of
from slokit.core.judgement import Stage
from slokit.core.rates import mean_rps
from slokit.load.plan import LoadPlan
from slokit.load.trace import read_trace

_NS: Final = 1_000_000_000


class Schedule(NamedTuple):
    """Due times of one worker, ascending, and the starts of the second and later stages.

    Both in nanoseconds since the run began: bisect_right(stage_starts_ns, due_ns) is the
    stage. 8 bytes a request, so that schedules of days fit in memory.
    """

    due_ns: "array[int]"
    stage_starts_ns: tuple[int, ...]


def schedule_of(plan: LoadPlan) -> Schedule:
    """The share of this plan's worker in the open loop that all workers offer together.

    Each worker computes the whole and takes every n-th request, so the shares together are
    exactly the process that was asked for. Raises UsageError for a trace that is gone.
    """
    if plan.replay is not None:
        due_s = np.array(read_trace(Path(plan.replay)).at_s, dtype=np.float64) / plan.speed
        due_s = due_s[: np.searchsorted(due_s, plan.duration_s)]
    else:
        arrivals = Arrivals.parse(plan.arrivals)
        due_s = due_times_of(arrivals, plan.rates, seed=plan.seed_for("schedule"))
    shared = due_s[plan.worker :: plan.workers]
    starts_s = accumulate(piece.duration_s for piece in plan.pieces[:-1])
    return Schedule(
        array("q", (shared * _NS).astype("int64").tobytes()),
        tuple(int(start_s * _NS) for start_s in starts_s),
    )


def judged_stages(plan: LoadPlan) -> tuple[Stage, ...]:
    """The stages as the verdict knows them; empty where the load is to be judged as a whole."""
    told: list[tuple[float, bool, str, float | None]]
    if plan.loop == "closed":
        told = [(stage.duration_s, True, stage.told, None) for stage in plan.stages]
    else:
        told = [(p.duration_s, p.is_constant, p.label, mean_rps([p])) for p in plan.pieces]
    if len(told) < 2 or not any(constant for _, constant, _, _ in told):
        return ()
    ends_s = accumulate(duration_s for duration_s, _, _, _ in told)
    return tuple(
        Stage(end_s - duration_s, end_s, constant, label, rate_rps)
        for (duration_s, constant, label, rate_rps), end_s in zip(told, ends_s, strict=True)
    )
