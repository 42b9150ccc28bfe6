"""What computes vectors: one small interface, one module an engine."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from reference_server.packing import TokenIds

Vectors = npt.NDArray[np.float32]


class Engine(Protocol):
    """Turns token ids into vectors; `embed` may be called from several threads."""

    def embed(self, texts: Sequence[TokenIds]) -> Vectors:
        """Return one row of length 1 a text, in order; texts carry their special tokens."""
        ...

    def describe(self) -> Mapping[str, object]:
        """Say what computes, for `/info`: engine, precision, device, threads, ..."""
        ...
