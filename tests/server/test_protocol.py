"""The OpenAI embeddings protocol: accepted, refused, written."""

import base64
import json
import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.errors import RequestError
from reference_server.protocol import (
    Contract,
    EmbeddingsRequest,
    format_embeddings,
    format_error,
    format_plain,
    parse_embeddings,
    parse_json,
    parse_plain,
)

Result = TypeVar("Result")

CONTRACT = Contract(model="m", dimension=768, vocabulary=21128, max_inputs=2048)


@pytest.mark.parametrize(
    ("document", "inputs", "encoding"),
    [
        pytest.param({"input": "好"}, ["好"], "float", id="string"),
        pytest.param({"input": ["a", "b"]}, ["a", "b"], "float", id="strings"),
        pytest.param({"input": [1, 2]}, [[1, 2]], "float", id="ids"),
        pytest.param({"input": [[1], [2, 3]]}, [[1], [2, 3]], "float", id="lists-of-ids"),
        pytest.param({"input": [0, 21127]}, [[0, 21127]], "float", id="first-and-last-id"),
        pytest.param({"input": " "}, [" "], "float", id="blank"),
        pytest.param({"input": ["a"] * 2048}, ["a"] * 2048, "float", id="most-inputs"),
        pytest.param({"input": [7] * 5000}, [[7] * 5000], "float", id="many-ids-are-one-input"),
        pytest.param({"input": "a", "model": "m"}, ["a"], "float", id="model"),
        pytest.param({"input": "a", "encoding_format": "base64"}, ["a"], "base64", id="base64"),
        pytest.param({"input": "a", "encoding_format": None}, ["a"], "float", id="null-encoding"),
        pytest.param({"input": "a", "dimensions": 768}, ["a"], "float", id="own-dimension"),
        pytest.param({"input": "a", "user": "u"}, ["a"], "float", id="user"),
    ],
)
def test_valid_requests(document: dict[str, object], inputs: list[object], encoding: str) -> None:
    assert parse_embeddings(document, CONTRACT) == EmbeddingsRequest(inputs, encoding)


REFUSED = [
    pytest.param(b"", 400, "invalid_json", None, "not valid JSON", id="empty-body"),
    pytest.param(b"{", 400, "invalid_json", None, "not valid JSON", id="cut"),
    pytest.param(b'{"input": NaN}', 400, "invalid_json", None, "not valid JSON", id="nan"),
    pytest.param(b'{"input": "\xff"}', 400, "invalid_json", None, "not valid JSON", id="utf-8"),
    pytest.param(
        rb'{"input": "\ud800"}', 400, "invalid_json", None, "surrogate", id="lone-surrogate"
    ),
    pytest.param(
        b'{"input": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "invalid_json", None, "", id="deep"
    ),
    pytest.param(b"[]", 400, "invalid_value", None, "JSON object, got a list", id="list-body"),
    pytest.param(b"null", 400, "invalid_value", None, "JSON object, got null", id="null-body"),
    pytest.param(b"{}", 400, "missing_field", "input", "input is missing", id="no-input"),
    pytest.param(b'{"input": ""}', 400, "empty_input", "input", "empty string", id="empty-text"),
    pytest.param(b'{"input": []}', 400, "empty_input", "input", "empty list", id="empty-list"),
    pytest.param(b'{"input": [[]]}', 400, "empty_input", "input", "input[0] is an", id="no-ids"),
    pytest.param(
        b'{"input": ["a", ""]}', 400, "empty_input", "input", "input[1] is an", id="one-empty"
    ),
    pytest.param(b'{"input": 5}', 400, "invalid_value", "input", "got a number", id="number"),
    pytest.param(b'{"input": {}}', 400, "invalid_value", "input", "got an object", id="object"),
    pytest.param(b'{"input": null}', 400, "invalid_value", "input", "got null", id="null"),
    pytest.param(b'{"input": [true]}', 400, "invalid_value", "input", "a boolean", id="boolean"),
    pytest.param(b'{"input": [1.5]}', 400, "invalid_value", "input", "a number", id="fraction"),
    pytest.param(
        b'{"input": ["a", 1]}', 400, "invalid_value", "input", "input[1] must be a string", id="mix"
    ),
    pytest.param(
        b'{"input": [1, "a"]}', 400, "invalid_value", "input", "input[1] must be a", id="mixed-ids"
    ),
    pytest.param(
        b'{"input": [[1], "a"]}',
        400,
        "invalid_value",
        "input",
        "input[1] must be",
        id="mixed-lists",
    ),
    pytest.param(
        b'{"input": [1, true]}', 400, "invalid_value", "input", "got a boolean", id="boolean-id"
    ),
    pytest.param(
        b'{"input": [[5], [21128]]}',
        400,
        "token_id_out_of_range",
        "input",
        "check_embedding_ctx_length=False",
        id="id-too-large",
    ),
    pytest.param(
        b'{"input": [-1]}', 400, "token_id_out_of_range", "input", "0 to 21127", id="negative-id"
    ),
    pytest.param(
        b'{"input": [99999999999999999999999]}', 400, "invalid_value", "input", "", id="huge-id"
    ),
    pytest.param(
        json.dumps({"input": ["a"] * 2049}).encode(),
        400,
        "too_many_inputs",
        "input",
        "2049 entries; at most 2048",
        id="too-many",
    ),
    pytest.param(
        b'{"input": "a", "model": "gpt"}',
        404,
        "model_not_found",
        "model",
        "serves 'm'",
        id="unknown-model",
    ),
    pytest.param(
        b'{"input": "a", "model": 5}', 400, "invalid_value", "model", "a string", id="model-type"
    ),
    pytest.param(
        b'{"input": "a", "encoding_format": "int8"}',
        400,
        "invalid_value",
        "encoding_format",
        "float or base64, got 'int8'",
        id="encoding",
    ),
    pytest.param(
        b'{"input": "a", "encoding_format": []}',
        400,
        "invalid_value",
        "encoding_format",
        "got []",
        id="encoding-type",
    ),
    pytest.param(
        b'{"input": "a", "dimensions": 128}',
        400,
        "invalid_value",
        "dimensions",
        "must be 768",
        id="dimensions",
    ),
    pytest.param(
        b'{"input": "a", "dimensions": 768.0}', 400, "invalid_value", "dimensions", "", id="float"
    ),
    pytest.param(b'{"input": "a", "user": 1}', 400, "invalid_value", "user", "", id="user-type"),
    pytest.param(
        b'{"input": "a", "inputs": "b"}',
        400,
        "unknown_field",
        "inputs",
        "allowed: input, model, encoding_format, dimensions, user",
        id="unknown-field",
    ),
]


