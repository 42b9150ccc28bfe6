"""The way of a request: tokenise -> cache -> queue -> engine, and back in order."""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import numpy as np

from reference_server.batcher import (
    BatchObserver,
    DynamicBatcher,
    Job,
    Limits,
    Scheduler,
    ThreadPerRequest,
)
from reference_server.cache import VectorCache
from reference_server.engines import Engine, Vectors
from reference_server.errors import RequestError
from reference_server.metrics import Metrics
from reference_server.protocol import Contract, Inputs
from reference_server.settings import Settings
from reference_server.tokenizer import Tokenizer

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
    ) -> None:
        self.contract = contract
        self.facts = facts
        self._tokenizer = tokenizer
        self._scheduler = scheduler
        self._max_queue = settings.max_queue
        self._cache = cache = VectorCache(settings.cache_entries)
        self._caching = settings.cache_entries > 0
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
        texts = await self._tokenize(inputs)
        tokenize_s = time.perf_counter() - began
        vectors, job = await self._lookup_or_compute(texts)
        return Embedded(
            vectors=vectors,
            tokens=sum(map(len, texts)),
            queue_s=job.queue_s if job else 0.0,
            tokenize_s=tokenize_s,
            infer_s=job.infer_s if job else 0.0,
        )

    def close(self) -> None:
        """Finish what was accepted and stop every thread."""
        self._tokenize_thread.shutdown()
        self._scheduler.close()

    async def _tokenize(self, inputs: Inputs) -> list[list[int]]:
        if not isinstance(inputs[0], str):
            return [self._tokenizer.complete(ids) for ids in inputs]
        if sum(map(len, inputs)) <= _INLINE_CHARACTERS:
            return [self._tokenizer.encode(text) for text in inputs]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._tokenize_thread, self._tokenizer.encode_many, inputs
        )

    async def _lookup_or_compute(self, texts: list[list[int]]) -> tuple[Vectors, Job | None]:
        if not self._caching:
            job = await self._compute(texts)
            return job.vectors, job
        known = [self._cache.get(ids) for ids in texts]
        missing = [index for index, vector in enumerate(known) if vector is None]
        self._metrics.cache_hits.inc(len(texts) - len(missing))
        self._metrics.cache_misses.inc(len(missing))
        if not missing:
            return np.stack(cast("list[Vectors]", known)), None
        job = await self._compute([texts[index] for index in missing])
        for index, vector in zip(missing, job.vectors, strict=True):
            known[index] = vector
            self._cache.put(texts[index], vector)
        return np.stack(cast("list[Vectors]", known)), job

    async def _compute(self, texts: list[list[int]]) -> Job:
        """Wait for the scheduler; when the client goes first, tell it so."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def settle() -> None:
            if not done.done():
                done.set_result(None)

        def wake(_: Job) -> None:
            loop.call_soon_threadsafe(settle)

        job = Job(texts, wake, time.perf_counter())
        self._scheduler.submit(job)
        try:
            await done
        except asyncio.CancelledError:
            job.abandoned = True
            raise
        if job.error is not None:
            raise job.error
        return job


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
