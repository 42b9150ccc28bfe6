"""Several texts in one row, without padding."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TokenIds = Sequence[int]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """All tokens of a batch, one after another: T tokens of B texts.

    `ids`, `positions` (within the own text) and `segments` (which text) have T entries,
    `starts` (index of each text's first token) and `lengths` have B.
    """

    ids: Int64s
    positions: Int64s
    segments: Int64s
    starts: Int64s
    lengths: Int64s


def pack(texts: Sequence[TokenIds]) -> PackedBatch:
    """Lay the token ids of at least one non-empty text end to end.

    >>> batch = pack([[101, 7, 102], [101, 102]])
    >>> batch.ids.tolist(), batch.positions.tolist(), batch.segments.tolist()
    ([101, 7, 102, 101, 102], [0, 1, 2, 0, 1], [0, 0, 0, 1, 1])
    >>> batch.starts.tolist(), batch.lengths.tolist()
    ([0, 3], [3, 2])
    """
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    ends = np.cumsum(lengths)
    starts = ends - lengths
    return PackedBatch(
        ids=np.concatenate([np.asarray(ids, np.int64) for ids in texts]),
        positions=np.arange(ends[-1]) - np.repeat(starts, lengths),
        segments=np.repeat(np.arange(len(texts)), lengths),
        starts=starts,
        lengths=lengths,
    )
