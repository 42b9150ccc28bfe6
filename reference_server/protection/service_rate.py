"""How fast the engine works, measured while it works."""

import math
import threading


class ServiceRate:
    """Tokens a second over the recent busy time, however many passes run side by side.

    Older work counts less: by a factor e after `memory_s` of busy time. Methods may be called
    from several threads.

    >>> rate = ServiceRate()
    >>> rate.began(tokens=100, now_s=0.0); rate.ended(tokens=100, now_s=0.5)
    >>> rate.expected_s(ahead=300, own=100)
    2.0
    """

    def __init__(self, memory_s: float = 1.0) -> None:
        self._memory_s = memory_s
        self._lock = threading.Lock()
        self._passes = 0
        self._running = 0
        self._since_s = 0.0
        self._tokens = 0.0
        self._busy_s = 0.0

    def began(self, tokens: int, now_s: float) -> None:
        """A pass of so many tokens starts."""
        with self._lock:
            self._pass_time(now_s)
            self._passes += 1
            self._running += tokens

    def ended(self, tokens: int, now_s: float, *, computed: bool = True) -> None:
        """A pass has done its tokens, or failed to."""
        with self._lock:
            self._pass_time(now_s)
            self._passes -= 1
            self._running -= tokens
            self._tokens += tokens if computed else 0

    def expected_s(self, ahead: int, own: int) -> float:
        """Time until `own` tokens are done, behind what runs and `ahead` more.

        0 when nothing is ahead or nothing was measured: so there is always a next measurement.
        """
        with self._lock:
            ahead += self._running
            if not ahead or not self._tokens:
                return 0.0
            return (ahead + own) * self._busy_s / self._tokens

    def _pass_time(self, now_s: float) -> None:
        if self._passes:
            elapsed_s = max(0.0, now_s - self._since_s)
            fading = math.exp(-elapsed_s / self._memory_s)
            self._tokens *= fading
            self._busy_s = self._busy_s * fading + elapsed_s
        self._since_s = now_s
