"""Before load: is the service there, and does it answer with embeddings?

One request per text class, checked in full; for users with Locust's own clients, any answer
will do. What is wrong with the target is said once and clearly here, instead of as ten
thousand failed samples.
"""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from slokit.errors import TargetError
from slokit.load.plan import LoadPlan, api_key, tls_context
from slokit.load.protocol import PROTOCOLS, RequestEncoder, check_vectors
from slokit.load.scenario import LOCUST
from slokit.load.texts import TextSource

MAX_INFO_BYTES: Final = 64 * 1024
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
POLL_S: Final = 0.5
_HTTP_HINTS: Final = {
    401: "pass a key with --api-key-env VAR",
    403: "pass a key with --api-key-env VAR",
    404: "choose the route with --path or --protocol openai|plain|tei",
    405: "choose the route with --path or --protocol openai|plain|tei",
    429: "the service limits its clients; raise its limit for the test",
}


@dataclass(frozen=True)
class Target:
    """A service that answered. `latency_s` is the slowest of the checked requests."""

    model: str | None
    dim: int
    info: dict[str, Any] | None
    latency_s: float
    warnings: tuple[str, ...]


def preflight(
    plan: LoadPlan, *, wait_ready_s: float = 0.0, sleep: Callable[[float], None] = time.sleep
) -> Target:
    """Check the target of a plan; wait up to `wait_ready_s` for it to become ready first.

    Raises TargetError with what was got and what was expected, UsageError for a missing
    key or certificate.
    """
    with _client(plan) as client:
        warnings = [f"requests go through the proxy {_shown(plan.proxy)}"] if plan.proxy else []
        if wait_ready_s > 0:
            _wait_ready(client, plan, time.monotonic() + wait_ready_s, sleep)
        if plan.client == LOCUST:
            _answers(client, plan)
            return Target(plan.model, plan.dim or 0, _info(client, plan), 0.0, tuple(warnings))
        model = plan.model or _first_model(client, plan)
        source = TextSource.of(plan)
        dim, latency_s = plan.dim, 0.0
        for name in plan.mix:
            started = time.monotonic()
            vectors = _one_request(client, plan, model, source.examples(name, plan.batch), dim)
            latency_s = max(latency_s, time.monotonic() - started)
            dim = vectors.dim
            if not vectors.unit_norm:
                warnings.append(f"the embeddings of {name} texts are not of unit length")
        warnings += source.shortages(plan.expected_texts)
        return Target(model, dim or 0, _info(client, plan), latency_s, tuple(warnings))


def _answers(client: httpx.Client, plan: LoadPlan) -> None:
    """Raise unless something answers HTTP; what the users of the file will ask is not known."""
    path = plan.endpoint.base_path or "/"
    with _failures_named(plan, path), client.stream("GET", path):
        return


@contextmanager
def _client(plan: LoadPlan) -> Iterator[httpx.Client]:
    headers = dict(plan.headers)
    if key := api_key(plan):
        headers["Authorization"] = f"Bearer {key}"
    limit = httpx.Timeout(plan.timeout_s, connect=min(plan.timeout_s, plan.connect_timeout_s))
    with httpx.Client(
        base_url=plan.endpoint.origin,
        headers=headers,
        timeout=limit,
        verify=tls_context(plan, ssl.SSLContext),
        proxy=plan.proxy,
        trust_env=False,
        follow_redirects=False,
    ) as client:
        yield client


def _shown(proxy: str | None) -> str:
    return httpx.URL(proxy or "").copy_with(username=None, password=None).host


@contextmanager
def _failures_named(plan: LoadPlan, path: str) -> Iterator[None]:
    """Turn every way a request can fail into one line about the target."""
    where = f"{plan.endpoint.origin}{path}"
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise TargetError(f"{where} did not accept a connection in time") from error
    except httpx.TimeoutException as error:
        raise TargetError(f"{where} gave no answer within {plan.timeout_s:g} s") from error
    except httpx.ConnectError as error:
        raise TargetError(f"cannot connect to {where}: {_reason(error)}") from error
    except httpx.HTTPError as error:
        what = str(error) or type(error).__name__
        raise TargetError(f"{where} broke off its answer: {what}") from error


