"""What the server counts, in a registry of its own."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from reference_server.errors import Code

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10)
"""Histogram edges; 0.15 s is the objective the server is usually judged by."""

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_TOKENS = (8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)


@dataclass(frozen=True, slots=True)
class Phases:
    """Where the time of one request went, in seconds."""

    queue_s: float = 0.0
    tokenize_s: float = 0.0
    infer_s: float = 0.0
    serialize_s: float = 0.0

    def server_timing(self) -> str:
        """Render the Server-Timing header (W3C), durations in ms.

        >>> Phases(queue_s=0.001, infer_s=0.02).server_timing()
        'queue;dur=1.000, tokenize;dur=0.000, infer;dur=20.000, serialize;dur=0.000'
        """
        return (
            f"queue;dur={self.queue_s * 1e3:.3f}, tokenize;dur={self.tokenize_s * 1e3:.3f}, "
            f"infer;dur={self.infer_s * 1e3:.3f}, serialize;dur={self.serialize_s * 1e3:.3f}"
        )


class Source(StrEnum):
    """Where a text's vector came from."""

    LOCAL = "hit"
    SHARED = "shared_hit"
    JOINED = "joined"
    COMPUTED = "miss"


class Metrics:
    """Prometheus counters of one server."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        prefix = "reference_server_"
        self._requests = Counter(
            f"{prefix}requests", "Answers by route and status", ["route", "status"],
            registry=registry,
        )  # fmt: skip
        self._refusals = Counter(
            f"{prefix}refusals", "Refused requests by the code of their envelope", ["code"],
            registry=registry,
        )  # fmt: skip
        self._degraded = Counter(
            f"{prefix}degraded", "Answers under overload that were not the usual ones", ["how"],
            registry=registry,
        )  # fmt: skip
        self._breaker = Gauge(
            f"{prefix}breaker_open", "1 while the engine is left alone", registry=registry
        )
        self._durations = Histogram(
            f"{prefix}request_duration_seconds", "From the request's head to its answer",
            ["route"], registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        phases = Histogram(
            f"{prefix}phase_duration_seconds", "Time of an embedding request by phase",
            ["phase"], registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self._phases = {
            name: phases.labels(name) for name in ("queue", "tokenize", "infer", "serialize")
        }
        self._batch_inputs = Histogram(
            f"{prefix}batch_inputs", "Texts in one pass", registry=registry, buckets=_SIZES
        )
        self._batch_tokens = Histogram(
            f"{prefix}batch_tokens", "Tokens in one pass", registry=registry, buckets=_TOKENS
        )
        self._lookups = Counter(
            f"{prefix}cache_lookups", "Texts by where their vector came from", ["result"],
            registry=registry,
        )  # fmt: skip
        for source in Source:
            self._lookups.labels(source)
        self._sources = dict.fromkeys(Source, 0)
        Gauge(
            f"{prefix}cache_hit_ratio", "Texts not computed for their request, since the start",
            registry=registry,
        ).set_function(self._hit_ratio)  # fmt: skip
        self.shared_cache_up = Gauge(
            f"{prefix}shared_cache_up", "1 while the shared cache answers", registry=registry
        )
        self.shared_cache_faults = Counter(
            f"{prefix}shared_cache_faults", "Failed uses of the shared cache", registry=registry
        )
        self._cached = Gauge(f"{prefix}cache_entries", "Vectors in the cache", registry=registry)
        self._queue = Gauge(
            f"{prefix}queue_inputs", "Inputs waiting for the engine", registry=registry
        )

    def watch(
        self,
        *,
        queue_inputs: Callable[[], int],
        cache_entries: Callable[[], int],
        breaker_open: Callable[[], bool],
    ) -> None:
        """Read these whenever the metrics are scraped."""
        self._breaker.set_function(breaker_open)
        self._queue.set_function(queue_inputs)
        self._cached.set_function(cache_entries)

    def observe_request(self, route: str, status: int, duration_s: float) -> None:
        """Count one answer; `route` must be one of few, never a client's text."""
        self._requests.labels(route, str(status)).inc()
        self._durations.labels(route).observe(duration_s)

    def observe_refusal(self, code: Code) -> None:
        """Count one error envelope."""
        self._refusals.labels(code).inc()

    def observe_degraded(self, how: str) -> None:
        """Count one answer marked X-Degraded."""
        self._degraded.labels(how).inc()

    def observe_phases(self, phases: Phases) -> None:
        """Add one embedding request's phases."""
        self._phases["queue"].observe(phases.queue_s)
        self._phases["tokenize"].observe(phases.tokenize_s)
        self._phases["infer"].observe(phases.infer_s)
        self._phases["serialize"].observe(phases.serialize_s)

    def observe_sources(self, source: Source, texts: int) -> None:
        """Add the texts of a request that got their vectors from `source`."""
        self._lookups.labels(source).inc(texts)
        self._sources[source] += texts

    def _hit_ratio(self) -> float:
        total = sum(self._sources.values())
        return 1 - self._sources[Source.COMPUTED] / total if total else math.nan

    def observe_batch(self, inputs: int, tokens: int) -> None:
        """Add one pass through the engine."""
        self._batch_inputs.observe(inputs)
        self._batch_tokens.observe(tokens)

    def render(self) -> bytes:
        """Return the text exposition of the registry."""
        return generate_latest(self.registry)
