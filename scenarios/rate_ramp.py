"""Mixed texts at a rate that doubles step by step: how much the service can take.

Open loop with Poisson arrivals, and each step is judged alone: the highest step that passes
is what the service holds. After a step that it cannot keep up with, later ones start with
its backlog, so take the first one that fails as the limit and the rest as its shadow.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    texts={"short": 60, "medium": 30, "long": 10},
    stages=(("10rps", "60s"), ("20rps", "60s"), ("40rps", "30s"), ("80rps", "30s")),
    slo=("p95[all] <= 150ms", "errors[all] <= 1%"),
)


class RateRampUser(EmbeddingUser):
    """Sends mixed texts at the rates of SCENARIO, step by step."""

    scenario = SCENARIO
