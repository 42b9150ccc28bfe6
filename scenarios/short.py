"""Chinese texts of 4 characters: search words, the length of a query.

Mostly fixed cost: when short is slow and long is not, look at queueing, not at the model.
Open loop with Poisson arrivals; every text is sent once.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    texts={"short": 1},
    rate="50rps",
    duration="60s",
    slo=("p95 <= 150ms", "errors <= 0.2%"),
)


class ShortUser(EmbeddingUser):
    """Sends short texts on the schedule of SCENARIO."""

    scenario = SCENARIO
