"""Judging a run while it lasts, at the looks that were planned, to stop it when it is decided.

A look judges what was due until its time, and only when every one of those requests has
ended. What is in flight is by nature slow: to judge the finished ones among the latest
would pass a service for the answers it still owes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from slokit.core.judgement import Judgement, Verdict
from slokit.core.sequential import FIRST_REQUESTS, Look
from slokit.core.wording import count, more, seconds
from slokit.judging import Terms, weigh_run
from slokit.runs.store import Run

ENOUGH: Final = 0.75 * FIRST_REQUESTS  # the arrivals of a planned look are random
_NS: Final = 1e9

Tick = Mapping[str, Any]


class Lookout:
    """Says whether a run in progress is decided. `tell` gets a sentence for each look.

    The looks are those of the run's manifest, where what they found is written down. The
    last one is the end of the run and not for here.
    """

    def __init__(self, run: Run, terms: Terms, tell: Callable[[str], None]) -> None:
        self._run, self._terms, self._tell = run, terms, tell
        self._plan: dict[str, Any] = run.manifest["until_conclusive"]
        self._next = 1
        self._ticks: list[Tick] = []

    def decided(self, ticks: Sequence[Tick]) -> bool:
        """Take the ticks since the last call; True when the load may stop.

        At most one look a call, and none without news. Reading and judging cost the machine
        that the load runs on, but there are at most five looks.
        """
        self._ticks += ticks
        times = self._plan["look_times_s"]
        if not ticks or self._next >= len(times):
            return False
        until_s = times[self._next - 1]
        if max(tick["t_s"] for tick in self._ticks) < until_s:
            return False
        if not _complete(self._run, self._ticks, until_s):
            return False
        look = Look(self._next, len(times), until_s)
        self._next += 1
        return self._judge(look)

    def _judge(self, look: Look) -> bool:
        judgement = weigh_run(self._run, self._terms, look=look).judgement
        least = min((result.total for result in judgement.objectives), default=0)
        decided = judgement.verdict in {Verdict.PASS, Verdict.FAIL} and least >= ENOUGH
        self._plan["looks"].append(
            {
                "number": look.number,
                "at_s": look.until_s,
                "requests": int(judgement.judged.sum()),
                "verdict": judgement.verdict if least >= ENOUGH else Verdict.INCONCLUSIVE,
            }
        )
        self._tell(_sentence(look, judgement, least))
        if decided:
            self._plan["stopped_at_s"] = look.until_s
            load = {**self._run.manifest["load"], "duration_s": look.until_s}
            self._run.update(until_conclusive=self._plan, load=load)
        else:
            self._run.update(until_conclusive=self._plan)
        return decided


def _sentence(look: Look, judgement: Judgement, least: int) -> str:
    head = f"look {look.number} of {look.planned}, at {seconds(look.until_s)}: "
    if least < ENOUGH:
        return f"{head}{count(least)} requests are too few to judge"
    if judgement.verdict is not Verdict.INCONCLUSIVE:
        return f"{head}{judgement.verdict}"
    missing = [
        f"{result.expr} [{result.text_class}], {more(result.more_requests)}"
        for result in judgement.objectives
        if result.verdict is Verdict.INCONCLUSIVE
    ]
    return f"{head}not decided: {'; '.join(missing) or 'in-flight never settled'}"


def _complete(run: Run, ticks: Sequence[Tick], until_s: float) -> bool:
    """True when all requests that were due until `until_s` have ended and are on record."""
    table = run.table().select(["due_ns", "worker", "user"])
    if run.manifest["load"]["loop"] == "open":
        return _all_scheduled(table, ticks, until_s)
    return _all_users(table, run.manifest["load"]["users"], until_s)


def _all_scheduled(table: pa.Table, ticks: Sequence[Tick], until_s: float) -> bool:
    """Open loop: as many are on record as each load process had scheduled by a later tick."""
    for worker in {tick["worker"] for tick in ticks}:
        later = [t for t in ticks if t["worker"] == worker and t["t_s"] >= until_s]
        if not later:
            return False
        own = table["due_ns"].filter(pc.equal(table["worker"], worker))
        recorded = pc.sum(pc.less_equal(own, int(later[0]["t_s"] * _NS))).as_py() or 0
        if recorded < later[0]["scheduled"]:
            return False
    return True


def _all_users(table: pa.Table, users: int, until_s: float) -> bool:
    """Closed loop: what a user has in flight was due after the last one that is on record."""
    last = table.group_by(["worker", "user"]).aggregate([("due_ns", "max")])["due_ns_max"]
    later = pc.sum(pc.greater_equal(last, int(until_s * _NS))).as_py() or 0
    return bool(later >= users)
