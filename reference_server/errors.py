"""What can go wrong.

ReferenceServerError
├── SetupError     the server cannot start as asked: one line on stderr, exit code 2
└── RequestError   a request is refused: a status and an OpenAI error envelope
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Code = Literal[
    "invalid_json",
    "missing_field",
    "unknown_field",
    "invalid_value",
    "empty_input",
    "too_many_inputs",
    "token_id_out_of_range",
    "not_found",
    "model_not_found",
    "method_not_allowed",
    "body_too_large",
    "queue_full",
    "overloaded",
    "deadline_exceeded",
    "rate_limit_exceeded",
    "invalid_api_key",
    "engine_unavailable",
    "internal_error",
    "model_not_ready",
]
"""Every `code` of an error envelope."""


class ReferenceServerError(Exception):
    """Root of every error this package raises on purpose."""


class SetupError(ReferenceServerError):
    """The command line, a setting or the model directory cannot be used."""


class RequestError(ReferenceServerError):
    """A request is refused; `status` and the envelope's fields say how.

    After `retry_after_s` the same request may pass; it becomes a header, as `headers` do.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: Code,
        param: str | None = None,
        kind: str = "invalid_request_error",
        retry_after_s: float | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.kind = kind
        self.retry_after_s = retry_after_s
        self.headers = headers