def _reason(error: BaseException) -> str:
    """The system's words below httpx's, with advice for TLS."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"{cause.verify_message} (trust it with --ca-cert FILE, or --insecure)"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed ({cause.reason or cause}); is it https at all?"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error)


def _wait_ready(
    client: httpx.Client, plan: LoadPlan, deadline: float, sleep: Callable[[float], None]
) -> None:
    """Poll `/readyz` until it says 200; a service without one is asked for an embedding."""
    path = plan.endpoint.base_path + "/readyz"
    said = "nothing"
    while True:
        try:
            with _failures_named(plan, path), client.stream("GET", path) as answer:
                status = answer.status_code
            if status == httpx.codes.OK or status in (401, 403, 405):
                return
            if status == httpx.codes.NOT_FOUND and plan.client == LOCUST:
                return
            if status == httpx.codes.NOT_FOUND:
                _wait_answer(client, plan, deadline, sleep)
                return
            said = f"HTTP {status}"
        except TargetError as error:
            said = str(error)
        if time.monotonic() >= deadline:
            raise TargetError(f"{plan.url} did not become ready in time; it last said: {said}")
        sleep(POLL_S)


def _wait_answer(
    client: httpx.Client, plan: LoadPlan, deadline: float, sleep: Callable[[float], None]
) -> None:
    source = TextSource.of(plan)
    name = next(iter(plan.mix))
    while True:
        try:
            model = plan.model or _first_model(client, plan)
            _one_request(client, plan, model, source.examples(name, 1), plan.dim)
        except TargetError:
            if time.monotonic() >= deadline:
                raise
        else:
            return
        sleep(POLL_S)


def _first_model(client: httpx.Client, plan: LoadPlan) -> str | None:
    """The first name of `/v1/models`; None where the protocol needs none or nobody says."""
    if plan.protocol != "openai":
        return None
    path = plan.endpoint.base_path + "/v1/models"
    with _failures_named(plan, path):
        document = _small_json(client, path)
    try:
        return str(document["data"][0]["id"]) if document else None
    except (KeyError, IndexError, TypeError):
        return None


def _info(client: httpx.Client, plan: LoadPlan) -> dict[str, Any] | None:
    """What the service says about itself at `/info`; None when it does not."""
    path = plan.endpoint.base_path + "/info"
    try:
        with _failures_named(plan, path):
            return _small_json(client, path)
    except TargetError:
        return None  # it just answered an embedding: a missing self-description is no fault


def _small_json(client: httpx.Client, path: str) -> dict[str, Any] | None:
    with client.stream("GET", path) as answer:
        if answer.status_code != httpx.codes.OK:
            return None
        body = _bounded(answer, MAX_INFO_BYTES)
    try:
        document = json.loads(body or b"")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _bounded(answer: httpx.Response, limit: int) -> bytes | None:
    """The body, or None when it is longer than `limit` bytes."""
    body = bytearray()
    for part in answer.iter_bytes():
        body += part
        if len(body) > limit:
            return None
    return bytes(body)


def _one_request(
    client: httpx.Client, plan: LoadPlan, model: str | None, texts: list[str], dim: int | None
) -> Any:
    protocol = PROTOCOLS[plan.protocol]
    encoder = RequestEncoder(plan, model=model, key=None)
    where = f"{plan.endpoint.origin}{plan.target_path}"
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    with (
        _failures_named(plan, plan.target_path),
        client.stream(
            "POST", plan.target_path, content=encoder.body(texts), headers=headers
        ) as answer,
    ):
        body = _bounded(answer, MAX_ANSWER_BYTES)
        status = answer.status_code
        kind = answer.headers.get("content-type", "")
    if body is None:
        raise TargetError(f"{where} answered with more than {MAX_ANSWER_BYTES} bytes")
    if status != httpx.codes.OK:
        raise TargetError(f"{where} answered HTTP {status}{_said(body)}{_advice(answer)}")
    if "html" in kind or body.lstrip()[:1] == b"<":
        raise TargetError(f"{where} answered with a web page ({kind}), expected JSON embeddings")
    try:
        return check_vectors(protocol, body, count=len(texts), dim=dim)
    except TargetError as error:
        raise TargetError(f"{where}: {error}") from error


def _said(body: bytes, limit: int = 160) -> str:
    """The message of an error answer, shortened to a line."""
    text = body[: 4 * limit].decode("utf-8", errors="replace")
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict):
        error = document.get("error", document)
        text = str(error.get("message", text) if isinstance(error, dict) else error)
    line = " ".join(text.split())
    return f": {line[:limit]!r}" if line else ""


def _advice(answer: httpx.Response) -> str:
    if answer.is_redirect:
        return f" to {answer.headers.get('location', 'nowhere')!r}; give that address"
    hint = _HTTP_HINTS.get(answer.status_code)
    return f"; {hint}" if hint else ""
