"""More requests than the engine can take, and clients that leave."""

import asyncio
import json
import math
import threading
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from reference_server.app import App
from reference_server.errors import RequestError
from reference_server.protection.admission import Admission
from reference_server.protection.breaker import Breaker
from reference_server.protection.service_rate import ServiceRate
from reference_server.settings import settings_for


async def queued_inputs(house: Any, count: int) -> None:
    async with asyncio.timeout(30):
        while house.sample("queue_inputs") != count:  # noqa: ASYNC110  # a gauge has no event
            await asyncio.sleep(0)


class GatedEngine:
    """Answers only once it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.computed: list[int] = []

    def embed(self, texts: list[list[int]]) -> np.ndarray:
        self.entered.set()
        assert self.opened.wait(30)
        self.computed.extend(len(ids) for ids in texts)
        return np.zeros((len(texts), 2), np.float32)


@pytest.mark.parametrize("value", ["x", ["x"]], ids=["string", "list"])
@pytest.mark.parametrize("profile", ["baseline", "optimized"])
def test_a_full_queue_refuses_text_and_list_alike(
    value: object, profile: str, make_house: Callable[..., Any]
) -> None:
    """One runs, two wait, the queue of two is full: the fourth gets 429."""
    engine = GatedEngine()
    house = make_house("max_queue=2", "request_threads=1", engine=engine, profile=profile)

    async def crowd(client: httpx.AsyncClient) -> httpx.Response:
        def post(text: object) -> asyncio.Task[httpx.Response]:
            return asyncio.create_task(client.post("/v1/embeddings", json={"input": text}))

        running = post("first")
        await asyncio.to_thread(engine.entered.wait, 30)
        queued = [post("second"), post("third")]
        await queued_inputs(house, 2)
        refused = await post(value)
        engine.opened.set()
        answers = await asyncio.gather(running, *queued)
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        return refused

    refused = house.run(crowd)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "queue_full"
    assert int(refused.headers["retry-after"]) >= 1
    assert house.sample("requests_total", route="/v1/embeddings", status="429") == 1


def test_a_list_longer_than_the_queue_is_taken_when_nothing_waits(
    make_house: Callable[..., Any],
) -> None:
    assert make_house("max_queue=2").embed(["a"] * 5).status_code == 200


def test_a_client_that_left_is_not_computed(make_house: Callable[..., Any]) -> None:
    """Its text waited behind another; when its turn comes nobody computes it."""
    engine = GatedEngine()
    house = make_house(engine=engine)
    sent: list[str] = []

    async def main() -> None:
        asyncio.create_task(_call(house.app, "long running", sent, leaves=None))  # noqa: RUF006
        await asyncio.to_thread(engine.entered.wait, 30)
        leaves = asyncio.Event()
        leaver = asyncio.create_task(_call(house.app, "天" * 40, sent, leaves=leaves))
        await queued_inputs(house, 1)
        leaves.set()
        await leaver
        engine.opened.set()

    asyncio.run(main())
    house.close()
    assert 42 not in engine.computed
    assert house.sample("requests_total", route="/v1/embeddings", status="499") == 1


class Crowd:
    """One request runs in a shut engine and `waiting` others wait behind it."""

    def __init__(self, house: Any, client: httpx.AsyncClient) -> None:
        self._house = house
        self._client = client
        self._tasks: list[asyncio.Task[httpx.Response]] = []

    def post(self, text: object, **headers: str) -> asyncio.Task[httpx.Response]:
        asking = self._client.post("/v1/embeddings", json={"input": text}, headers=headers)
        return asyncio.create_task(asking)

    async def gather(self, waiting: int) -> None:
        self._tasks.append(self.post("runs"))
        await asyncio.to_thread(self._house.engine.entered.wait, 30)
        self._tasks += [self.post(f"waits {number}") for number in range(waiting)]
        await queued_inputs(self._house, waiting)

    async def answers(self) -> list[httpx.Response]:
        self._house.engine.opened.set()
        return await asyncio.gather(*self._tasks)


def test_what_expired_in_the_queue_is_not_computed(make_house: Callable[..., Any]) -> None:
    """Its time passes while the engine is busy: 504, and the engine never sees it."""
    house = make_house(engine=GatedEngine())

    async def crowd(client: httpx.AsyncClient) -> httpx.Response:
        others = Crowd(house, client)
        await others.gather(0)
        late = others.post("天" * 40, **{"x-request-deadline-ms": "50"})
        await asyncio.wait([late], timeout=0.1)  # it waits in the queue, or has given up there
        assert [answer.status_code for answer in await others.answers()] == [200]
        return await late

    late = house.run(crowd)
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert 42 not in house.engine.computed
    assert house.sample("refusals_total", code="deadline_exceeded") == 1


def test_under_overload_only_cached_texts_are_answered(make_house: Callable[..., Any]) -> None:
    """Marked as such; what is not in the cache is refused at once; afterwards all is as before."""
    engine = GatedEngine()
    house = make_house("degrade=cached", "degrade_queue=1", engine=engine)
    engine.opened.set()
    before = house.embed("known")
    engine.opened.clear()
    engine.entered.clear()

    async def crowd(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        others = Crowd(house, client)
        await others.gather(2)
        known, unknown = await others.post("known"), await others.post(["known", "new"])
        assert [answer.status_code for answer in await others.answers()] == [200] * 3
        return known, unknown

    known, unknown = house.run(crowd)
    assert (known.status_code, known.headers["x-degraded"]) == (200, "cached")
    assert known.json() == before.json()
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (429, "overloaded")
    assert int(unknown.headers["retry-after"]) >= 1
    assert "x-degraded" not in house.embed("known").headers
    assert house.sample("degraded_total", how="cached") == 1


@pytest.mark.parametrize("profile", ["baseline", "optimized"])
def test_under_overload_a_student_answers(profile: str, make_house: Callable[..., Any]) -> None:
    """Its answers are marked and not kept: the next time the model itself computes."""

    class Student:
        def embed(self, texts: list[list[int]]) -> np.ndarray:
            return np.ones((len(texts), 2), np.float32)

    house = make_house(
        "degrade=small", "degrade_queue=1", "request_threads=1",
        engine=GatedEngine(), student=Student(), profile=profile,
    )  # fmt: skip

    async def crowd(client: httpx.AsyncClient) -> list[httpx.Response]:
        others = Crowd(house, client)
        await others.gather(2)
        return await others.answers()

    answers = house.run(crowd)
    degraded = [answer.headers.get("x-degraded") for answer in answers]
    assert degraded[:2] == [None, "small"]
    assert answers[1].json()["data"][0]["embedding"] == [1, 1]
    again = house.embed("waits 0")
    assert "x-degraded" not in again.headers
    assert again.json()["data"][0]["embedding"] == [0, 0]


def test_a_failing_engine_is_left_alone(fake_engine: Any, make_house: Callable[..., Any]) -> None:
    """Two failures, then 503 without touching it; what is cached is still answered."""
    house = make_house("breaker_failures=2", "breaker_reset_s=3600")
    assert house.embed("known").status_code == 200
    fake_engine.error = RuntimeError("no memory")
    assert [house.embed(text).status_code for text in ("a", "b", "c", "known")] == [
        500, 500, 503, 200
    ]  # fmt: skip
    refused = house.embed("d")
    assert refused.json()["error"]["code"] == "engine_unavailable"
    assert 3590 < int(refused.headers["retry-after"]) <= 3600
    assert len(fake_engine.batches) == 3
    assert house.sample("breaker_open") == 1


def test_a_probe_closes_the_breaker(fake_engine: Any, make_house: Callable[..., Any]) -> None:
    house = make_house("breaker_failures=1", "breaker_reset_s=0.1")
    fake_engine.error = RuntimeError("no memory")
    assert house.embed("a").status_code == 500
    fake_engine.error = None
    while (answer := house.embed("b")).status_code == 503:
        assert int(answer.headers["retry-after-ms"]) <= 100
    assert answer.status_code == 200
    assert house.sample("breaker_open") == 0


class Queue:
    """A scheduler with so many texts and tokens ahead."""

    def __init__(self, waiting: int, tokens: int) -> None:
        self.waiting = waiting
        self._tokens = tokens

    def ahead(self, _: int) -> int:
        return self._tokens


@pytest.mark.parametrize(
    ("left_s", "tokens_ahead", "retry_after_s"),
    [
        pytest.param(0.31, 200, None, id="in-time"),
        pytest.param(0.25, 200, 0.05, id="too-late"),
        pytest.param(0.05, 0, None, id="idle-takes-all"),
        pytest.param(-1.0, 200, 1.30, id="past"),
        pytest.param(math.inf, 10**9, None, id="no-deadline"),
    ],
)
def test_what_cannot_be_ready_in_time_is_refused_at_once(
    left_s: float, tokens_ahead: int, retry_after_s: float | None
) -> None:
    """At 1000 tokens a second, 100 tokens behind 200 take 0.3 s."""
    rate = ServiceRate()
    rate.began(1000, 0)
    rate.ended(1000, 1)
    admission = Admission(
        settings_for("optimized"), Queue(5, tokens_ahead), Breaker(0, 1), rate, clock=lambda: 50.0
    )
    if retry_after_s is None:
        admission.compute([[1] * 100], 50.0 + left_s)
        return
    with pytest.raises(RequestError, match="it would take 300 ms") as refused:
        admission.compute([[1] * 100], 50.0 + left_s)
    assert refused.value.status == 429
    assert refused.value.retry_after_s == pytest.approx(retry_after_s)


async def _call(app: App, text: str, sent: list[str], leaves: asyncio.Event | None) -> None:
    body = json.dumps({"input": text}).encode()
    messages = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, object]:
        if messages:
            return messages.pop()
        await (leaves or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message["type"])

    scope = {"type": "http", "method": "POST", "path": "/v1/embeddings", "headers": []}
    await app(scope, receive, send)
