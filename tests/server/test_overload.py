"""More requests than the engine can take, and clients that leave."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from reference_server.app import App


async def queued_inputs(house: Any, count: int) -> None:
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
