"""The one value everything is computed from: what happened to each request.

A sample is one request: when it was due, sent and done, and how it ended. They are
kept as columns. Latency runs from the moment a request was due; a request that failed,
timed out or was dropped is not fast: its latency is infinite.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from slokit.core.objective import ALL_CLASSES, Clock

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


class Outcome(StrEnum):
    """How a request ended. Everything but `ok` counts as an error."""

    OK = "ok"
    HTTP_3XX = "http_3xx"
    HTTP_4XX = "http_4xx"
    HTTP_429 = "http_429"
    HTTP_5XX = "http_5xx"
    TIMEOUT = "timeout"
    CONNECT = "connect"  # no connection: refused, unreachable, name or TLS failure
    RESET = "reset"  # the connection broke before a complete answer
    TRUNCATED = "truncated"  # the answer ended before its announced length
    INVALID_BODY = "invalid_body"  # complete, status 2xx, but no embeddings
    DROPPED = "dropped"  # due, but every slot was still waiting for the service
    INTERRUPTED = "interrupted"  # in flight when the run was stopped from outside


@dataclass(frozen=True, slots=True)
class Samples:
    """Columns of n requests, ordered by due time; times are seconds since the run began.

    `sent_s` and `end_s` are NaN where it never happened (a dropped request was never
    sent); `lag_s` is the generator's own delay in sending, >= 0. `text_class` holds
    names, `outcome` members of Outcome by value, `stage` the index of the load stage.
    """

    due_s: FloatArray
    sent_s: FloatArray
    end_s: FloatArray
    lag_s: FloatArray
    outcome: NDArray[np.str_]
    text_class: NDArray[np.str_]
    stage: IntArray

    def __post_init__(self) -> None:
        """Refuse columns that cannot be samples: unequal lengths, disorder, NaN due times."""
        lengths = {f.name: len(getattr(self, f.name)) for f in fields(self)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of unequal length: {lengths}")
        if not np.isfinite(self.due_s).all():
            raise ValueError("due_s must be finite")
        if (np.diff(self.due_s) < 0).any():
            raise ValueError("samples must be ordered by due_s")

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.due_s)

    @property
    def ok(self) -> BoolArray:
        """True where a complete, valid answer came back."""
        return np.asarray(self.outcome == Outcome.OK.value, dtype=np.bool_)

    @property
    def latency_s(self) -> FloatArray:
        """Done minus due in seconds; infinite for a request without a good answer."""
        return np.where(self.ok, self.end_s - self.due_s, np.inf)

    @property
    def service_s(self) -> FloatArray:
        """Done minus sent in seconds; infinite for a request without a good answer."""
        return np.where(self.ok, self.end_s - self.sent_s, np.inf)

    def time_s(self, clock: Clock) -> FloatArray:
        """Latency or service time, by the clock an objective names."""
        return self.latency_s if clock is Clock.DUE else self.service_s

    @property
    def classes(self) -> tuple[str, ...]:
        """The text classes present, in order of first appearance."""
        return tuple(dict.fromkeys(self.text_class.tolist()))

    def where(self, mask: BoolArray) -> Self:
        """The samples under a boolean mask of shape (n,)."""
        return type(self)(**{f.name: getattr(self, f.name)[mask] for f in fields(self)})

    def of_class(self, name: str) -> Self:
        """The samples of one text class; `all` is everything."""
        return self if name == ALL_CLASSES else self.where(self.text_class == name)


def merge(parts: Sequence[Samples]) -> Samples:
    """The samples of several load processes or runs as one, ordered by due time."""
    columns = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Samples)
    }
    order = np.argsort(columns["due_s"], kind="stable")
    return Samples(**{name: column[order] for name, column in columns.items()})
