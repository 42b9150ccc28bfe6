"""Who may come in, over HTTP: keys, limits, deadlines' headers."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from reference_server.protection.keys import Keys

BODY = {"input": "a"}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        pytest.param("Bearer one", 200, id="key"),
        pytest.param("bearer  two ", 200, id="case-and-spaces"),
        pytest.param(None, 401, id="none"),
        pytest.param("Bearer three", 401, id="wrong"),
        pytest.param("Bearer", 401, id="no-key"),
        pytest.param("Basic one", 401, id="scheme"),
        pytest.param("one", 401, id="bare"),
    ],
)
def test_a_key_is_asked_for(
    header: str | None, status: int, make_house: Callable[..., Any]
) -> None:
    house = make_house(keys=Keys(["one", "two"]))
    headers = {} if header is None else {"authorization": header}
    answer = house.ask("POST", "/v1/embeddings", json=BODY, headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert house.sample("refusals_total", code="invalid_api_key") == 1


def test_probes_and_scrapers_need_no_key(make_house: Callable[..., Any]) -> None:
    house = make_house(keys=Keys(["one"]))
    statuses = {route: house.ask("GET", route).status_code for route in house.app.routes}
    assert {route for route, status in statuses.items() if status == 200} == {
        "/healthz", "/readyz", "/metrics"
    }  # fmt: skip
    assert set(statuses.values()) == {200, 401}
    assert house.ask("GET", "/nothing").status_code == 401


def test_a_caller_has_a_burst_and_then_waits(make_house: Callable[..., Any]) -> None:
    """One request in 1000 s: the third is told when; other routes and callers are not limited."""
    house = make_house("rate_limit_rps=0.001", "rate_burst=2", keys=Keys(["one", "two"]))

    def ask(key: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        return house.ask("POST", "/v1/embeddings", json=BODY, headers=headers)

    assert [ask("one").status_code for _ in range(3)] == [200, 200, 429]
    refused = ask("one")
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert 900_000 < int(refused.headers["retry-after-ms"]) <= 1_000_000
    assert 900 < int(refused.headers["retry-after"]) <= 1000
    assert ask("two").status_code == 200
    models = house.ask("GET", "/v1/models", headers={"authorization": "Bearer one"})
    assert models.status_code == 200


def test_without_keys_the_address_is_the_caller(make_house: Callable[..., Any]) -> None:
    house = make_house("rate_limit_rps=0.001")
    assert [house.embed("a").status_code for _ in range(2)] == [200, 429]
    refused = house.ask("POST", "/embedding", json={"text": "a"})
    assert refused.status_code == 429


@pytest.mark.parametrize("text", ["x", "", "0", "-5", "nan"])
def test_a_deadline_that_is_none_is_refused(text: str, make_house: Callable[..., Any]) -> None:
    answer = make_house().ask(
        "POST", "/v1/embeddings", json=BODY, headers={"x-request-deadline-ms": text}
    )
    assert answer.status_code == 400
    assert "X-Request-Deadline-Ms must be" in answer.json()["error"]["message"]


def test_a_deadline_far_away_changes_nothing(make_house: Callable[..., Any]) -> None:
    answer = make_house("deadline_ms=3600000").ask(
        "POST", "/v1/embeddings", json=BODY, headers={"x-request-deadline-ms": "1e6"}
    )
    assert answer.status_code == 200
