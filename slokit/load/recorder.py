"""Keep every sample, unrounded, and say once a second how the load is going.

In the hot path a sample is one tuple appended to a list. Once a second the list becomes
one batch in the journal and one line of counters, both flushed: kill -9 costs at most
what happened since.
"""

import json
import math
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import numpy as np
import pyarrow as pa

from slokit.conventions import JOURNAL_SUFFIX, SAMPLE_COLUMNS, SAMPLES_PREFIX, TICKS_PREFIX
from slokit.core.sample import Outcome
from slokit.errors import StoreError
from slokit.load.plan import END_PREFIX, LoadPlan
from slokit.runs.journal import SampleJournal

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH_ROWS: Final = 2000  # a batch of this size is written in a few milliseconds
ROLLING_S: Final = 10
_NS: Final = 1_000_000_000
_COLUMNS: Final = tuple(SAMPLE_COLUMNS)
Row = tuple[Any, ...]  # the values of SAMPLE_COLUMNS, in order


@dataclass(slots=True)
class Totals:
    """Counters of one load process since the run began; `in_flight` is of this moment."""

    scheduled: int = 0
    sent: int = 0
    done: int = 0
    errors: int = 0
    dropped: int = 0
    in_flight: int = 0


class Recorder:
    """Collects the samples of one load process; without a run folder it only counts.

    Raises StoreError when a file cannot be written.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self.totals = Totals()
        self._worker = plan.worker
        self._rows: list[Row] = []
        self._latencies: list[float] = []  # of this second
        self._recent: deque[NDArray[np.float64]] = deque(maxlen=ROLLING_S)
        self._cpu_s, self._wall_ns = 0.0, 0
        self._journal: SampleJournal | None = None
        self._ticks: TextIO | None = None
        self._end_path: Path | None = None
        if plan.run_dir:
            # The first conversion imports pandas, half a second in which nothing else would
            # run: that must not happen at the first batch, in the middle of the load.
            pa.array([plan.run_id])
            self._ticks = _open(plan.file(TICKS_PREFIX, ".jsonl"))
            try:
                self._journal = SampleJournal(plan.file(SAMPLES_PREFIX, JOURNAL_SUFFIX))
            except StoreError:
                self._ticks.close()
                raise
            self._end_path = plan.file(END_PREFIX, ".json")

    def begin(self) -> None:
        """Time 0 of the run: what the preparations cost is not the load's."""
        self._cpu_s, self._wall_ns = time.process_time(), time.monotonic_ns()

    def add(self, row: Row, outcome: Outcome, latency_s: float) -> None:
        """Take one finished request; `latency_s` is counted from due, infinite unless ok."""
        totals = self.totals
        totals.done += 1
        if outcome is not Outcome.OK:
            totals.errors += 1
            if outcome is Outcome.DROPPED:
                totals.dropped += 1
        self._latencies.append(latency_s)
        if self._journal is not None:
            self._rows.append(row)

    def tick(self, elapsed_s: float) -> None:
        """End a second: write what came in since the last one."""
        while self._rows and self._journal is not None:
            batch, self._rows = self._rows[:BATCH_ROWS], self._rows[BATCH_ROWS:]
            self._journal.write(dict(zip(_COLUMNS, zip(*batch, strict=True), strict=True)))
        totals, p95_s = self.totals, self._rolling_p95_s()
        line = {
            "t_s": elapsed_s,
            "scheduled": totals.scheduled,
            "sent": totals.sent,
            "done": totals.done,
            "errors": totals.errors,
            "dropped": totals.dropped,
            "in_flight": totals.in_flight,
            "cpu_ratio": self._cpu_ratio(),
            "p95_s": p95_s if p95_s < math.inf else None,
            "worker": self._worker,
        }
        if self._ticks is not None:
            _write_line(self._ticks, line)

    def close(self, elapsed_s: float) -> None:
        """Write the last samples and close the files, also when they cannot be written."""
        try:
            with ExitStack() as files:
                for file in (self._ticks, self._journal):
                    if file is not None:
                        files.callback(file.close)
                self.tick(elapsed_s)
        except OSError as error:  # closing writes, too
            raise StoreError(f"cannot finish the samples: {error.strerror or error}") from error

    def say(self, ending: dict[str, Any]) -> None:
        """Write the document that says how the load ended; the last thing a load does."""
        if self._end_path is None:
            return
        partial = self._end_path.with_suffix(".partial")
        try:
            partial.write_text(json.dumps(ending, ensure_ascii=False), encoding="utf-8")
            partial.replace(self._end_path)
        except OSError as error:
            raise StoreError(f"cannot write {self._end_path}: {error.strerror}") from error

    def _rolling_p95_s(self) -> float:
        """P95 of the last seconds (nearest rank); infinite without answers or on a failed one."""
        self._recent.append(np.array(self._latencies, dtype=np.float64))
        self._latencies = []
        latencies = np.concatenate(self._recent)
        if not len(latencies):
            return math.inf
        rank = math.ceil(0.95 * len(latencies)) - 1
        return float(np.partition(latencies, rank)[rank])

    def _cpu_ratio(self) -> float:
        cpu_s, wall_ns = time.process_time(), time.monotonic_ns()
        spent_s, passed_s = cpu_s - self._cpu_s, (wall_ns - self._wall_ns) / _NS
        self._cpu_s, self._wall_ns = cpu_s, wall_ns
        return spent_s / passed_s if passed_s > 0 else 0.0


def _open(path: Path) -> TextIO:
    try:
        return path.open("x", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def _write_line(target: TextIO, line: dict[str, Any]) -> None:
    try:
        target.write(json.dumps(line) + "\n")
        target.flush()
    except OSError as error:
        raise StoreError(f"cannot write {target.name}: {error.strerror}") from error
