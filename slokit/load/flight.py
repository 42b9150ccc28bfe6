"""One request of a load, from its preparation to the row that is kept of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from slokit.core.sample import Outcome
from slokit.load.exchange import Exchange
from slokit.load.protocol import count_tokens
from slokit.load.rows import NULL_16, NULL_32, NULL_64, Row
from slokit.load.texts import Text

_NOTHING: Final[dict[str, int]] = {}


@dataclass(slots=True, eq=False)
class Flight:
    """A request on its way. `slot_free_ns`: when a slot for it was free, at the earliest."""

    due_ns: int  # on the monotonic clock, like all times until they are recorded
    texts: list[Text]
    request: bytes
    trace_id: bytes
    slot_free_ns: int = 0
    user: int = 0
    stage: int = 0
    sent_ns: int | None = None

    def row(
        self,
        exchange: Exchange,
        outcome: Outcome,
        *,
        start_ns: int,
        names: Mapping[str, int],
        worker: int,
    ) -> Row:
        """The sample, as rows.RowBuffer takes it; times are counted from `start_ns`."""
        sent_ns, first_ns = exchange.sent_ns, exchange.first_byte_ns
        texts, body = self.texts, exchange.body
        server_us = exchange.server_us() if exchange.headers else _NOTHING
        tokens = count_tokens(body) if outcome is Outcome.OK else None
        lag_ns = NULL_64
        if sent_ns is not None:
            lag_ns = sent_ns - max(self.due_ns, self.slot_free_ns)
        return (
            self.due_ns - start_ns,
            NULL_64 if sent_ns is None else sent_ns - start_ns,
            NULL_64 if first_ns is None else first_ns - start_ns,
            exchange.end_ns - start_ns,
            lag_ns,
            NULL_64 if exchange.connect_ns is None else exchange.connect_ns,
            NULL_16 if exchange.status is None else exchange.status,
            names[outcome],
            names[texts[0].text_class],
            len(texts[0].text) if len(texts) == 1 else sum(len(text.text) for text in texts),
            NULL_32 if tokens is None else tokens,
            len(texts),
            texts[0].text_id,
            len(body),
            worker,
            self.user,
            self.stage,
            server_us.get("queue", NULL_64),
            server_us.get("tokenize", NULL_64),
            server_us.get("infer", NULL_64),
            server_us.get("serialize", NULL_64),
            self.trace_id,
        )
