"""What travels through a scheduler: texts, each with its outcome."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reference_server.packing import TokenIds

Vector = npt.NDArray[np.float32]
Clock = Callable[[], float]


class ExpiredError(Exception):
    """Its deadline passed while a text waited; it was not computed."""


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """One run of the engine; the texts that shared it share this object."""

    infer_s: float


@dataclass(slots=True, eq=False)
class Text:
    """One text on its way through the engine.

    Set `abandoned` when nobody waits any more: it is dropped unless it runs already. Past
    `expires_s` on the scheduler's clock it gets an ExpiredError instead of a pass. At the end
    either `vector` and `ran` are there, or `error`.
    """

    ids: TokenIds
    expires_s: float = math.inf
    abandoned: bool = False
    vector: Vector | None = None
    ran: Pass | None = None
    error: Exception | None = None


OnDone = Callable[[Sequence[Text]], None]
"""Called from a compute thread with texts of one request that reached their end."""

BatchObserver = Callable[[int, int], None]
"""Called after each pass with its number of inputs and of tokens."""


class Limits(NamedTuple):
    """How large one pass may get, and how long it may wait for more."""

    inputs: int
    tokens: int
    wait_s: float = 0.0


def run_pass(
    embed: Callable[[Sequence[TokenIds]], npt.NDArray[np.float32]],
    texts: Sequence[Text],
    clock: Clock,
) -> None:
    """Compute `texts` together and write the outcome into each."""
    began = clock()
    try:
        vectors = embed([text.ids for text in texts])
    except Exception as error:  # noqa: BLE001  # each request that waits gets it
        for text in texts:
            text.error = error
        return
    ran = Pass(clock() - began)
    for text, vector in zip(texts, vectors, strict=True):
        text.vector, text.ran = vector, ran
