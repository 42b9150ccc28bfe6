"""Vectors of texts seen lately."""

import math
import time
from collections import OrderedDict
from collections.abc import Sequence

from reference_server.work import Clock, Vector


class VectorCache:
    """Least recently used out first, and nothing older than `ttl_s`. Not thread-safe.

    `entries` = 0 keeps nothing. Keys are token ids, so that two texts the model cannot tell
    apart share one entry.

    >>> import numpy as np
    >>> cache = VectorCache(entries=1)
    >>> cache.put([1], np.ones(2, np.float32)); cache.put([2], np.zeros(2, np.float32))
    >>> cache.get([1]) is None, cache.get([2])
    (True, array([0., 0.], dtype=float32))
    """

    def __init__(
        self, entries: int, ttl_s: float = math.inf, clock: Clock = time.monotonic
    ) -> None:
        self._limit = entries
        self._ttl_s = ttl_s
        self._clock = clock
        self._kept: OrderedDict[tuple[int, ...], tuple[Vector, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, ids: Sequence[int]) -> Vector | None:
        """Return the stored vector and mark it as used, or None; using does not renew it."""
        key = tuple(ids)
        found = self._kept.get(key)
        if found is None:
            return None
        vector, stored_s = found
        if self._clock() - stored_s >= self._ttl_s:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return vector

    def put(self, ids: Sequence[int], vector: Vector) -> None:
        """Store a copy (a row of a batch would keep the whole batch alive)."""
        if self._limit == 0:
            return
        key = tuple(ids)
        self._kept[key] = vector.copy(), self._clock()
        self._kept.move_to_end(key)
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)