@pytest.mark.parametrize(("body", "status", "code", "param", "message"), REFUSED)
def test_malformed_requests(
    body: bytes, status: int, code: str, param: str | None, message: str
) -> None:
    with pytest.raises(RequestError) as refused:
        parse_embeddings(parse_json(body), CONTRACT)
    error = refused.value
    assert (error.status, error.code, error.param) == (status, code, param)
    assert message in error.message
    assert json.loads(format_error(error)) == {
        "error": {
            "message": error.message,
            "type": "invalid_request_error",
            "param": param,
            "code": code,
        }
    }


@pytest.mark.parametrize(
    ("document", "code"),
    [
        pytest.param({}, "missing_field", id="missing"),
        pytest.param({"text": ""}, "empty_input", id="empty"),
        pytest.param({"text": ["a"]}, "invalid_value", id="list"),
        pytest.param({"text": None}, "invalid_value", id="null"),
    ],
)
def test_the_plain_route_needs_a_text(document: dict[str, object], code: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_plain(document)
    assert (refused.value.status, refused.value.code, refused.value.param) == (400, code, "text")


def outcome(work: Callable[[], Result]) -> Result | RequestError:
    """What `work` returns, or its refusal."""
    try:
        return work()
    except RequestError as error:
        return error


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(["input", "model", "encoding_format", "dimensions", "user", "x"])


@settings(deadline=None)
@given(st.dictionaries(FIELDS, JSON))
def test_any_object_is_accepted_or_refused_in_the_four_hundreds(
    document: dict[str, object],
) -> None:
    accepted = outcome(lambda: parse_embeddings(document, CONTRACT))
    if isinstance(accepted, RequestError):
        assert accepted.status in (400, 404)
        assert accepted.param in {"input", *document}
    else:
        assert accepted.inputs
        assert all(accepted.inputs)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    document = outcome(lambda: parse_json(body))
    if isinstance(document, RequestError):
        assert document.status == 400
    else:
        assert document == json.loads(body)


VECTORS = np.array([[0.1, -1.5, 3e-8], [1 / 3, 0.0, -0.0]], np.float32)


@pytest.mark.parametrize("serializer", ["json", "orjson"])
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_answers_carry_the_same_bits_in_every_form(serializer: str, encoding: str) -> None:
    request = EmbeddingsRequest(["a", "b"], encoding)
    answer = json.loads(format_embeddings(VECTORS, request, "m", 9, serializer))
    rows = [item.pop("embedding") for item in answer["data"]]
    assert answer == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0}, {"object": "embedding", "index": 1}],
        "model": "m",
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
    }
    read = [
        np.frombuffer(base64.b64decode(row), "<f4") if encoding == "base64" else np.float32(row)
        for row in rows
    ]
    assert np.array_equal(np.stack(read), VECTORS)


@pytest.mark.parametrize("serializer", ["json", "orjson"])
def test_the_plain_answer(serializer: str) -> None:
    answer = json.loads(format_plain(VECTORS[:1], serializer))
    assert np.array_equal(np.float32(answer["embedding"]), VECTORS[0])


def test_orjson_writes_float32_shortly() -> None:
    """The optimised form is what makes answers small: 0.1, not 0.10000000149011612."""
    assert b"[0.1,-1.5," in format_plain(VECTORS[:1], "orjson")
    assert math.isclose(
        orjson.loads(format_plain(VECTORS[:1], "json"))["embedding"][0], 0.1, rel_tol=1e-6
    )
