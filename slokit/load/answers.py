"""Judge the bodies of answers while a load runs: every one cheaply, a sample of them in full.

A full check takes as long as sending ten requests does. So the sample is thin, and an open
loop checks it in the gaps between two arrivals (engine.py), where it delays no request.
"""

import time
from typing import Final

from slokit.core.sample import Outcome
from slokit.errors import TargetError
from slokit.load.exchange import Exchange
from slokit.load.plan import LoadPlan
from slokit.load.protocol import PROTOCOLS, check_vectors, looks_complete

FULL_CHECKS_FIRST: Final = 20  # answers checked in full at the start ...
FULL_CHECKS_EVERY: Final = 50  # ... and one in so many after them ...
FULL_CHECKS_GAP_NS: Final = 20_000_000  # ... but not more than one in 20 ms
_FIRST_GUESS_NS: Final = 500_000


class AnswerCheck:
    """Turns `ok` into `invalid_body` for answers that hold no embeddings.

    Without an expected dimension in the plan, the first answer sets it. Vectors that are
    not of unit length are counted, no more: a service may leave that to its clients.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self._protocol = PROTOCOLS[plan.protocol]
        self._dim = plan.dim
        self._seen = self._not_unit = self._last_ns = 0
        self._first_problem: str | None = None
        self.cost_ns = _FIRST_GUESS_NS  # of a full check, as the last one took
        self.checked_in_full = self.skipped = 0

    def glance(self, exchange: Exchange) -> Outcome:
        """The outcome by what can be seen without parsing."""
        if exchange.outcome is not Outcome.OK:
            return exchange.outcome
        self._seen += 1
        if looks_complete(self._protocol, exchange.body):
            return Outcome.OK
        self._note("the answer does not look like embeddings")
        return Outcome.INVALID_BODY

    def wants(self, exchange: Exchange) -> bool:
        """True where the answer just glanced at is to be checked in full."""
        seen = self._seen
        if seen > FULL_CHECKS_FIRST and (
            seen % FULL_CHECKS_EVERY or exchange.end_ns - self._last_ns < FULL_CHECKS_GAP_NS
        ):
            return False
        self._last_ns = exchange.end_ns
        return True

    def examine(self, exchange: Exchange, count: int) -> Outcome:
        """The outcome after a full check of an answer that should hold `count` vectors."""
        started_ns = time.monotonic_ns()
        self.checked_in_full += 1
        try:
            vectors = check_vectors(self._protocol, exchange.body, count=count, dim=self._dim)
        except TargetError as error:
            self._note(str(error))
            return Outcome.INVALID_BODY
        self._dim = vectors.dim
        self._not_unit += not vectors.unit_norm
        self.cost_ns = time.monotonic_ns() - started_ns
        return Outcome.OK

    def _note(self, problem: str) -> None:
        self._first_problem = self._first_problem or problem

    def warnings(self) -> list[str]:
        """What people should know about the answers, one line each."""
        found = []
        if self._first_problem is not None:
            found.append(f"some answers were no embeddings; the first one: {self._first_problem}")
        if self._not_unit:
            share = f"{self._not_unit} of {self.checked_in_full} checked answers"
            found.append(f"{share} hold vectors that are not of unit length")
        if self.skipped:
            found.append(
                f"{self.skipped} answers were not checked in full: the load left no time for it"
            )
        return found
