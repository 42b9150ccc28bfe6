"""A recorded trace, played again at its own times: queries and documents in bursts.

`replay.csv` beside this file is an example: copy both and put your own log in its place (time
in seconds, then length or text, and class). Arrivals of real users come in bursts, so expect
a higher P95 than from `mixed` at the same mean rate; `speed=2` plays it twice as fast.
"""

from slokit.load.scenario import Scenario
from slokit.load.users import EmbeddingUser

SCENARIO = Scenario(
    replay="replay.csv",
    duration="2m",
    slo=("p95[query] <= 150ms", "p95[document] <= 400ms", "errors[all] <= 0.2%"),
)


class ReplayUser(EmbeddingUser):
    """Sends the requests of the trace when they are due."""

    scenario = SCENARIO
