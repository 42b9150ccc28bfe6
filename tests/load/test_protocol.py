"""Requests as the services expect them; answers that are embeddings and answers that are not."""

import base64
import json
import math
import struct

import pytest

from slokit.errors import TargetError
from slokit.load.protocol import (
    PROTOCOLS,
    RequestEncoder,
    check_vectors,
    count_tokens,
    looks_complete,
)

OPENAI = PROTOCOLS["openai"]


def openai(*vectors, **more):
    rows = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    return json.dumps({"object": "list", "data": rows} | more).encode()


def packed(*numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


@pytest.mark.parametrize(
    ("changes", "texts", "document"),
    [
        pytest.param(
            {}, ["你好"], {"model": "m", "input": "你好", "encoding_format": "float"}, id="one"
        ),
        pytest.param(
            {"encoding_format": "base64"},
            ["a", "b"],
            {"model": "m", "input": ["a", "b"], "encoding_format": "base64"},
            id="two in base64",
        ),
        pytest.param({"protocol": "plain"}, ["a"], {"text": "a"}, id="plain"),
        pytest.param(
            {"protocol": "tei"}, ["a"], {"inputs": ["a"], "truncate": True}, id="always a list"
        ),
    ],
)
def test_documents(make_plan, changes, texts, document):
    encoder = RequestEncoder(make_plan(**changes), model="m", key=None)
    assert json.loads(encoder.body(texts)) == document


def request_of(plan, key=None):
    head, _, body = (
        RequestEncoder(plan, model="m", key=key).request(["好"], "00-t-s-01").partition(b"\r\n\r\n")
    )
    first, *lines = head.decode().split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines), body


def test_a_request_on_the_wire(make_plan):
    first, fields, body = request_of(make_plan(8000), key="k")
    assert first == "POST /v1/embeddings HTTP/1.1"
    assert fields == {
        "host": "127.0.0.1:8000",
        "content-type": "application/json",
        "accept": "application/json",
        "x-slokit-run": "test",
        "authorization": "Bearer k",
        "traceparent": "00-t-s-01",
        "content-length": str(len(body)),
    }


def test_headers_of_the_plan_replace_ours(make_plan):
    plan = make_plan(headers=(("Host", "front"), ("Authorization", "Basic x"), ("X-New", "1")))
    _, fields, _ = request_of(plan, key="k")
    assert (fields["host"], fields["authorization"], fields["x-new"]) == ("front", "Basic x", "1")


@pytest.mark.parametrize(
    ("url", "first"),
    [
        pytest.param("http://h:8", "POST http://h:8/v1/embeddings HTTP/1.1", id="whole URL"),
        pytest.param("https://h:8", "POST /v1/embeddings HTTP/1.1", id="inside a tunnel"),
    ],
)
def test_a_request_through_a_proxy(make_plan, url, first):
    assert request_of(make_plan(url=url, proxy="http://p:1"))[0] == first


def test_a_proxy_with_a_password_is_told_it(make_plan):
    plan = make_plan(url="http://h", proxy="http://u:p@p:1")
    assert request_of(plan)[1]["proxy-authorization"] == "Basic dTpw"


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        pytest.param("openai", openai([1.0]), True, id="openai"),
        pytest.param("openai", b" \n" + openai([1.0]) + b"\n", True, id="spaces around"),
        pytest.param("openai", openai(packed(1.0)), True, id="base64"),
        pytest.param("plain", b'{"embedding":[1]}', True, id="plain"),
        pytest.param("tei", b"[[1.0]]", True, id="tei"),
        pytest.param("openai", b"", False, id="nothing"),
        pytest.param("openai", openai([1.0])[:-1], False, id="cut off"),
        pytest.param("openai", b"<html>data embedding</html>", False, id="HTML"),
        pytest.param("openai", b'{"error": "data"}', False, id="an error"),
        pytest.param("openai", openai([math.nan, 1]), False, id="NaN first"),
        pytest.param("openai", openai([1, math.nan]), False, id="NaN later"),
        pytest.param("openai", openai([1]).replace(b"1", b"1,NaN"), False, id="NaN, no space"),
        pytest.param("openai", openai("AAANaNAA"), True, id="base64 that spells NaN"),
        pytest.param("tei", b'{"error":"x"}', False, id="tei error"),
    ],
)
def test_the_cheap_look(name, body, expected):
    assert looks_complete(PROTOCOLS[name], body) is expected


