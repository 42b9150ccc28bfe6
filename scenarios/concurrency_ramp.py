"""Mixed texts from more and more users: how latency grows with concurrency.

Closed loop: each user waits for an answer before it sends again, so a slow service is
asked less. Read it as a curve, and take the promise to your users from an open loop.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    texts={"short": 60, "medium": 30, "long": 10},
    stages=((1, "30s"), (5, "30s"), (10, "30s"), (20, "30s"), (50, "30s")),
    slo=("p95[all] <= 150ms", "errors[all] <= 1%"),
)


class ConcurrencyRampUser(EmbeddingUser):
    """Runs the users of SCENARIO, stage by stage."""

    scenario = SCENARIO
