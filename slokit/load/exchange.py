"""What became of one request on the wire."""

import re
from dataclasses import dataclass, field
from typing import Final

from slokit.conventions import SERVER_PHASES, SERVER_TIMING_HEADER
from slokit.core.sample import Outcome

_NUMBER: Final = r"\d{1,9}(?:\.\d{1,9})?"
_TIMING = re.compile(rf"([\w-]+)(?:;[^,;]*)*?;\s*dur=({_NUMBER})(?![\d.])")
_MILLISECONDS = re.compile(_NUMBER)
_TEI_HEADERS: Final = {
    b"x-queue-time": "queue",
    b"x-tokenization-time": "tokenize",
    b"x-inference-time": "infer",
}
WANTED_HEADERS: Final = frozenset({SERVER_TIMING_HEADER.encode(), *_TEI_HEADERS})


@dataclass(slots=True, eq=False)
class Exchange:
    """What became of one request. Times are monotonic nanoseconds, None: it never happened."""

    sent_ns: int | None
    connect_ns: int | None = None  # duration; None on a reused connection
    first_byte_ns: int | None = None
    end_ns: int = 0
    status: int | None = None
    outcome: Outcome = Outcome.OK
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def server_us(self) -> dict[str, int]:
        """Microseconds the service says it spent, by phase of conventions.SERVER_PHASES."""
        found: dict[str, int] = {}
        for name, value in self.headers:
            text = value.decode("latin-1")
            if name not in _TEI_HEADERS:
                phases = dict(_TIMING.findall(text))
            elif _MILLISECONDS.fullmatch(text):
                phases = {_TEI_HEADERS[name]: text}
            else:
                phases = {}
            found |= {phase: int(float(phases[phase]) * 1000) for phase in phases}
        return {phase: found[phase] for phase in SERVER_PHASES if phase in found}


def outcome_of_status(status: int | None) -> Outcome:
    """What a whole answer with this status counts as."""
    if status is None or not 200 <= status < 600:
        return Outcome.INVALID_BODY
    if status < 300:
        return Outcome.OK
    if status == 429:
        return Outcome.HTTP_429
    return {3: Outcome.HTTP_3XX, 4: Outcome.HTTP_4XX, 5: Outcome.HTTP_5XX}[status // 100]
