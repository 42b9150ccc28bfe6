"""Vectors in a Redis that several servers share. Its faults cost time once and nothing else."""

import asyncio
import hashlib
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence

import numpy as np
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from reference_server.errors import SetupError
from reference_server.metrics import Metrics
from reference_server.work import Vector

log = logging.getLogger(__name__)

_PREFIX = b"reference_server:"
_CONNECTIONS = 32
_FAULTS = (RedisError, OSError, TimeoutError)
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 10.0
_WRITES_PENDING = 256
"""More writes on their way than this are dropped: the cache is a help, not a duty."""

Sleep = Callable[[float], Awaitable[None]]


class SharedCache:
    """Reads and writes within `timeout_s`; after a fault it is left alone until it answers a ping.

    `namespace` says what computed the vectors (model, precision): servers with the same one
    share entries. Vectors are `dimension` little-endian float32 and live for `ttl_s`.
    Use from one event loop.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str,
        dimension: int,
        ttl_s: float,
        timeout_s: float,
        metrics: Metrics,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._redis = _connect(url, timeout_s)
        self._namespace = namespace.encode()
        self._bytes = dimension * 4
        self._ttl_ms = math.ceil(ttl_s * 1e3) if math.isfinite(ttl_s) else None
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._sleep = sleep
        self._up = True
        self._tasks: set[asyncio.Task[None]] = set()
        metrics.shared_cache_up.set(1)

    async def get_many(self, texts: Sequence[Sequence[int]]) -> list[Vector | None]:
        """Return what is known of each text; nothing while Redis is away."""
        if self._up:
            keys = [self._key(ids) for ids in texts]
            try:
                async with asyncio.timeout(self._timeout_s):
                    return [self._read(value) for value in await self._redis.mget(keys)]
            except _FAULTS as error:
                self._lost(error)
        return [None] * len(texts)

    def put(self, ids: Sequence[int], vector: Vector) -> None:
        """Store a vector in the background."""
        if self._up and len(self._tasks) < _WRITES_PENDING:
            self._background(self._write(self._key(ids), vector.astype("<f4").tobytes()))

    async def close(self) -> None:
        """Finish the writes that are on their way, then hang up."""
        if not self._up:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    def _key(self, ids: Sequence[int]) -> bytes:
        digest = hashlib.blake2b(self._namespace, digest_size=16)
        digest.update(b"\0" + np.asarray(ids, "<i4").tobytes())
        return _PREFIX + digest.hexdigest().encode()

    def _read(self, value: object) -> Vector | None:
        if not isinstance(value, bytes) or len(value) != self._bytes:
            return None  # absent, or not ours
        return np.frombuffer(value, "<f4")

    async def _write(self, key: bytes, value: bytes) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._redis.set(key, value, px=self._ttl_ms)
        except _FAULTS as error:
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        """Count a fault; the first one also starts the watch for its return."""
        self._metrics.shared_cache_faults.inc()
        if self._up:
            self._up = False
            self._metrics.shared_cache_up.set(0)
            log.warning(
                "shared cache lost, going on without: %s", str(error) or "no answer in time"
            )
            self._background(self._await_return())

    async def _await_return(self) -> None:
        """Ping now and then, ever more rarely, until there is an answer."""
        pause_s = _FIRST_RETRY_S
        while not self._up:
            await self._sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_RETRY_S)
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._redis.ping()
            except _FAULTS:
                continue
            self._up = True
            self._metrics.shared_cache_up.set(1)
            log.info("shared cache is back")

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _connect(url: str, timeout_s: float) -> "Redis":
    """Prepare connections without opening one; SetupError for a URL that is none."""
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=None,
            socket_connect_timeout=timeout_s,
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise SetupError(f"setting cache_url: {error}") from error
    return Redis.from_pool(pool)
