"""The way of a request: tokenise -> cache -> queue -> engine, and back in order."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from reference_server.batcher import DynamicBatcher
from reference_server.cache import VectorCache
from reference_server.engines import Engine, Vectors
from reference_server.errors import RequestError
from reference_server.flights import Flights, Key
from reference_server.metrics import Metrics, Source
from reference_server.protocol import Contract, Inputs
from reference_server.settings import Settings
from reference_server.threads import ThreadPerRequest
from reference_server.tokenizer import Tokenizer
from reference_server.work import BatchObserver, Limits, Text, Vector

if TYPE_CHECKING:
    from reference_server.shared_cache import SharedCache

Scheduler = DynamicBatcher | ThreadPerRequest

_INLINE_CHARACTERS = 10_000
"""Longer requests are tokenised in a thread, or they would hold up everybody else's."""

_RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors in the order of the inputs, and where the time went."""

    vectors: Vectors
    tokens: int
    queue_s: float
    tokenize_s: float
    infer_s: float


class Service:
    """A loaded model. Use from one event loop; only the scheduler's threads compute."""

    def __init__(
        self,
        *,
        contract: Contract,
        tokenizer: Tokenizer,
        scheduler: Scheduler,
        settings: Settings,
        metrics: Metrics,
        facts: Mapping[str, object],
        shared_cache: "SharedCache | None" = None,
    ) -> None:
        self.contract = contract
        self.facts = facts
        self._tokenizer = tokenizer
        self._scheduler = scheduler
        self._max_queue = settings.max_queue
        self._cache = cache = VectorCache(settings.cache_entries, settings.cache_ttl_s or math.inf)
        self._shared = shared_cache
        share = settings.single_flight == "on"
        self._flights = Flights(scheduler, share=share, on_landed=self._remember)
        self._metrics = metrics
        self._tokenize_thread = ThreadPoolExecutor(1, thread_name_prefix="tokenize")
        metrics.watch(queue_inputs=lambda: scheduler.waiting, cache_entries=lambda: len(cache))

    async def embed(self, inputs: Inputs) -> Embedded:
        """Embed a request's inputs; RequestError 429 when too many wait already.

        A request joins if the queue has room for all its inputs, or is empty.
        """
        waiting = self._scheduler.waiting
        if waiting and waiting + len(inputs) > self._max_queue:
            raise RequestError(
                429,
                f"the queue is full: {waiting} inputs wait, at most {self._max_queue} may",
                code="queue_full",
                kind="rate_limit_error",
                retry_after_s=_RETRY_AFTER_S,
            )
        began = time.perf_counter()
        keys = await self._tokenize(inputs)
        tokenized = time.perf_counter()
        vectors, infer_s = await self._lookup_or_compute(keys)
        waited_s = time.perf_counter() - tokenized if infer_s else 0.0
        infer_s = min(infer_s, waited_s)  # a pass that was joined began before this request
        return Embedded(
            vectors=vectors,
            tokens=sum(map(len, keys)),
            queue_s=waited_s - infer_s,
            tokenize_s=tokenized - began,
            infer_s=infer_s,
        )

    async def close(self) -> None:
        """Finish what was accepted and stop every thread."""
        self._tokenize_thread.shutdown()
        self._scheduler.close()
        if self._shared is not None:
            await self._shared.close()

    async def _tokenize(self, inputs: Inputs) -> list[Key]:
        if not isinstance(inputs[0], str):
            return [tuple(self._tokenizer.complete(ids)) for ids in inputs]
        if sum(map(len, inputs)) <= _INLINE_CHARACTERS:
            return [tuple(self._tokenizer.encode(text)) for text in inputs]
        loop = asyncio.get_running_loop()
        encode = self._tokenizer.encode_many
        return list(map(tuple, await loop.run_in_executor(self._tokenize_thread, encode, inputs)))

    async def _lookup_or_compute(self, keys: Sequence[Key]) -> tuple[Vectors, float]:
        """Return all vectors and the time of the passes it took."""
        known: list[Vector | None] = [self._cache.get(key) for key in keys]
        missing = _gaps(known)
        self._metrics.observe_sources(Source.LOCAL, len(keys) - len(missing))
        if missing and self._shared is not None:
            await self._look_elsewhere(self._shared, keys, missing, known)
            missing = _gaps(known)
        infer_s = 0.0
        if missing:
            texts, joined = await self._flights.compute([keys[i] for i in missing], math.inf)
            self._metrics.observe_sources(Source.JOINED, joined)
            self._metrics.observe_sources(Source.COMPUTED, len(texts) - joined)
            for index, text in zip(missing, texts, strict=True):
                known[index] = text.vector
            infer_s = sum(each.infer_s for each in {text.ran for text in texts} if each)
        return np.stack(cast("list[Vector]", known)), infer_s

    async def _look_elsewhere(
        self,
        shared: "SharedCache",
        keys: Sequence[Key],
        missing: Sequence[int],
        known: list[Vector | None],
    ) -> None:
        """Fill gaps from the shared cache, and the local one with what came from there."""
        found = await shared.get_many([keys[index] for index in missing])
        for index, vector in zip(missing, found, strict=True):
            if vector is not None:
                known[index] = vector
                self._cache.put(keys[index], vector)
        self._metrics.observe_sources(Source.SHARED, len(missing) - len(_gaps(found)))

    def _remember(self, text: Text) -> None:
        """Keep a fresh vector."""
        vector = cast("Vector", text.vector)
        self._cache.put(text.ids, vector)
        if self._shared is not None:
            self._shared.put(text.ids, vector)


def _gaps(vectors: Sequence[Vector | None]) -> list[int]:
    return [index for index, vector in enumerate(vectors) if vector is None]


def batch_limits(settings: Settings, device: str) -> Limits:
    """Resolve the size of a batch: a CPU gains nothing beyond some 100 tokens, a GPU does."""
    inputs, tokens = (512, 16384) if device == "cuda" else (16, 128)
    return Limits(
        settings.max_batch_inputs or inputs,
        settings.max_batch_tokens or tokens,
        settings.max_wait_ms / 1e3,
    )


def make_scheduler(
    settings: Settings, engine: Engine, limits: Limits, on_batch: BatchObserver
) -> Scheduler:
    """Build the scheduler that `settings.batching` names, running."""
    if settings.batching == "off":
        return ThreadPerRequest(engine, settings.request_threads, on_batch)
    batcher = DynamicBatcher(engine, limits, on_batch)
    batcher.start()
    return batcher
