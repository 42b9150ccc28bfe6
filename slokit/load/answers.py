"""Judge the bodies of answers while a load runs: every one cheaply, a sample of them in full."""

from typing import Final

from slokit.core.sample import Outcome
from slokit.errors import TargetError
from slokit.load.plan import LoadPlan
from slokit.load.protocol import PROTOCOLS, check_vectors, looks_complete
from slokit.load.wire import Exchange

FULL_CHECKS_FIRST: Final = 20  # answers checked in full at the start ...
FULL_CHECKS_EVERY: Final = 50  # ... and one in so many after them


class AnswerCheck:
    """Turns `ok` into `invalid_body` for answers that hold no embeddings.

    Without an expected dimension in the plan, the first answer sets it. Vectors that are
    not of unit length are counted, no more: a service may leave that to its clients.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self._protocol = PROTOCOLS[plan.protocol]
        self._dim = plan.dim
        self._seen = self._not_unit = 0
        self._first_problem: str | None = None
        self.checked_in_full = 0

    def outcome(self, exchange: Exchange, count: int) -> Outcome:
        """The outcome of an exchange that asked for `count` vectors."""
        if exchange.outcome is not Outcome.OK:
            return exchange.outcome
        self._seen += 1
        try:
            self._look_at(exchange.body, count)
        except TargetError as error:
            self._first_problem = self._first_problem or str(error)
            return Outcome.INVALID_BODY
        return Outcome.OK

    def _look_at(self, body: bytes, count: int) -> None:
        if not looks_complete(self._protocol, body):
            raise TargetError("the answer does not look like embeddings")
        if self._seen <= FULL_CHECKS_FIRST or self._seen % FULL_CHECKS_EVERY == 0:
            self.checked_in_full += 1
            vectors = check_vectors(self._protocol, body, count=count, dim=self._dim)
            self._dim = vectors.dim
            self._not_unit += not vectors.unit_norm

    def warnings(self) -> list[str]:
        """What people should know about the answers, one line each."""
        found = []
        if self._first_problem is not None:
            found.append(f"some answers were no embeddings; the first one: {self._first_problem}")
        if self._not_unit:
            share = f"{self._not_unit} of {self.checked_in_full} checked answers"
            found.append(f"{share} hold vectors that are not of unit length")
        return found
