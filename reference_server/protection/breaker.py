"""A circuit breaker: an engine that keeps failing is left alone for a while."""

import threading


class Breaker:
    """Opens after `failures` failed passes in a row (0: never); one success closes it.

    While open, one request every `reset_s` is let through as a probe. Methods may be called
    from several threads; `now_s` is any clock that only goes forward.

    >>> breaker = Breaker(failures=1, reset_s=10)
    >>> breaker.failed(now_s=0)
    >>> breaker.wait_s(now_s=4), breaker.wait_s(now_s=10), breaker.wait_s(now_s=10)
    (6, 0.0, 10)
    >>> breaker.succeeded(); breaker.wait_s(now_s=10)
    0.0
    """

    def __init__(self, failures: int, reset_s: float) -> None:
        self._limit = failures
        self._reset_s = reset_s
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._probe_at_s = 0.0

    @property
    def open(self) -> bool:
        """Whether requests are refused but for probes."""
        return 0 < self._limit <= self._in_a_row

    def wait_s(self, now_s: float) -> float:
        """Ask to use the engine: 0, or how long to stay away.

        A probe that is lost (its client left before it ran) is followed by the next in time.
        """
        with self._lock:
            if not self.open:
                return 0.0
            if now_s < self._probe_at_s:
                return self._probe_at_s - now_s
            self._probe_at_s = now_s + self._reset_s
            return 0.0

    def failed(self, now_s: float) -> None:
        """Count a failed pass."""
        with self._lock:
            self._in_a_row += 1
            self._probe_at_s = now_s + self._reset_s

    def succeeded(self) -> None:
        """Count a pass that worked, whenever it began."""
        with self._lock:
            self._in_a_row = 0
