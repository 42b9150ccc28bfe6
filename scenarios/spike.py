"""Mixed texts with a sudden burst in the middle: does the service recover?

Before, spike and after are judged alone. A spike that fails is a matter of capacity; an
"after" that fails where "before" passed means that the backlog outlived the burst.
Open loop with Poisson arrivals; every text is sent once.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    texts={"short": 60, "medium": 30, "long": 10},
    rate="20rps, 100rps at 90s for 30s",
    duration="4m",
    slo=("p95[all] <= 150ms", "errors[all] <= 0.2%"),
)


class SpikeUser(EmbeddingUser):
    """Sends mixed texts on the schedule of SCENARIO."""

    scenario = SCENARIO
