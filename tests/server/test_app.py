"""The HTTP application in process: routes, refusals, gate, queue rule, cache, metrics."""

import json
import math
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.batcher import DynamicBatcher
from reference_server.scheduling import make_scheduler
from reference_server.settings import settings_for
from reference_server.work import Limits


@pytest.mark.parametrize("profile", ["baseline", "optimized"])
def test_an_answer(profile: str, make_house: Callable[..., Any]) -> None:
    """Inputs in order; usage counts tokens with [CLS] and [SEP]."""
    answer = make_house(profile=profile).embed(["你好", "a", "天天天"]).json()
    assert [item["embedding"] for item in answer["data"]] == [[101, 4], [101, 3], [101, 5]]
    assert answer["usage"] == {"prompt_tokens": 12, "total_tokens": 12}


def test_the_plain_route(make_house: Callable[..., Any]) -> None:
    answer = make_house().ask("POST", "/embedding", json={"text": "你好"})
    assert answer.json() == {"embedding": [101, 4]}
    assert "infer;dur=" in answer.headers["server-timing"]


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code", "headers"),
    [
        pytest.param(
            "GET", "/v1/embeddings", {}, 405, "method_not_allowed", {"allow": "POST"}, id="get"
        ),
        pytest.param(
            "DELETE", "/info", {}, 405, "method_not_allowed", {"allow": "GET"}, id="delete"
        ),
        pytest.param("GET", "/", {}, 404, "not_found", {}, id="root"),
        pytest.param("POST", "/v1/embeddings/", {}, 404, "not_found", {}, id="slash"),
        pytest.param(
            "POST", "/v1/embeddings", {"content": b"{"}, 400, "invalid_json", {}, id="json"
        ),
        pytest.param("POST", "/embedding", {"json": {}}, 400, "missing_field", {}, id="no-text"),
        pytest.param(
            "POST",
            "/v1/embeddings",
            {"json": {"input": "a", "model": "x"}},
            404,
            "model_not_found",
            {},
            id="model",
        ),
        pytest.param(
            "POST", "/v1/embeddings", {"content": b" " * 1025}, 413, "body_too_large", {}, id="body"
        ),
    ],
)
def test_refusals_are_envelopes(
    method: str,
    path: str,
    content: dict[str, object],
    status: int,
    code: str,
    headers: dict[str, str],
    make_house: Callable[..., Any],
) -> None:
    answer = make_house("max_body_bytes=1024").ask(method, path, **content)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}
    assert headers.items() <= dict(answer.headers).items()


def test_a_body_without_a_length_is_limited_too(make_house: Callable[..., Any]) -> None:
    async def chunks() -> object:
        for _ in range(5):
            yield b" " * 300

    answer = make_house("max_body_bytes=1024").ask("POST", "/v1/embeddings", content=chunks())
    assert answer.status_code == 413


def test_the_gate(make_house: Callable[..., Any]) -> None:
    """Alive at once, ready only with a model; until then 503 with Retry-After."""
    house = make_house()
    house.app.service = None
    assert house.ask("GET", "/healthz").status_code == 200
    assert house.ask("GET", "/info").json()["ready"] is False
    assert house.ask("GET", "/metrics").status_code == 200
    for answer in (house.ask("GET", "/readyz"), house.embed("a")):
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "model_not_ready"
        assert int(answer.headers["retry-after"]) > 0
    house.app.service = house.service
    assert house.ask("GET", "/readyz").status_code == 200
    assert house.ask("GET", "/info").json()["weights"] == "fake"


def test_head_has_no_body(make_house: Callable[..., Any]) -> None:
    answer = make_house().ask("HEAD", "/healthz")
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_fault_of_the_engine_is_an_envelope_too(
    fake_engine: object, make_house: Callable[..., Any]
) -> None:
    fake_engine.error = RuntimeError("secret detail")
    answer = make_house().embed("a")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text


def test_the_cache_answers_repeats(fake_engine: object, make_house: Callable[..., Any]) -> None:
    """Only what is new is computed, order is kept, and the metrics count it."""
    house = make_house()
    first = house.embed(["a", "bb", "a"]).json()["data"]
    again = house.embed(["bb", "ccc", "a"]).json()["data"]
    assert [item["embedding"][1] for item in again] == [4, 5, 3]
    assert first[0]["embedding"] == first[2]["embedding"] == again[2]["embedding"]
    assert sum(map(len, fake_engine.batches)) == 3
    assert house.sample("cache_lookups_total", result="hit") == 2
    assert house.sample("cache_lookups_total", result="joined") == 1
    assert house.sample("cache_lookups_total", result="miss") == 3
    assert house.sample("cache_entries") == 3
    assert house.sample("cache_hit_ratio") == pytest.approx(0.5)


