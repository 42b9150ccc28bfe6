"""The vector cache against a plain model of "least recently used"."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.cache import VectorCache

KEYS = st.integers(0, 6)


@settings(deadline=None)
@given(st.integers(0, 4), st.lists(st.tuples(st.booleans(), KEYS), max_size=60))
def test_it_keeps_the_most_recently_used(limit: int, steps: list[tuple[bool, int]]) -> None:
    """The oracle is a list in the order of last use."""
    cache, recent = VectorCache(limit), []
    for is_put, key in steps:
        if is_put:
            cache.put([key], np.full(2, key, np.float32))
        else:
            found = cache.get([key])
            assert (found is not None) == (key in recent)
            assert found is None or found.tolist() == [key, key]
        if is_put or key in recent:
            recent = [*(other for other in recent if other != key), key][-limit:] if limit else []
        assert len(cache) == len(recent)


def test_it_keeps_a_copy() -> None:
    """A row of a batch must not keep the batch alive, nor change with it."""
    batch = np.zeros((4, 2), np.float32)
    cache = VectorCache(2)
    cache.put([1], batch[0])
    batch[0] = 9
    stored = cache.get([1])
    assert stored is not None
    assert stored.tolist() == [0, 0]
    assert stored.base is None


def test_nothing_is_older_than_the_limit() -> None:
    """Virtual time: kept until just before 10 s after it was stored, however often it is used."""
    now_s = [0.0]
    cache = VectorCache(4, ttl_s=10, clock=lambda: now_s[0])
    cache.put([1], np.zeros(2, np.float32))
    for now_s[0] in (5.0, 9.999):
        assert cache.get([1]) is not None
    now_s[0] = 10.0
    assert cache.get([1]) is None
    assert len(cache) == 0
    cache.put([1], np.ones(2, np.float32))
    now_s[0] = 19.0
    assert cache.get([1]) is not None
