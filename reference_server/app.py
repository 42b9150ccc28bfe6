"""HTTP: an ASGI application of seven routes. Every refusal is an OpenAI error envelope."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from reference_server import protocol
from reference_server.errors import RequestError
from reference_server.metrics import Metrics, Phases
from reference_server.protection.gate import Gate
from reference_server.protection.keys import Keys
from reference_server.service import Embedded, Service
from reference_server.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Result = TypeVar("Result")

log = logging.getLogger(__name__)

_JSON = b"application/json"
_METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_LOADING_RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers of a response."""

    body: bytes
    status: int = 200
    content_type: bytes = _JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class ClientGoneError(Exception):
    """Nobody is left to answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request and the way to its body."""

    headers: list[tuple[bytes, bytes]]
    receive: Receive
    began_s: float

    async def body(self, limit: int) -> bytes:
        """Read the whole body; RequestError 413 beyond `limit` bytes."""
        too_large = RequestError(
            413, f"the body is larger than {limit} bytes", code="body_too_large"
        )
        declared = next((value for key, value in self.headers if key == b"content-length"), b"0")
        if int(declared) > limit:
            raise too_large
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise too_large
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    async def unless_gone(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Finish `work`, or cancel it when the client hangs up (after the body was read)."""
        working = asyncio.ensure_future(work)
        watching = asyncio.ensure_future(self.receive())
        try:
            await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ClientGoneError
            return working.result()
        finally:
            watching.cancel()
            working.cancel()


class App:
    """The server's routes; `service` is None until the model is loaded and warm."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        started: MutableMapping[str, Any],
        keys: Keys | None = None,
    ) -> None:
        self.service: Service | None = None
        self._gate = Gate(settings, keys)
        self._settings = settings
        self._metrics = metrics
        self._facts = started
        self._routes: dict[str, tuple[str, Callable[[Request], Awaitable[Answer]]]] = {
            "/v1/embeddings": ("POST", self._embeddings),
            "/embedding": ("POST", self._embedding),
            "/v1/models": ("GET", self._models),
            "/healthz": ("GET", self._healthz),
            "/readyz": ("GET", self._readyz),
            "/info": ("GET", self._info),
            "/metrics": ("GET", self._metrics_text),
        }

    @property
    def routes(self) -> tuple[str, ...]:
        """The paths there are."""
        return tuple(self._routes)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        began = time.perf_counter()
        path: str = scope["path"]
        try:
            headers = scope["headers"]
            address = (scope.get("client") or ("unknown",))[0]
            self._gate.enter(path, headers, address, time.monotonic_ns())
            request = Request(headers, receive, began)
            answer = await self._dispatch(scope["method"], path, request)
        except ClientGoneError:
            answer = Answer(b"", 499)  # counted, never sent
        except RequestError as error:
            self._metrics.observe_refusal(error.code)
            answer = _refusal(error)
        except Exception:  # the boundary: a fault in here still answers in the envelope
            log.exception("fault while answering %s %r", scope["method"], path)
            answer = _refusal(_fault())
        route = path if path in self._routes else "other"
        self._metrics.observe_request(route, answer.status, time.perf_counter() - began)
        if answer.status != 499:
            await _send(answer, send, head_only=scope["method"] == "HEAD")

    async def _dispatch(self, method: str, path: str, request: Request) -> Answer:
        route = self._routes.get(path)
        if route is None:
            known = ", ".join(self._routes)
            raise RequestError(404, f"no route {path}; there are {known}", code="not_found")
        allowed, handler = route
        if method != allowed and not (method == "HEAD" and allowed == "GET"):
            raise RequestError(
                405,
                f"{path} takes {allowed}, got {method}",
                code="method_not_allowed",
                headers={"allow": allowed},
            )
        return await handler(request)

    def _loaded(self) -> Service:
        if self.service is None:
            raise RequestError(
                503,
                "the model is still loading",
                code="model_not_ready",
                kind="server_error",
                retry_after_s=_LOADING_RETRY_AFTER_S,
            )
        return self.service

    def _expires_s(self, request: Request) -> float:
        return request.began_s + self._gate.patience_s(request.headers)

    async def _embeddings(self, request: Request) -> Answer:
        service, expires_s = self._loaded(), self._expires_s(request)
        document = protocol.parse_json(await request.body(self._settings.max_body_bytes))
        asked = protocol.parse_embeddings(document, service.contract)
        done = await request.unless_gone(service.embed(asked.inputs, expires_s))
        began = time.perf_counter()
        body = protocol.format_embeddings(
            done.vectors, asked, service.contract.model, done.tokens, self._settings.serializer
        )
        return self._timed(body, done, began)

    async def _embedding(self, request: Request) -> Answer:
        service, expires_s = self._loaded(), self._expires_s(request)
        document = protocol.parse_json(await request.body(self._settings.max_body_bytes))
        text = protocol.parse_plain(document)
        done = await request.unless_gone(service.embed([text], expires_s))
        began = time.perf_counter()
        return self._timed(
            protocol.format_plain(done.vectors, self._settings.serializer), done, began
        )

    def _timed(self, body: bytes, done: Embedded, serialize_began: float) -> Answer:
        phases = Phases(
            done.queue_s, done.tokenize_s, done.infer_s, time.perf_counter() - serialize_began
        )
        self._metrics.observe_phases(phases)
        headers = [(b"server-timing", phases.server_timing().encode())]
        if done.degraded:
            headers.append((b"x-degraded", done.degraded.encode()))
        return Answer(body, headers=tuple(headers))

    async def _models(self, _: Request) -> Answer:
        name = self._facts["model"]
        card = {"id": name, "object": "model", "created": 0, "owned_by": "reference_server"}
        return Answer(orjson.dumps({"object": "list", "data": [card]}))

    async def _healthz(self, _: Request) -> Answer:
        return Answer(b'{"status":"alive"}')

    async def _readyz(self, _: Request) -> Answer:
        self._loaded()
        return Answer(b'{"status":"ready"}')

    async def _info(self, _: Request) -> Answer:
        loaded = self.service.facts if self.service else {}
        return Answer(orjson.dumps({**self._facts, "ready": self.service is not None, **loaded}))

    async def _metrics_text(self, _: Request) -> Answer:
        return Answer(self._metrics.render(), content_type=_METRICS_TYPE)


def _fault() -> RequestError:
    return RequestError(
        500, "internal error; the server's log has it", code="internal_error", kind="server_error"
    )


def _refusal(error: RequestError) -> Answer:
    headers = {**error.headers}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_s))
        headers["retry-after-ms"] = str(math.ceil(error.retry_after_s * 1e3))
    encoded = tuple((key.encode(), value.encode()) for key, value in headers.items())
    return Answer(protocol.format_error(error), error.status, headers=encoded)


async def _send(answer: Answer, send: Send, *, head_only: bool) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head_only else answer.body})
