"""Dynamic batching: texts that wait together are computed together, fairly by request."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from reference_server.engines import Engine
from reference_server.work import (
    BatchObserver,
    Clock,
    ExpiredError,
    Limits,
    OnDone,
    Relief,
    Text,
    run_pass,
)


@dataclass(slots=True, eq=False)
class _Request:
    """What is left of a request in the queue; `texts` is never empty there."""

    texts: deque[Text]
    on_done: OnDone


_Batch = list[tuple[_Request, Text]]


class DynamicBatcher:
    """Work-conserving: whenever the engine is free, what waits goes, up to the limits.

    One thread computes; while it does, requests gather into the next batch. There is no timer
    unless `limits.wait_s` asks for one. Requests take turns, a text a turn, so that a long
    list delays a later text by one batch, not by the whole list.
    """

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        on_batch: BatchObserver,
        clock: Clock = time.perf_counter,
        relief: Relief | None = None,
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._on_batch = on_batch
        self._clock = clock
        self._relief = relief
        self._changed = threading.Condition()
        self._queue: deque[_Request] = deque()
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

    def ahead(self, texts: int) -> int:
        """Tokens computed before a new request of so many texts, which takes its turns."""
        with self._changed:
            return sum(
                len(text.ids) for request in self._queue for text in islice(request.texts, texts)
            )

    def submit(self, texts: Sequence[Text], on_done: OnDone) -> None:
        """Queue the texts of one request, at least one; wakes the compute thread."""
        with self._changed:
            self._queue.append(_Request(deque(texts), on_done))
            self._waiting += len(texts)
            self._changed.notify()

    def close(self) -> None:
        """Finish everything accepted, then stop the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def step(self) -> None:
        """Run one batch of what waits now."""
        with self._changed:
            waiting = self._waiting
            batch, expired = self._take(self._clock())
        if batch:
            texts = [text for _, text in batch]
            run_pass(self._engine, texts, self._clock, relief=self._relief, waiting=waiting)
            self._on_batch(len(texts), sum(len(text.ids) for text in texts))
        _deliver(batch + expired)

    def _take(self, now_s: float) -> tuple[_Batch, _Batch]:
        """Cut the next batch, a text of each request in turn; then what expired in the queue."""
        batch: _Batch = []
        expired: _Batch = []
        tokens = 0
        while self._queue:
            request = self._queue[0]
            text = request.texts[0]
            runs = not text.abandoned and text.expires_s > now_s
            if runs and not fits(self._limits, len(batch), tokens, len(text.ids)):
                break
            request.texts.popleft()
            self._queue.popleft()
            self._waiting -= 1
            if runs:
                batch.append((request, text))
                tokens += len(text.ids)
            elif not text.abandoned:
                text.error = ExpiredError()
                expired.append((request, text))
            if request.texts and runs:
                self._queue.append(request)
            elif request.texts:  # a dropped text was no turn
                self._queue.appendleft(request)
        return batch, expired

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


def _deliver(batch: _Batch) -> None:
    """Tell each request once what of it is done."""
    done: dict[_Request, list[Text]] = {}
    for request, text in batch:
        done.setdefault(request, []).append(text)
    for request, texts in done.items():
        request.on_done(texts)
