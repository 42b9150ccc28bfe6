"""The first seconds of a service beside the settled rest: what a restart costs its users.

Start the service anew, then run this at once with `--wait-ready 2m`; nothing is cut as warm-up.
The two stages are judged alone: their difference is what warming up before taking traffic
would save. The check before the load sends one request, so the very first one is not shown.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    texts={"medium": 1},
    stages=(("40rps", "10s", "first 10 s"), ("40rps", "50s", "settled")),
    warmup="0s",
    slo=("p95 <= 150ms", "errors <= 1%"),
)


class ColdStartUser(EmbeddingUser):
    """Sends medium texts on the schedule of SCENARIO."""

    scenario = SCENARIO