@pytest.mark.parametrize(
    ("name", "body", "count", "dim", "unit"),
    [
        pytest.param("openai", openai([0.6, 0.8]), 1, 2, True, id="one"),
        pytest.param("openai", openai([0.6, 0.8], [1, 0]), 2, 2, True, id="two"),
        pytest.param("openai", openai([3, 4]), 1, 2, False, id="not of unit length"),
        pytest.param("openai", openai(packed(0.6, 0.8)), 1, 2, True, id="base64"),
        pytest.param("plain", b'{"embedding":[0.6,0.8]}', 1, 2, True, id="plain"),
        pytest.param("openai", openai([1e300, 1e300]), 1, 2, False, id="a norm that overflows"),
        pytest.param("tei", b"[[1,0,0]]", 1, 3, True, id="tei"),
    ],
)
def test_embeddings(name, body, count, dim, unit):
    vectors = check_vectors(PROTOCOLS[name], body, count=count, dim=None)
    assert (vectors.dim, vectors.unit_norm) == (dim, unit)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"<html>  no\n", "the answer is no JSON: '<html> no'", id="HTML"),
        pytest.param(b"", "the answer is no JSON: ''", id="nothing"),
        pytest.param(b"\xff", "the answer is no JSON", id="not text"),
        pytest.param(b"[]", "holds no embeddings: '[]'", id="a list"),
        pytest.param(b'{"data":[{}]}', "holds no embeddings", id="empty item"),
        pytest.param(b'{"data":null}', "holds no embeddings", id="null"),
        pytest.param(openai([1, 2], [3, 4], [5, 6]), "got 3 embeddings for 2 texts", id="three"),
        pytest.param(openai([1, 2]), "got 1 embeddings for 2 texts", id="one"),
        pytest.param(openai([1], [2]), "got embeddings of dimension 1, expected 2", id="dim"),
        pytest.param(openai([1, 2], [1]), "dimension 1, 2, expected 2", id="two dims"),
        pytest.param(openai([], []), "dimension 0, expected 2", id="empty vectors"),
        pytest.param(openai([1, 2], [math.nan, 1]), "NaN or infinite", id="NaN"),
        pytest.param(openai([1, 2], [math.inf, 1]), "NaN or infinite", id="infinite"),
        pytest.param(openai([1, 2], [None, 1]), "NaN or infinite", id="null number"),
        pytest.param(openai([1, 2], [True, 1]), "holds no embeddings", id="booleans"),
        pytest.param(openai([1, 2], ["a", "b"]), "holds no embeddings", id="words"),
        pytest.param(openai([1, 2], "!!"), "holds no embeddings", id="no base64"),
        pytest.param(openai([1, 2], "AAAA"), "holds no embeddings", id="3 bytes in base64"),
        pytest.param(openai([1, 2], [[1], [2]]), "holds no embeddings", id="nested"),
        pytest.param(b"[" * 100_000, "the answer is no JSON", id="nested without end"),
        pytest.param(openai([1, 2], [10**400, 1]), "holds no embeddings", id="a huge integer"),
        pytest.param(b"x" * 500, f"'{'x' * 80}'...", id="a long body is cut"),
    ],
)
def test_answers_that_are_no_embeddings(body, message):
    with pytest.raises(TargetError) as refusal:
        check_vectors(OPENAI, body, count=2, dim=2)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_vectors_are_ordered_by_their_index():
    rows = [{"index": 1, "embedding": [0, 1, 0]}, {"index": 0, "embedding": [1, 0]}]
    with pytest.raises(TargetError, match="dimension 2, 3"):
        check_vectors(OPENAI, json.dumps({"data": rows}).encode(), count=2, dim=None)


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        pytest.param(openai([1], usage={"prompt_tokens": 6, "total_tokens": 6}), 6, id="usage"),
        pytest.param(b'{"usage":{"prompt_tokens" : 7}}', 7, id="a space before the colon"),
        pytest.param(openai([1]), None, id="none"),
        pytest.param(b'{"prompt_tokens":' + b"9" * 50, None, id="more than any service counts"),
        pytest.param(b'{"prompt_tokens": 5}' + b" " * 5000, None, id="too far from the end"),
    ],
)
def test_tokens(body, tokens):
    assert count_tokens(body) == tokens
