"""So many requests a second for each caller."""

from collections import OrderedDict
from typing import Final

_CALLERS: Final = 10_000
"""Callers remembered; who was not seen for longest starts again with a full bucket."""


class RateLimiter:
    """A token bucket a caller: `burst` tokens at most, `rps` new ones a second.

    Kept as the time at which the bucket will be full again (the generic cell rate algorithm,
    ITU-T I.371 annex A), in whole nanoseconds: the wait it names is exact.

    >>> limiter = RateLimiter(rps=10, burst=2)
    >>> [limiter.take("a", now_ns=0) for _ in range(3)], limiter.take("b", now_ns=0)
    ([0, 0, 100000000], 0)
    >>> limiter.take("a", now_ns=100_000_000)
    0
    """

    def __init__(self, rps: float, burst: int) -> None:
        self._interval_ns = round(1e9 / rps)
        self._capacity_ns = burst * self._interval_ns
        self._full_at_ns: OrderedDict[str, int] = OrderedDict()

    def take(self, caller: str, now_ns: int) -> int:
        """Take a token: 0, or the nanoseconds until there is one (then none is taken)."""
        full_at = max(now_ns, self._full_at_ns.get(caller, 0)) + self._interval_ns
        wait_ns = full_at - self._capacity_ns - now_ns
        if wait_ns > 0:
            return wait_ns
        self._full_at_ns[caller] = full_at
        self._full_at_ns.move_to_end(caller)
        if len(self._full_at_ns) > _CALLERS:
            self._full_at_ns.popitem(last=False)
        return 0
