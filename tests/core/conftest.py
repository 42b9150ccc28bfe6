"""Builders for the core's tests: small runs by hand, and a queue whose truth is known."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings

from slokit.core.sample import FloatArray, Samples

Build = Callable[..., Samples]

# The same examples everywhere, and no test judged by the speed of its machine.
settings.register_profile("core", deadline=None, derandomize=True)
settings.load_profile("core")


@pytest.fixture
def build() -> Build:
    """Samples from latencies in seconds, due at a constant rate; NaN ends a request never."""

    def build(
        latency_s: object,
        *,
        rate_rps: float = 100.0,
        outcome: object = "ok",
        text_class: object = "short",
        lag_s: object = 0.0,
        stage: object = 0,
        start_s: float = 0.0,
    ) -> Samples:
        latency = np.asarray(latency_s, dtype=np.float64)
        n = len(latency)
        due = start_s + np.arange(n) / rate_rps
        outcomes = np.broadcast_to(np.asarray(outcome, dtype=np.str_), n)
        lag = np.broadcast_to(np.asarray(lag_s, dtype=np.float64), n)
        return Samples(
            due_s=due,
            sent_s=np.where(outcomes == "dropped", np.nan, due + lag),
            end_s=np.where(outcomes == "dropped", np.nan, due + latency),
            lag_s=lag,
            outcome=outcomes,
            text_class=np.broadcast_to(np.asarray(text_class, dtype=np.str_), n),
            stage=np.broadcast_to(np.asarray(stage, dtype=np.int64), n),
        )

    return build


@pytest.fixture
def queue() -> Callable[..., tuple[FloatArray, FloatArray]]:
    """Due and end times (s) of a single first-come-first-served server, by its plain loop."""

    def queue(
        n: int, rate_rps: float, service_s: float, seed: int, *, exponential: bool = True
    ) -> tuple[FloatArray, FloatArray]:
        rng = np.random.default_rng(seed)
        due = np.cumsum(rng.exponential(1 / rate_rps, n))
        service = rng.exponential(service_s, n) if exponential else np.full(n, service_s)
        end, free = np.empty(n), 0.0
        for i in range(n):
            free = end[i] = max(free, due[i]) + service[i]
        return due, end

    return queue
