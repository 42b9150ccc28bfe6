"""What is asked of an embedding service and what counts as an answer. Pure: bytes in, bytes out.

Every answer is checked cheaply (complete, shaped like JSON, has the right keys), a sample
of them in full (count, dimension, finite numbers). Parsing each one would cost the
generator half of its rate and put its own delay into the latencies of others.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from slokit.conventions import RUN_ID_HEADER, TRACE_HEADER
from slokit.errors import TargetError
from slokit.load.plan import LoadPlan

_PROMPT_TOKENS = re.compile(rb'"prompt_tokens"\s*:\s*(\d{1,9})(?!\d)')
_NO_VECTORS: Final = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
_WINDOW: Final = 4096  # bytes at either end of an answer that are looked through
_NAN: Final = (b"[NaN", b",NaN", b" NaN")  # as json.dumps writes it; base64 has none of these
_MARK: Final = "\ue000 the text"  # stands for a text while the fixed part is built
_NUMBER_KINDS: Final = {float, int, type(None)}
UNIT_TOLERANCE: Final = 1e-2  # half precision and int8 stay well within


@dataclass(frozen=True, slots=True)
class Protocol:
    """One API of embedding services: request document, place of the vectors, look of an answer.

    Its default path is plan.PATHS.
    """

    document: Callable[[Sequence[str], str | None, str], Mapping[str, Any]]
    vectors: Callable[[Any], Any]
    opening: bytes
    marks: tuple[bytes, ...]


def _openai_request(texts: Sequence[str], model: str | None, encoding: str) -> dict[str, Any]:
    document = {"model": model or "", "input": texts[0] if len(texts) == 1 else list(texts)}
    return document | {"encoding_format": encoding}


def _openai_vectors(answer: Any) -> Any:
    items = sorted(answer["data"], key=lambda item: item["index"])
    return [item["embedding"] for item in items]


def _plain_request(texts: Sequence[str], _model: str | None, _encoding: str) -> dict[str, Any]:
    return {"text": texts[0]}


def _plain_vectors(answer: Any) -> Any:
    return [answer["embedding"]]


def _tei_request(texts: Sequence[str], _model: str | None, _encoding: str) -> dict[str, Any]:
    return {"inputs": list(texts), "truncate": True}


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "openai": Protocol(_openai_request, _openai_vectors, b"{", (b'"data"', b'"embedding"')),
    "plain": Protocol(_plain_request, _plain_vectors, b"{", (b'"embedding"',)),
    "tei": Protocol(_tei_request, lambda answer: answer, b"[", ()),
}


class RequestEncoder:
    """Turns texts into the bytes of a whole HTTP/1.1 request; the fixed part is built once.

    Headers of the plan replace ours of the same name. Through a proxy the target of a
    plain-text request is the whole URL (RFC 9112, 3.2.2).
    """

    def __init__(self, plan: LoadPlan, *, model: str | None, key: str | None) -> None:
        self._document = PROTOCOLS[plan.protocol].document
        self._model = model
        self._encoding = plan.encoding_format
        forwarded = plan.proxy is not None and plan.endpoint.scheme == "http"
        target = plan.endpoint.origin + plan.target_path if forwarded else plan.target_path
        headers = {
            "host": plan.endpoint.netloc,
            "content-type": "application/json",
            "accept": "application/json",
            RUN_ID_HEADER.lower(): plan.run_id,
        }
        if forwarded and (credentials := plan.proxy_credentials):
            headers["proxy-authorization"] = credentials
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        headers |= {name.lower(): value for name, value in plan.headers}
        lines = [f"POST {target} HTTP/1.1", *(f"{name}: {headers[name]}" for name in headers)]
        head = "\r\n".join(lines) + f"\r\n{TRACE_HEADER}: "
        self._head = head.encode("ascii")
        self._one, self._many = self._frame(1), self._frame(2)

    def _frame(self, count: int) -> tuple[str, str]:
        """What surrounds the texts in a document of one or of several: the same every time."""
        document = self._document([_MARK] * count, self._model, self._encoding)
        parts = json.dumps(document, ensure_ascii=False).split(encode_basestring(_MARK))
        return parts[0], parts[-1]

    def body(self, texts: Sequence[str]) -> bytes:
        """The JSON document that asks for the vectors of `texts`."""
        before, after = self._one if len(texts) == 1 else self._many
        return (before + ", ".join(map(encode_basestring, texts)) + after).encode()

    def request(self, texts: Sequence[str], traceparent: str) -> bytes:
        """Head and body, ready for the socket."""
        body = self.body(texts)
        return b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (
            self._head,
            traceparent.encode("ascii"),
            len(body),
            body,
        )


@dataclass(frozen=True, slots=True)
class Vectors:
    """What a full check found: dimension, tokens as the service counted them, unit length."""

    dim: int
    tokens: int | None
    unit_norm: bool


def looks_complete(protocol: Protocol, body: bytes) -> bool:
    """The cheap check of every answer: JSON of the right shape from end to end, no NaN."""
    head, tail = body[:64].lstrip(), body[-64:].rstrip()
    closing = b"}" if protocol.opening == b"{" else b"]"
    return (
        head.startswith(protocol.opening)
        and tail.endswith(closing)
        and all(body.find(mark, 0, _WINDOW) >= 0 for mark in protocol.marks)
        and not (b"N" in body and any(mark in body for mark in _NAN))
    )


def count_tokens(body: bytes) -> int | None:
    """`usage.prompt_tokens` near the end of an answer, without parsing it."""
    place = body.rfind(b'"prompt_tokens"', max(0, len(body) - _WINDOW))
    match = _PROMPT_TOKENS.match(body, place) if place >= 0 else None
    return int(match[1]) if match else None


def decode_vectors(protocol: Protocol, body: bytes) -> list[NDArray[np.float64]]:
    """The vectors of an answer, in the order of the texts. Raises TargetError without any."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise TargetError(f"the answer is no JSON: {_excerpt(body)}") from error
    try:
        return [_numbers(row) for row in protocol.vectors(answer)]
    except _NO_VECTORS as error:
        raise TargetError(f"the answer holds no embeddings: {_excerpt(body)}") from error


