"""Vectors of texts seen lately."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]


class VectorCache:
    """Least recently used out first; `entries` = 0 keeps nothing. Not thread-safe.

    Keys are token ids, so that two texts the model cannot tell apart share one entry.

    >>> cache = VectorCache(entries=1)
    >>> cache.put([1], np.ones(2, np.float32)); cache.put([2], np.zeros(2, np.float32))
    >>> cache.get([1]) is None, cache.get([2])
    (True, array([0., 0.], dtype=float32))
    """

    def __init__(self, entries: int) -> None:
        self._limit = entries
        self._vectors: OrderedDict[tuple[int, ...], Vector] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, ids: Sequence[int]) -> Vector | None:
        """Return the stored vector and mark it as used, or None."""
        key = tuple(ids)
        vector = self._vectors.get(key)
        if vector is not None:
            self._vectors.move_to_end(key)
        return vector

    def put(self, ids: Sequence[int], vector: Vector) -> None:
        """Store a copy (a row of a batch would keep the whole batch alive)."""
        if self._limit == 0:
            return
        key = tuple(ids)
        self._vectors[key] = vector.copy()
        self._vectors.move_to_end(key)
        if len(self._vectors) > self._limit:
            self._vectors.popitem(last=False)
