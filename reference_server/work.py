"""What travels through a scheduler: texts, each with its outcome."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reference_server.engines import Engine
from reference_server.packing import TokenIds

Vector = npt.NDArray[np.float32]
Clock = Callable[[], float]


class ExpiredError(Exception):
    """Its deadline passed while a text waited; it was not computed."""


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """One run of the engine; the texts that shared it share this object."""

    infer_s: float
    degraded: bool = False


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


class Relief(NamedTuple):
    """A cheaper engine that takes over while more than `beyond` inputs wait."""

    engine: Engine
    beyond: int


def run_pass(
    engine: Engine,
    texts: Sequence[Text],
    clock: Clock,
    *,
    relief: Relief | None = None,
    waiting: int = 0,
) -> None:
    """Compute `texts` together and write the outcome into each."""
    degraded = relief is not None and waiting > relief.beyond
    began = clock()
    try:
        vectors = (relief.engine if relief and degraded else engine).embed(
            [text.ids for text in texts]
        )
    except Exception as error:  # noqa: BLE001  # each request that waits gets it
        for text in texts:
            text.error = error
        return
    ran = Pass(clock() - began, degraded)
    for text, vector in zip(texts, vectors, strict=True):
        text.vector, text.ran = vector, ran
