"""Lists of 16 texts a request, as an indexing job sends them.

Latency is that of the whole list; requests a second times 16 is texts a second. Compare with
`medium` at 16 times the rate: what a list saves is the overhead of the single request.
Open loop with Poisson arrivals; every text is sent once.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    texts={"medium": 1},
    rate="5rps",
    duration="6m",
    batch=16,
    slo=("p95 <= 500ms", "errors <= 0.2%"),
)


class BatchInputUser(EmbeddingUser):
    """Sends lists of medium texts on the schedule of SCENARIO."""

    scenario = SCENARIO
