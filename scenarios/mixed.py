"""Short, medium and long texts, 60/30/10: traffic as a search service sees it.

The objective on latency holds for each class by itself: a mean over all three would hide
that a long text in a batch slows the short ones down. Compare with `short` alone to see it.
Open loop with Poisson arrivals; every text is sent once.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    texts={"short": 60, "medium": 30, "long": 10},
    rate="50rps",
    duration="120s",
    slo=("p95 <= 150ms", "errors[all] <= 0.2%"),
)


class MixedUser(EmbeddingUser):
    """Sends a mix of texts on the schedule of SCENARIO."""

    scenario = SCENARIO
