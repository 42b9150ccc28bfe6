"""Texts never seen before beside texts sent again and again: what a cache does.

The classes `unique` and `repeated` (20 texts, in turn) have the same length, so any difference
between their rows is the cache's. Equal rows: there is none, or it sits behind the queue.
Promise what `unique` keeps: how often users repeat themselves is not yours to choose.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    texts={"unique": {"like": "medium"}, "repeated": {"like": "medium", "pool": 20}},
    rate="50rps",
    duration="60s",
    slo=("p95 <= 150ms", "errors[all] <= 0.2%"),
)


class CacheProbeUser(EmbeddingUser):
    """Sends new and known texts on the schedule of SCENARIO."""

    scenario = SCENARIO
