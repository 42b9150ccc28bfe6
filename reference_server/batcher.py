"""Who computes when: requests queue as jobs, a scheduler runs them through the engine.

Both schedulers share one contract: `submit` returns at once, `waiting` counts the inputs not
yet in the engine, and the job's `on_done` is called from a compute thread when it is finished.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from reference_server.engines import Engine, Vectors
from reference_server.packing import TokenIds

Clock = Callable[[], float]
BatchObserver = Callable[[int, int], None]
"""Called after each pass with its number of inputs and of tokens."""


@dataclass(slots=True, eq=False)
class Job:
    """The texts of one request on their way through the engine.

    `infer_s` is the time of the passes that held one of its texts, `queue_s` the rest of its
    way. Set `abandoned` when nobody waits any more: what has not run yet is dropped.
    """

    texts: Sequence[TokenIds]
    on_done: Callable[["Job"], None]
    submitted_s: float
    rows: list[Vectors] = field(default_factory=list)
    infer_s: float = 0.0
    queue_s: float = 0.0
    abandoned: bool = False
    error: Exception | None = None

    @property
    def vectors(self) -> Vectors:
        """All rows, in the order of `texts`."""
        return np.concatenate(self.rows)

    def finish(self, now_s: float) -> None:
        """Close the books and tell the one who waits."""
        self.queue_s = max(0.0, now_s - self.submitted_s - self.infer_s)
        self.on_done(self)


class Limits(NamedTuple):
    """How large one pass may get, and how long it may wait for more."""

    inputs: int
    tokens: int
    wait_s: float = 0.0


class _Slice(NamedTuple):
    """Neighbouring texts of one job: `texts[first:last]`."""

    job: Job
    first: int
    last: int


class DynamicBatcher:
    """Work-conserving: whenever the engine is free, everything that waits goes, up to the limits.

    One thread computes; while it does, requests gather into the next batch. There is no timer
    unless `limits.wait_s` asks for one.
    """

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        on_batch: BatchObserver,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._on_batch = on_batch
        self._clock = clock
        self._changed = threading.Condition()
        self._queue: deque[_Slice] = deque()
        self._waiting = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)

    def start(self) -> None:
        """Start the compute thread."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Inputs not yet in the engine."""
        return self._waiting

    def submit(self, job: Job) -> None:
        """Queue a job; wakes the compute thread."""
        with self._changed:
            self._queue.append(_Slice(job, 0, len(job.texts)))
            self._waiting += len(job.texts)
            self._changed.notify()

    def close(self) -> None:
        """Finish every accepted job, then stop the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def step(self) -> None:
        """Run one batch of what waits now."""
        with self._changed:
            batch = self._take()
        if not batch:
            return
        texts = [ids for job, first, last in batch for ids in job.texts[first:last]]
        began = self._clock()
        try:
            vectors = self._engine.embed(texts)
        except Exception as error:  # noqa: BLE001  # each waiting request gets it
            for part in batch:
                part.job.error = error
            vectors = None
        ended = self._clock()
        self._on_batch(len(texts), sum(map(len, texts)))
        self._deliver(batch, vectors, ended - began, ended)

    def _take(self) -> list[_Slice]:
        """Cut the next batch off the head of the queue, in order; drop what was abandoned."""
        batch: list[_Slice] = []
        inputs = tokens = 0
        while self._queue:
            job, first, last = self._queue.popleft()
            if job.abandoned or job.error is not None:
                self._waiting -= last - first
                continue
            end = first
            while end < last and fits(self._limits, inputs, tokens, len(job.texts[end])):
                inputs += 1
                tokens += len(job.texts[end])
                end += 1
            if end > first:
                batch.append(_Slice(job, first, end))
            if end < last:
                self._queue.appendleft(_Slice(job, end, last))
                break
        self._waiting -= inputs
        return batch

    def _deliver(
        self, batch: list[_Slice], vectors: Vectors | None, infer_s: float, now_s: float
    ) -> None:
        row = 0
        for job, first, last in batch:
            job.infer_s += infer_s
            if vectors is not None:
                job.rows.append(vectors[row : row + last - first])
                row += last - first
            if last == len(job.texts) or job.error is not None:
                job.finish(now_s)

    def _run(self) -> None:
        while self._await_work():
            self.step()

    def _await_work(self) -> bool:
        """Sleep until there is a batch to run; False when closing and nothing is left."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            deadline = self._clock() + self._limits.wait_s
            while self._waiting < self._limits.inputs and not self._closing:
                left = deadline - self._clock()
                if left <= 0:
                    break
                self._changed.wait(left)
            return bool(self._queue)


def fits(limits: Limits, inputs: int, tokens: int, length: int) -> bool:
    """Whether a text of `length` tokens may join a batch; into an empty one it always may.

    >>> fits(Limits(inputs=4, tokens=100), 0, 0, 512), fits(Limits(4, 100), 1, 90, 11)
    (True, False)
    """
    return inputs == 0 or (inputs < limits.inputs and tokens + length <= limits.tokens)


class ThreadPerRequest:
    """No batching: each request has a thread of its own and runs its texts one by one."""

    def __init__(
        self,
        engine: Engine,
        threads: int,
        on_batch: BatchObserver,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._engine = engine
        self._on_batch = on_batch
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="request")

    @property
    def waiting(self) -> int:
        """Inputs not yet in the engine."""
        return self._waiting

    def submit(self, job: Job) -> None:
        """Give the job to a thread, as soon as one is free."""
        self._count(len(job.texts))
        self._pool.submit(self._work, job)

    def close(self) -> None:
        """Finish every accepted job, then stop the threads."""
        self._pool.shutdown(wait=True)

    def _work(self, job: Job) -> None:
        for index, ids in enumerate(job.texts):
            if job.abandoned:
                self._count(index - len(job.texts))
                return
            self._count(-1)
            began = self._clock()
            try:
                job.rows.append(self._engine.embed([ids]))
            except Exception as error:  # noqa: BLE001  # the waiting request gets it
                job.error = error
                self._count(index + 1 - len(job.texts))
                break
            job.infer_s += self._clock() - began
            self._on_batch(1, len(ids))
        job.finish(self._clock())

    def _count(self, change: int) -> None:
        with self._lock:
            self._waiting += change


Scheduler = DynamicBatcher | ThreadPerRequest