def check_vectors(protocol: Protocol, body: bytes, *, count: int, dim: int | None) -> Vectors:
    """The full check: `count` vectors of `dim` finite numbers (None: any one dimension).

    Raises TargetError with one line that says what was got and what was expected.
    """
    vectors = decode_vectors(protocol, body)
    if len(vectors) != count:
        raise TargetError(f"got {len(vectors)} embeddings for {count} texts")
    dims = {len(vector) for vector in vectors}
    if dims != {dim or len(vectors[0])} or dims == {0}:
        expected = "one dimension" if dim is None else str(dim)
        raise TargetError(
            f"got embeddings of dimension {', '.join(map(str, sorted(dims)))}, expected {expected}"
        )
    matrix = np.stack(vectors)
    if not np.isfinite(matrix).all():
        raise TargetError("an embedding holds NaN or infinite numbers")
    with np.errstate(over="ignore"):
        norms = np.linalg.norm(matrix, axis=1)
    unit = bool((np.abs(norms - 1) <= UNIT_TOLERANCE).all())
    return Vectors(dims.pop(), count_tokens(body), unit)


def _numbers(row: Any) -> NDArray[np.float64]:
    if isinstance(row, str):  # base64 of little-endian float32, as openai-python asks for
        return np.frombuffer(base64.b64decode(row, validate=True), "<f4").astype(np.float64)
    if not isinstance(row, list) or not set(map(type, row)) <= _NUMBER_KINDS:
        raise TypeError("an embedding is a list of numbers")
    return np.array(row, dtype=np.float64)  # null becomes NaN


def _excerpt(body: bytes, limit: int = 80) -> str:
    text = body[: 4 * limit].decode("utf-8", errors="replace")
    line = " ".join(text.split())
    return repr(line[:limit]) + ("..." if len(line) > limit else "")
