"""Chinese texts of 50 characters: a description of two clauses.

The compute of the model shows here first: batching without padding and precision move it.
Open loop with Poisson arrivals; every text is sent once.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    texts={"long": 1},
    rate="30rps",
    duration="100s",
    slo=("p95 <= 150ms", "errors <= 0.2%"),
)


class LongUser(EmbeddingUser):
    """Sends long texts on the schedule of SCENARIO."""

    scenario = SCENARIO
