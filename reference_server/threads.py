"""No batching: each request has a thread of its own and runs its texts one by one."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from reference_server.engines import Engine
from reference_server.work import BatchObserver, Clock, ExpiredError, OnDone, Relief, Text, run_pass


class ThreadPerRequest:
    """What a service does that hands each request to a pool of `threads`."""

    def __init__(
        self,
        engine: Engine,
        threads: int,
        on_batch: BatchObserver,
        clock: Clock = time.perf_counter,
        relief: Relief | None = None,
    ) -> None:
        self._engine = engine
        self._on_batch = on_batch
        self._clock = clock
        self._relief = relief
        self._lock = threading.Lock()
        self._waiting = 0
        self._waiting_tokens = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="request")

    @property
    def waiting(self) -> int:
        """Inputs not yet in the engine."""
        return self._waiting

    def ahead(self, texts: int) -> int:  # noqa: ARG002  # requests do not take turns here
        """Tokens computed before a new request: all that wait."""
        return self._waiting_tokens

    def submit(self, texts: Sequence[Text], on_done: OnDone) -> None:
        """Give one request's texts to a thread, as soon as one is free."""
        for text in texts:
            self._count(1, len(text.ids))
        self._pool.submit(self._work, texts, on_done)

    def close(self) -> None:
        """Finish everything accepted, then stop the threads."""
        self._pool.shutdown(wait=True)

    def _work(self, texts: Sequence[Text], on_done: OnDone) -> None:
        for text in texts:
            waiting = self._waiting
            self._count(-1, -len(text.ids))
            if text.abandoned:
                continue
            if text.expires_s <= self._clock():
                text.error = ExpiredError()
            else:
                run_pass(self._engine, [text], self._clock, relief=self._relief, waiting=waiting)
                self._on_batch(1, len(text.ids))
            on_done([text])

    def _count(self, inputs: int, tokens: int) -> None:
        with self._lock:
            self._waiting += inputs
            self._waiting_tokens += tokens
