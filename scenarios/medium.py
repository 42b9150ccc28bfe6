"""Chinese texts of 20 characters: one plain question.

The everyday load of a search box: the figure most users will feel.
Open loop with Poisson arrivals; every text is sent once.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    texts={"medium": 1},
    rate="50rps",
    duration="60s",
    slo=("p95 <= 150ms", "errors <= 0.2%"),
)


class MediumUser(EmbeddingUser):
    """Sends medium texts on the schedule of SCENARIO."""

    scenario = SCENARIO
