"""The shared cache against a real redis-server: what is shared, and what its faults cost."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from reference_server.errors import SetupError
from reference_server.metrics import Metrics
from reference_server.shared_cache import SharedCache

WAIT_S = 30
ROW = np.array([0.25, -1.5], np.float32)


class RedisServer:
    """A redis-server of our own on a Unix socket, without a file or a TCP port."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self.client = redis.Redis.from_url(self.url)
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", "0", "--unixsocket", str(self._socket)]
        self.process = subprocess.Popen(
            [*command, "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            try:
                self.client.ping()
            except redis.ConnectionError:
                continue
            return
        pytest.fail("redis-server did not start")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    running = RedisServer(tmp_path)
    yield running
    running.client.close()
    running.stop()


class Patience:
    """A sleep that lasts until it is allowed to end, and says how long it was meant to be."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._may_end = asyncio.Semaphore(0)

    async def __call__(self, pause_s: float) -> None:
        self.asked.append(pause_s)
        await self._may_end.acquire()

    def end(self) -> None:
        self._may_end.release()


def opened(url: str, metrics: Metrics | None = None, **changes: Any) -> SharedCache:
    given: dict[str, Any] = {
        "namespace": "model int8",
        "dimension": 2,
        "ttl_s": float("inf"),
        "timeout_s": 5.0,
        "metrics": metrics or Metrics(),
    }
    return SharedCache(url, **(given | changes))


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def value(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(f"reference_server_{name}")


async def settled(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  # sockets tell no event
            await asyncio.sleep(0.001)


def test_servers_of_one_model_share_vectors(server: RedisServer) -> None:
    """The bits survive; another model or precision finds nothing; order and gaps are kept."""

    async def main() -> None:
        one, two = opened(server.url), opened(server.url)
        other = opened(server.url, namespace="model fp32")
        one.put([101, 7, 102], ROW)
        await one.close()
        found = await two.get_many([[101, 8, 102], [101, 7, 102]])
        assert found[0] is None
        assert found[1] is not None
        assert np.array_equal(found[1], ROW)
        assert await other.get_many([[101, 7, 102]]) == [None]
        await two.close()
        await other.close()

    run(main())
    (key,) = server.client.keys()
    assert key.startswith(b"reference_server:")
    assert server.client.ttl(key) == -1


def test_ids_are_not_confused_by_their_digits(server: RedisServer) -> None:
    async def main() -> None:
        cache = opened(server.url)
        cache.put([1, 23], ROW)
        await cache.close()
        cache = opened(server.url)
        assert await cache.get_many([[12, 3], [1, 2, 3], [123]]) == [None] * 3
        await cache.close()

    run(main())


def test_the_time_to_live_is_redis_own(server: RedisServer) -> None:
    async def main() -> None:
        cache = opened(server.url, ttl_s=1000.0)
        cache.put([1], ROW)
        await cache.close()

    run(main())
    (key,) = server.client.keys()
    assert 900_000 < server.client.pttl(key) <= 1_000_000


def test_what_is_not_a_vector_of_this_size_is_nothing(server: RedisServer) -> None:
    async def main() -> None:
        cache = opened(server.url)
        cache.put([1], ROW)
        await cache.close()
        server.client.set(server.client.keys()[0], b"spoilt")
        cache = opened(server.url)
        assert await cache.get_many([[1]]) == [None]
        await cache.close()

    run(main())


def test_a_dead_redis_costs_one_fault_and_comes_back(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning, then no use at all until a ping is answered; pauses grow."""
    caplog.set_level("INFO", "reference_server.shared_cache")

    async def main() -> None:
        metrics, sleep = Metrics(), Patience()
        cache = opened(server.url, metrics, sleep=sleep)
        cache.put([1], ROW)
        await settled(lambda: server.client.dbsize() == 1)
        server.stop()
        assert await cache.get_many([[1]]) == [None]
        assert await cache.get_many([[1], [2]]) == [None, None]
        cache.put([2], ROW)
        assert value(metrics, "shared_cache_faults_total") == 1
        assert value(metrics, "shared_cache_up") == 0
        sleep.end()
        await settled(lambda: len(sleep.asked) == 2)
        assert sleep.asked == [0.1, 0.2]
        server.start()
        sleep.end()
        await settled(lambda: value(metrics, "shared_cache_up") == 1)
        cache.put([3], ROW)
        await settled(lambda: server.client.dbsize() == 1)
        await cache.close()

    run(main())
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "going on without" in caplog.text


def test_a_redis_that_hangs_costs_the_limit_once() -> None:
    """It accepts and says nothing: the wait ends after `timeout_s`, the next is none."""

    async def main(url: str) -> None:
        metrics = Metrics()
        cache = opened(url, metrics, timeout_s=0.02, sleep=Patience())
        assert await cache.get_many([[1]]) == [None]
        assert await cache.get_many([[1]]) == [None]
        assert value(metrics, "shared_cache_faults_total") == 1
        await cache.close()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        run(main(f"redis://127.0.0.1:{silent.getsockname()[1]}"))


def test_a_client_that_leaves_in_the_middle_spoils_nothing(server: RedisServer) -> None:
    """The answer to its lookup must not reach the next one that uses the connection."""

    async def main() -> None:
        cache = opened(server.url)
        cache.put([1], ROW)
        cache.put([2], 2 * ROW)
        await settled(lambda: server.client.dbsize() == 2)
        server.client.client_pause(200)  # ms; then it answers late
        leaver = asyncio.create_task(cache.get_many([[1]]))
        await asyncio.sleep(0.01)
        leaver.cancel()
        await asyncio.wait([leaver])
        assert leaver.cancelled()
        for _ in range(3):
            (found,) = await cache.get_many([[2]])
            assert found is not None
            assert np.array_equal(found, 2 * ROW)
        await cache.close()

    run(main())


def test_a_wrong_url_is_refused() -> None:
    with pytest.raises(SetupError, match="setting cache_url: "):
        opened("redis://host:port")


def test_live_servers_share_and_survive_its_loss(
    server: RedisServer, start_server: Callable[..., Any]
) -> None:
    """The second server answers from the first one's work, then goes on without Redis."""
    arguments = ("--seeded-shape", "tiny", "--set", f"cache_url={server.url}")
    first, second = (start_server(*arguments).wait_ready() for _ in range(2))
    asked = {"input": ["今天", "明天"]}
    vectors = first.client.post("/v1/embeddings", json=asked).json()["data"]
    deadline = time.monotonic() + WAIT_S
    while server.client.dbsize() < 2 and time.monotonic() < deadline:
        pass
    assert second.client.post("/v1/embeddings", json=asked).json()["data"] == vectors
    metrics = second.client.get("/metrics").text
    assert 'cache_lookups_total{result="shared_hit"} 2.0' in metrics
    assert "reference_server_batch_inputs_count 0.0" in metrics
    server.stop()
    answer = second.client.post("/v1/embeddings", json={"input": "后天"})
    assert answer.status_code == 200
    assert "reference_server_shared_cache_up 0.0" in second.client.get("/metrics").text
    second.process.terminate()
    code, log = second.end()
    assert (code, log.count("shared cache lost")) == (0, 1)
