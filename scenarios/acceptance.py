"""The acceptance contract: short, medium and long texts from concurrent users.

Passes when P95 keeps to 150 ms for each length, 98.7 % of all requests do, and at most 0.2 %
fail. Closed loop: 50 users wait for their answers, so a slow service is asked less; confirm a
pass with `mixed` at the rate you expect.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    texts={"short": 1, "medium": 1, "long": 1},
    users=50,
    duration="2m",
    slo=("p95 <= 150ms", "good(150ms)[all] >= 98.7%", "errors[all] <= 0.2%"),
)


class AcceptanceUser(EmbeddingUser):
    """Runs the users of SCENARIO."""

    scenario = SCENARIO
