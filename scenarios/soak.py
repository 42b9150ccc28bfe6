"""Mixed texts for hours at a moderate rate: leaks, slow growth, rare stalls.

Read the series over time, not only the verdict: a latency or a memory that rises all along
ends somewhere, even when its mean still passes. `--duration 24h` makes it longer.
Open loop with Poisson arrivals; every text is sent once, as far as there are new ones.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    texts={"short": 60, "medium": 30, "long": 10},
    rate="20rps",
    duration="4h",
    slo=("p95[all] <= 150ms", "p99.9[all] <= 1s", "errors[all] <= 0.1%"),
)


class SoakUser(EmbeddingUser):
    """Sends mixed texts on the schedule of SCENARIO."""

    scenario = SCENARIO
