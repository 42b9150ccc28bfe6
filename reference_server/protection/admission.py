"""What may be computed now, and what is refused at once instead of late."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Final

from reference_server.engines import Engine, Vectors
from reference_server.errors import Code, RequestError
from reference_server.packing import TokenIds
from reference_server.protection.breaker import Breaker
from reference_server.protection.service_rate import ServiceRate
from reference_server.scheduling import Scheduler
from reference_server.settings import Settings
from reference_server.work import Clock

_RETRY_AFTER_S: Final = 1


class WatchedEngine:
    """An engine whose failures the breaker counts and whose speed the rate measures."""

    def __init__(
        self,
        engine: Engine,
        breaker: Breaker,
        rate: ServiceRate,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._engine = engine
        self._breaker = breaker
        self._rate = rate
        self._clock = clock

    def embed(self, texts: Sequence[TokenIds]) -> Vectors:
        """Run a pass of the engine."""
        tokens = sum(map(len, texts))
        self._rate.began(tokens, self._clock())
        try:
            vectors = self._engine.embed(texts)
        except Exception:  # whatever it is, it counts against the engine and goes on up
            now_s = self._clock()
            self._rate.ended(tokens, now_s, computed=False)
            self._breaker.failed(now_s)
            raise
        self._rate.ended(tokens, self._clock())
        self._breaker.succeeded()
        return vectors

    def describe(self) -> Mapping[str, object]:
        """Say what the engine says."""
        return self._engine.describe()


class Admission:
    """Asks the queue, the breaker and the clock; a no is a RequestError."""

    def __init__(
        self,
        settings: Settings,
        scheduler: Scheduler,
        breaker: Breaker,
        rate: ServiceRate,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._scheduler = scheduler
        self._breaker = breaker
        self._rate = rate
        self._clock = clock
        self._max_queue = settings.max_queue
        self._cached_only_beyond = settings.degrade_queue if settings.degrade == "cached" else None

    @property
    def cached_only(self) -> bool:
        """Whether only what is cached is answered now."""
        beyond = self._cached_only_beyond
        return beyond is not None and self._scheduler.waiting > beyond

    def enter(self, inputs: int) -> None:
        """Before any work: a request joins if the queue has room for all of it, or is empty.

        Where cached answers are given under overload this has to wait until they are known.
        """
        if self._cached_only_beyond is None:
            self._check_queue(inputs)

    def compute(self, texts: Sequence[TokenIds], expires_s: float) -> None:
        """Before texts are queued: is the engine well, and can they be ready in time?"""
        if self.cached_only:
            raise _busy("overloaded: only cached texts are answered now", "overloaded")
        if self._cached_only_beyond is not None:
            self._check_queue(len(texts))
        if math.isfinite(expires_s):
            self._check_deadline(texts, expires_s)
        wait_s = self._breaker.wait_s(self._clock())
        if wait_s:
            raise RequestError(
                503,
                f"the engine keeps failing; it is tried again in {wait_s:.1f} s",
                code="engine_unavailable",
                kind="server_error",
                retry_after_s=wait_s,
            )

    def _check_queue(self, inputs: int) -> None:
        waiting = self._scheduler.waiting
        if waiting and waiting + inputs > self._max_queue:
            raise _busy(
                f"the queue is full: {waiting} inputs wait, at most {self._max_queue} may",
                "queue_full",
            )

    def _check_deadline(self, texts: Sequence[TokenIds], expires_s: float) -> None:
        left_s = expires_s - self._clock()
        needed_s = self._rate.expected_s(self._scheduler.ahead(len(texts)), sum(map(len, texts)))
        if needed_s > left_s:
            raise RequestError(
                429,
                f"it would take {needed_s * 1e3:.0f} ms, and {max(0.0, left_s) * 1e3:.0f} ms "
                "are left of the request's deadline",
                code="deadline_exceeded",
                kind="rate_limit_error",
                retry_after_s=needed_s - left_s,
            )


def expired() -> RequestError:
    """Build the answer to a request whose deadline passed while it waited."""
    return RequestError(
        504,
        "the request's deadline passed while it waited; it was not computed",
        code="deadline_exceeded",
        kind="server_error",
    )


def _busy(message: str, code: Code) -> RequestError:
    return RequestError(
        429, message, code=code, kind="rate_limit_error", retry_after_s=_RETRY_AFTER_S
    )
