"""Keep every sample, unrounded, and say once a second how the load is going.

In the hot path a sample is packed into a row (rows.py). Whenever so many are there that
writing them takes half a millisecond, and at each full second, they become one batch in
the journal; then one line of counters follows. kill -9 costs at most the last second.
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

from slokit.conventions import JOURNAL_SUFFIX, SAMPLES_PREFIX, TICKS_PREFIX
from slokit.core.sample import Outcome
from slokit.errors import StoreError
from slokit.load.plan import END_PREFIX, LoadPlan
from slokit.load.rows import Row, RowBuffer
from slokit.runs.journal import SampleJournal

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH_ROWS: Final = 2000  # a batch of this size is written in about half a millisecond
ROLLING_S: Final = 10
_NS: Final = 1_000_000_000


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
        self._buffer = RowBuffer(BATCH_ROWS)
        self.names = self._buffer.names  # the numbers that stand for strings in a row
        self._latencies: list[NDArray[np.float64]] = []  # of this second
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

    def add(self, row: Row) -> None:
        """Take one finished request, as rows.RowBuffer has it."""
        if not self._buffer.add(row):
            self._write()

    def _write(self) -> None:
        """Count what is in the buffer and append it to the journal."""
        rows = self._buffer.rows()
        if not len(rows):
            return
        ok, dropped = (
            rows["outcome"] == self.names[kind] for kind in (Outcome.OK, Outcome.DROPPED)
        )
        self.totals.done += len(rows)
        self.totals.errors += int(len(rows) - ok.sum())
        self.totals.dropped += int(dropped.sum())
        self._latencies.append(np.where(ok, (rows["end_ns"] - rows["due_ns"]) / _NS, np.inf))
        columns = self._buffer.columns()
        self._buffer.clear()
        if self._journal is not None:
            self._journal.write(columns)

    def tick(self, elapsed_s: float) -> None:
        """End a second: write what came in since the last one."""
        self._write()
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
        self._recent.append(np.concatenate([*self._latencies, np.empty(0)]))
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
