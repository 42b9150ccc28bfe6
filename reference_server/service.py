"""The way of a request: tokenise -> cache -> queue -> engine, and back in order."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from reference_server.cache import VectorCache
from reference_server.engines import Engine, Vectors
from reference_server.flights import Flights, Key
from reference_server.metrics import Metrics, Source
from reference_server.protection.admission import Admission, WatchedEngine, expired
from reference_server.protection.breaker import Breaker
from reference_server.protection.service_rate import ServiceRate
from reference_server.protocol import Contract, Inputs
from reference_server.scheduling import make_scheduler
from reference_server.settings import Settings
from reference_server.tokenizer import Tokenizer
from reference_server.work import ExpiredError, Limits, Pass, Text, Vector

if TYPE_CHECKING:
    from reference_server.shared_cache import SharedCache

_INLINE_CHARACTERS = 10_000
"""Longer requests are tokenised in a thread, or they would hold up everybody else's."""


Degraded = Literal["cached", "small"]
"""How an answer under overload came about."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors in the order of the inputs, and where the time went."""

    vectors: Vectors
    tokens: int
    queue_s: float
    tokenize_s: float
    infer_s: float
    degraded: Degraded | None = None


class Service:
    """A loaded model. Use from one event loop; only the scheduler's threads compute."""

    def __init__(
        self,
        *,
        contract: Contract,
        tokenizer: Tokenizer,
        engine: Engine,
        limits: Limits,
        settings: Settings,
        metrics: Metrics,
        facts: Mapping[str, object],
        shared_cache: "SharedCache | None" = None,
        student: Engine | None = None,
    ) -> None:
        self.contract = contract
        self.facts = facts
        self._tokenizer = tokenizer
        breaker = Breaker(settings.breaker_failures, settings.breaker_reset_s)
        rate = ServiceRate()
        self._scheduler = scheduler = make_scheduler(
            settings,
            WatchedEngine(engine, breaker, rate),
            limits,
            metrics.observe_batch,
            WatchedEngine(student, breaker, rate) if student else None,
        )
        self._admission = Admission(settings, scheduler, breaker, rate)
        self._cache = cache = VectorCache(settings.cache_entries, settings.cache_ttl_s or math.inf)
        self._shared = shared_cache
        share = settings.single_flight == "on"
        self._flights = Flights(scheduler, share=share, on_landed=self._remember)
        self._metrics = metrics
        self._tokenize_thread = ThreadPoolExecutor(1, thread_name_prefix="tokenize")
        metrics.watch(
            queue_inputs=lambda: scheduler.waiting,
            cache_entries=lambda: len(cache),
            breaker_open=lambda: breaker.open,
        )

    async def embed(self, inputs: Inputs, expires_s: float = math.inf) -> Embedded:
        """Embed a request's inputs; RequestError when it is refused.

        Past `expires_s` on time.perf_counter nobody is interested any more.
        """
        self._admission.enter(len(inputs))
        began = time.perf_counter()
        keys = await self._tokenize(inputs)
        tokenized = time.perf_counter()
        vectors, passes = await self._lookup_or_compute(keys, expires_s)
        waited_s = time.perf_counter() - tokenized if passes else 0.0
        # A pass that was joined began before this request did.
        infer_s = min(waited_s, sum(each.infer_s for each in passes))
        return Embedded(
            vectors=vectors,
            tokens=sum(map(len, keys)),
            queue_s=waited_s - infer_s,
            tokenize_s=tokenized - began,
            infer_s=infer_s,
            degraded=self._degraded(passes),
        )

    def _degraded(self, passes: AbstractSet[Pass]) -> Degraded | None:
        how: Degraded | None = None
        if any(each.degraded for each in passes):
            how = "small"
        elif not passes and self._admission.cached_only:
            how = "cached"
        if how:
            self._metrics.observe_degraded(how)
        return how

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

    async def _lookup_or_compute(
        self, keys: Sequence[Key], expires_s: float
    ) -> tuple[Vectors, AbstractSet[Pass]]:
        """Return all vectors and the passes it took."""
        known: list[Vector | None] = [self._cache.get(key) for key in keys]
        missing = _gaps(known)
        self._metrics.observe_sources(Source.LOCAL, len(keys) - len(missing))
        if missing and self._shared is not None:
            await self._look_elsewhere(self._shared, keys, missing, known)
            missing = _gaps(known)
        texts: Sequence[Text] = ()
        if missing:
            texts = await self._compute([keys[index] for index in missing], expires_s)
            for index, text in zip(missing, texts, strict=True):
                known[index] = text.vector
        passes = {text.ran for text in texts if text.ran}
        return np.stack(cast("list[Vector]", known)), passes

    async def _compute(self, keys: Sequence[Key], expires_s: float) -> Sequence[Text]:
        self._admission.compute(keys, expires_s)
        try:
            texts, joined = await self._flights.compute(keys, expires_s)
        except ExpiredError:
            raise expired() from None
        self._metrics.observe_sources(Source.JOINED, joined)
        self._metrics.observe_sources(Source.COMPUTED, len(texts) - joined)
        return texts

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
        """Keep a fresh vector, unless it is a student's."""
        if text.ran is None or text.ran.degraded:
            return
        vector = cast("Vector", text.vector)
        self._cache.put(text.ids, vector)
        if self._shared is not None:
            self._shared.put(text.ids, vector)


def _gaps(vectors: Sequence[Vector | None]) -> list[int]:
    return [index for index, vector in enumerate(vectors) if vector is None]