def test_what_is_all_cached_needs_no_engine(
    fake_engine: object, make_house: Callable[..., Any]
) -> None:
    house = make_house()
    house.embed(["a", "bb"])
    again = house.embed(["bb", "a"])
    assert [item["embedding"][1] for item in again.json()["data"]] == [4, 3]
    assert "queue;dur=0.000" in again.headers["server-timing"]
    assert "infer;dur=0.000" in again.headers["server-timing"]
    assert len(fake_engine.batches) == 1


def test_without_a_cache_everything_is_computed(
    fake_engine: object, make_house: Callable[..., Any]
) -> None:
    house = make_house("cache_entries=0")
    house.embed("a")
    house.embed("a")
    assert len(fake_engine.batches) == 2
    assert house.sample("cache_lookups_total", result="hit") == 0
    assert house.sample("cache_hit_ratio") == 0


def test_before_any_text_there_is_no_hit_ratio(make_house: Callable[..., Any]) -> None:
    assert math.isnan(make_house().sample("cache_hit_ratio"))


def test_the_metrics_count_what_happened(make_house: Callable[..., Any]) -> None:
    house = make_house("cache_entries=0")
    house.embed(["你好", "天"])
    house.embed("")
    house.ask("GET", "/secret-path")
    assert house.sample("requests_total", route="/v1/embeddings", status="200") == 1
    assert house.sample("requests_total", route="/v1/embeddings", status="400") == 1
    assert house.sample("requests_total", route="other", status="404") == 1
    assert house.sample("request_duration_seconds_count", route="/v1/embeddings") == 2
    assert house.sample("batch_inputs_sum") == 2
    assert house.sample("batch_tokens_sum") == 7
    assert house.sample("batch_inputs_count") == 1
    for phase in ("queue", "tokenize", "infer", "serialize"):
        assert house.sample("phase_duration_seconds_count", phase=phase) == 1
    assert house.sample("queue_inputs") == 0
    text = house.ask("GET", "/metrics").text
    assert 'request_duration_seconds_bucket{le="0.15",route="/v1/embeddings"}' in text
    assert "secret-path" not in text


def test_server_timing_never_exceeds_the_wall(make_house: Callable[..., Any]) -> None:
    house = make_house()
    answer = house.embed(["a", "b"])
    found = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"]))
    assert list(found) == ["queue", "tokenize", "infer", "serialize"]
    total_s = house.sample("request_duration_seconds_sum", route="/v1/embeddings")
    assert 0 < sum(map(float, found.values())) / 1e3 <= total_s + 1e-6


def test_long_inputs_are_tokenised_aside_with_the_same_result(
    make_house: Callable[..., Any],
) -> None:
    answer = make_house().embed(["天" * 9000, "a", "地" * 2000]).json()
    assert [item["embedding"][1] for item in answer["data"]] == [512, 3, 512]


def test_ids_are_completed(make_house: Callable[..., Any]) -> None:
    answer = make_house().embed([[500, 600], [101, 7, 102]]).json()
    assert [item["embedding"] for item in answer["data"]] == [[101, 4], [101, 3]]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 30000) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
BODIES = st.one_of(
    st.binary(max_size=40),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"input": JSON}, optional={"encoding_format": JSON, "dimensions": JSON, "model": JSON}
    ).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({"text": JSON}).map(lambda value: json.dumps(value).encode()),
)


@settings(deadline=None)
@given(path=st.sampled_from(["/v1/embeddings", "/embedding"]), body=BODIES)
def test_no_body_whatever_is_a_server_error(house_type: Any, path: str, body: bytes) -> None:
    house = house_type(SimpleNamespace(embed=lambda texts: np.zeros((len(texts), 2), np.float32)))
    try:
        answer = house.ask("POST", path, content=body)
    finally:
        house.close()
    assert answer.status_code in (200, 400, 404)
    assert answer.status_code == 200 or set(answer.json()) == {"error"}


def test_the_switch_picks_the_scheduler(fake_engine: object) -> None:
    batcher = make_scheduler(
        settings_for("optimized"), fake_engine, Limits(16, 128), lambda *_: None
    )
    assert isinstance(batcher, DynamicBatcher)
    batcher.close()
