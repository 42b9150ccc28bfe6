"""The door: who are you, and have you asked too often? Both before the body is read."""

import math
from collections.abc import Iterable

from reference_server.errors import RequestError
from reference_server.protection.keys import Keys
from reference_server.protection.rate_limit import RateLimiter
from reference_server.settings import Settings

OPEN_ROUTES = ("/healthz", "/readyz", "/metrics")
"""What probes and scrapers ask: without a key."""

LIMITED_ROUTES = ("/v1/embeddings", "/embedding")
"""What costs: with a limit."""

_DEADLINE = b"x-request-deadline-ms"
_BEARER = b"bearer "

Headers = Iterable[tuple[bytes, bytes]]


class Gate:
    """Applies `keys` (None: everybody may) and the rate limit of the settings."""

    def __init__(self, settings: Settings, keys: Keys | None) -> None:
        self._keys = keys
        rps = settings.rate_limit_rps
        burst = settings.rate_burst or max(1, math.ceil(rps))
        self._limiter = RateLimiter(rps, burst) if rps else None
        self._deadline_s = settings.deadline_ms / 1e3 or math.inf

    def enter(self, path: str, headers: Headers, address: str, now_ns: int) -> None:
        """Let a request in; RequestError 401 or 429 if not."""
        caller = address
        if self._keys is not None and path not in OPEN_ROUTES:
            caller = f"key {_identify(self._keys, headers)}"
        if self._limiter is not None and path in LIMITED_ROUTES:
            wait_ns = self._limiter.take(caller, now_ns)
            if wait_ns:
                raise RequestError(
                    429,
                    f"too many requests: the next one may come in {wait_ns / 1e9:.3f} s",
                    code="rate_limit_exceeded",
                    kind="rate_limit_error",
                    retry_after_s=wait_ns / 1e9,
                )

    def patience_s(self, headers: Headers) -> float:
        """How long the answer is of use: the header's or the setting's, the shorter one.

        Raises RequestError 400 for a header that is not a positive number.
        """
        text = _header(headers, _DEADLINE)
        if text is None:
            return self._deadline_s
        try:
            deadline_s = float(text) / 1e3
        except ValueError:
            deadline_s = math.nan
        if not deadline_s > 0:
            raise RequestError(
                400,
                "X-Request-Deadline-Ms must be a number of milliseconds above 0, got "
                f"{text.decode('latin-1')!r}",
                code="invalid_value",
            )
        return min(deadline_s, self._deadline_s)


def _identify(keys: Keys, headers: Headers) -> int:
    given = _header(headers, b"authorization")
    if given is None:
        problem = "no API key: send Authorization: Bearer KEY"
    elif not given.lower().startswith(_BEARER):
        problem = "Authorization must be: Bearer KEY"
    else:
        number = keys.find(given[len(_BEARER) :].strip())
        if number is not None:
            return number
        problem = "this API key is not accepted"
    raise RequestError(
        401,
        problem,
        code="invalid_api_key",
        kind="authentication_error",
        headers={"www-authenticate": "Bearer"},
    )


def _header(headers: Headers, name: bytes) -> bytes | None:
    return next((value for key, value in headers if key == name), None)
