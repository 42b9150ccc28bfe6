"""The OpenAI embeddings protocol: what comes in, what goes out. Pure."""

import binascii
import json
from dataclasses import dataclass
from typing import cast

import orjson

from reference_server.engines import Vectors
from reference_server.errors import Code, RequestError

Inputs = list[str] | list[list[int]]

ENCODINGS = ("float", "base64")
_FIELDS = ("input", "model", "encoding_format", "dimensions", "user")


@dataclass(frozen=True, slots=True)
class Contract:
    """What this server accepts."""

    model: str
    dimension: int
    vocabulary: int
    max_inputs: int


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """A valid request; `inputs` holds texts or token ids, at least one, none empty."""

    inputs: Inputs
    encoding: str


def invalid(message: str, param: str | None, code: Code = "invalid_value") -> RequestError:
    """Build the refusal of one field, status 400."""
    return RequestError(400, message, code=code, param=param)


def parse_json(body: bytes) -> dict[str, object]:
    """Read a JSON object; refuses NaN, bad UTF-8, lone surrogates and deep nesting too."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"the body is not valid JSON: {error}", None, "invalid_json") from error
    if not isinstance(document, dict):
        raise invalid(f"the body must be a JSON object, got {_kind(document)}", None)
    return document


def parse_embeddings(document: dict[str, object], contract: Contract) -> EmbeddingsRequest:
    """Validate the body of POST /v1/embeddings; raises RequestError."""
    unknown = [key for key in document if key not in _FIELDS]
    if unknown:
        raise invalid(
            f"unknown field {unknown[0]!r}; allowed: {', '.join(_FIELDS)}",
            unknown[0],
            "unknown_field",
        )
    _check_model(document.get("model"), contract)
    _check_dimensions(document.get("dimensions"), contract)
    user = document.get("user")
    if user is not None and not isinstance(user, str):
        raise invalid(f"user must be a string, got {_kind(user)}", "user")
    encoding = document.get("encoding_format")
    if encoding is None:
        encoding = "float"
    if not isinstance(encoding, str) or encoding not in ENCODINGS:
        allowed = " or ".join(ENCODINGS)
        raise invalid(f"encoding_format must be {allowed}, got {encoding!r}", "encoding_format")
    return EmbeddingsRequest(_parse_input(document, contract), encoding)


def parse_plain(document: dict[str, object]) -> str:
    """Validate the body of POST /embedding, {"text": ...}; raises RequestError."""
    if "text" not in document:
        raise invalid("text is missing", "text", "missing_field")
    text = document["text"]
    if not isinstance(text, str):
        raise invalid(f"text must be a string, got {_kind(text)}", "text")
    if not text:
        raise invalid("text is empty", "text", "empty_input")
    return text


def _check_model(model: object, contract: Contract) -> None:
    if model is None:
        return
    if not isinstance(model, str):
        raise invalid(f"model must be a string, got {_kind(model)}", "model")
    if model != contract.model:
        raise RequestError(
            404,
            f"the model {model!r} does not exist; this server serves {contract.model!r}",
            code="model_not_found",
            param="model",
        )


def _check_dimensions(dimensions: object, contract: Contract) -> None:
    if dimensions is None:
        return
    if type(dimensions) is not int or dimensions != contract.dimension:
        raise invalid(
            f"dimensions must be {contract.dimension}: this model was not trained to be cut "
            f"shorter, got {dimensions!r}",
            "dimensions",
        )


def _parse_input(document: dict[str, object], contract: Contract) -> Inputs:
    if "input" not in document:
        raise invalid("input is missing", "input", "missing_field")
    value = document["input"]
    if isinstance(value, str):
        return [_check_text(value, "input")]
    if not isinstance(value, list):
        raise invalid(f"input must be a string or a list, got {_kind(value)}", "input")
    if not value:
        raise invalid("input is an empty list", "input", "empty_input")
    first = value[0]
    if type(first) is int:
        return [_check_ids(value, "input", contract.vocabulary)]
    if len(value) > contract.max_inputs:
        raise invalid(
            f"input has {len(value)} entries; at most {contract.max_inputs} are allowed",
            "input",
            "too_many_inputs",
        )
    if isinstance(first, list):
        return [
            _check_ids(ids, f"input[{index}]", contract.vocabulary)
            for index, ids in enumerate(value)
        ]
    return [_check_text(text, f"input[{index}]") for index, text in enumerate(value)]


def _check_text(text: object, place: str) -> str:
    if not isinstance(text, str):
        raise invalid(f"{place} must be a string like the others, got {_kind(text)}", "input")
    if not text:
        raise invalid(f"{place} is an empty string", "input", "empty_input")
    return text


def _check_ids(ids: object, place: str, vocabulary: int) -> list[int]:
    if not isinstance(ids, list):
        raise invalid(f"{place} must be a list of token ids, got {_kind(ids)}", "input")
    if not ids:
        raise invalid(f"{place} is an empty list", "input", "empty_input")
    for position, token in enumerate(ids):
        if type(token) is not int:
            raise invalid(
                f"{place}[{position}] must be a token id like the others, got {_kind(token)}",
                "input",
            )
        if not 0 <= token < vocabulary:
            raise invalid(
                f"{place}[{position}] is token id {token}, but this model's ids are 0 to "
                f"{vocabulary - 1}; ids of another tokenizer mean nothing here: send text "
                "(langchain: OpenAIEmbeddings(check_embedding_ctx_length=False))",
                "input",
                "token_id_out_of_range",
            )
    return cast("list[int]", ids)


def _kind(value: object) -> str:
    """Name a JSON value's type the way JSON does."""
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")


def format_embeddings(
    vectors: Vectors, request: EmbeddingsRequest, model: str, tokens: int, serializer: str
) -> bytes:
    """Write the answer; the base64 form is little-endian float32, as OpenAI sends it."""
    rows: list[object]
    if request.encoding == "base64":
        little = vectors.astype("<f4", copy=False)
        rows = [binascii.b2a_base64(row.data, newline=False).decode("ascii") for row in little]
    else:
        rows = vectors.tolist() if serializer == "json" else list(vectors)
    answer = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": row}
            for index, row in enumerate(rows)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return _dump(answer, serializer)


def format_plain(vectors: Vectors, serializer: str) -> bytes:
    """Write the answer of POST /embedding."""
    row = vectors[0].tolist() if serializer == "json" else vectors[0]
    return _dump({"embedding": row}, serializer)


def _dump(answer: object, serializer: str) -> bytes:
    if serializer == "json":
        return json.dumps(answer).encode()
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def format_error(error: RequestError) -> bytes:
    """Write OpenAI's error envelope."""
    envelope = {
        "message": error.message,
        "type": error.kind,
        "param": error.param,
        "code": error.code,
    }
    return orjson.dumps({"error": envelope})
