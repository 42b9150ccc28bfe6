"""The hot-path client: one pre-encoded request in, one timed and classified answer out.

It does what a load generator needs and no more: no redirects, no retries of a request the
service may have seen, no parsing of bodies. Times are time.monotonic_ns: `sent` before a
connection is looked for, because a slow accept is the service's; `end` when the last byte
is in. The outcome speaks of the transport; what a body is worth is for protocol.py.
"""

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httptools

from slokit.conventions import SERVER_PHASES, SERVER_TIMING_HEADER
from slokit.core.sample import Outcome
from slokit.load.plan import LoadPlan
from slokit.load.transport import Dialer, is_quiet

MAX_HEAD_BYTES: Final = 256 * 1024
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_CHUNK: Final = 64 * 1024
_NS: Final = 1_000_000_000
_STALE_NS: Final = 5_000_000  # how soon a connection that died while idle shows it, plus its RTT
_NUMBER: Final = r"\d{1,9}(?:\.\d{1,9})?"
_TIMING = re.compile(rf"([\w-]+)(?:;[^,;]*)*?;\s*dur=({_NUMBER})(?![\d.])")
_MILLISECONDS = re.compile(_NUMBER)
_TEI_HEADERS: Final = {
    b"x-queue-time": "queue",
    b"x-tokenization-time": "tokenize",
    b"x-inference-time": "infer",
}
_WANTED: Final = frozenset({SERVER_TIMING_HEADER.encode(), *_TEI_HEADERS})


@dataclass(slots=True)
class Exchange:
    """What became of one request. Times are monotonic nanoseconds, None: it never happened."""

    sent_ns: int | None
    connect_ns: int | None = None  # duration; None on a reused connection
    first_byte_ns: int | None = None
    end_ns: int = 0
    status: int | None = None
    outcome: Outcome = Outcome.OK
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def server_us(self) -> dict[str, int]:
        """Microseconds the service says it spent, by phase of conventions.SERVER_PHASES."""
        found: dict[str, int] = {}
        for name, value in self.headers:
            text = value.decode("latin-1")
            if name not in _TEI_HEADERS:
                phases = dict(_TIMING.findall(text))
            elif _MILLISECONDS.fullmatch(text):
                phases = {_TEI_HEADERS[name]: text}
            else:
                phases = {}
            found |= {phase: int(float(phases[phase]) * 1000) for phase in phases}
        return {phase: found[phase] for phase in SERVER_PHASES if phase in found}


class _Connection:
    """A socket, its parser, and the answer being read; the parser's callbacks are its methods."""

    def __init__(self, sock: Any, connect_ns: int) -> None:
        self.sock, self.connect_ns = sock, connect_ns
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Get ready for the next answer."""
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        self.head_size = self.body_size = 0
        self.in_body = self.complete = self.keep_alive = self.has_length = False

    def feed(self, data: bytes) -> None:
        """Parse bytes. Raises HttpParserError for anything that is no answer.

        The last piece of a head may bring bytes of the body with it: they count as head.
        """
        if not self.in_body:
            self.head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise httptools.HttpParserError("the service changes the protocol") from error
        if self.head_size > MAX_HEAD_BYTES or self.body_size > MAX_BODY_BYTES:
            raise httptools.HttpParserError("the answer is too large")

    def end_of_stream(self) -> Outcome:
        """What the end of the stream makes of the answer so far."""
        if self.complete or (self.in_body and not self.has_length):
            return Outcome.OK  # without a length the end of the stream ends the body
        return Outcome.TRUNCATED if self.in_body else Outcome.RESET

    def on_message_begin(self) -> None:
        if self.complete:  # bytes nobody asked for: never trust this connection again
            raise ValueError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        if lowered in _WANTED:
            self.headers.append((lowered, value))
        elif lowered in (b"content-length", b"transfer-encoding"):
            self.has_length = True

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.in_body = self.status >= 200

    def on_body(self, data: bytes) -> None:
        self.parts.append(data)
        self.body_size += len(data)

    def on_message_complete(self) -> None:
        if self.in_body:
            self.complete = True
            self.keep_alive = self._parser.should_keep_alive()
        else:  # 1xx: the answer proper follows
            self.headers.clear()
            self.has_length = False


class WireClient:
    """Exchanges requests over a pool of keep-alive connections, last used first."""

    def __init__(self, plan: LoadPlan, *, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._dialer = Dialer(plan)
        self._timeout_ns = int(plan.timeout_s * _NS)
        self._connect_timeout_s = plan.connect_timeout_s
        self._now = now
        self._idle: list[_Connection] = []
        self.stale_retries = 0

    def warm_up(self) -> None:
        """Look the service's name up, so that the first request does not have to."""
        with contextlib.suppress(OSError):  # each request will find out and say so
            self._dialer.resolve()

    def exchange(self, request: bytes, sent_ns: int) -> Exchange:
        """Send the bytes of one request and read its answer; every failure is an outcome.

        `sent_ns` is now, taken by the caller, who must know it even when this never returns.
        A kept connection that the service closed while it was idle is not the request's
        fault: when it breaks at once and before any byte came back, the request goes out
        once more on a new connection, timed from the first attempt (RFC 9112, 9.3.1).
        """
        exchange, deadline_ns = Exchange(sent_ns), sent_ns + self._timeout_ns
        connection = self._kept()
        if connection is not None:
            self._converse(connection, request, exchange, deadline_ns)
            stale_ns = sent_ns + connection.connect_ns + _STALE_NS
            is_reset = exchange.outcome is Outcome.RESET and exchange.first_byte_ns is None
            if not is_reset or exchange.end_ns > stale_ns:
                return exchange
            self.stale_retries += 1
            exchange = Exchange(sent_ns)
        connection = self._connect(exchange, deadline_ns)
        if connection is not None:
            self._converse(connection, request, exchange, deadline_ns)
        return exchange

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop().sock.close()

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if is_quiet(connection.sock):
                connection.begin()
                return connection
            connection.sock.close()
        return None

    def _connect(self, exchange: Exchange, deadline_ns: int) -> _Connection | None:
        started = self._now()
        left_s = (deadline_ns - started) / _NS
        try:
            sock = self._dialer.dial(max(0.0, min(left_s, self._connect_timeout_s)))
        except OSError as error:
            exchange.end_ns = self._now()
            timed_out = isinstance(error, TimeoutError) and exchange.end_ns >= deadline_ns
            exchange.outcome = Outcome.TIMEOUT if timed_out else Outcome.CONNECT
            return None
        exchange.connect_ns = self._now() - started
        return _Connection(sock, exchange.connect_ns)

    def _converse(
        self, connection: _Connection, request: bytes, exchange: Exchange, deadline_ns: int
    ) -> None:
        """Write the request, read the answer, and keep or close the connection."""
        kept = False
        try:
            exchange.outcome = self._read_answer(connection, request, exchange, deadline_ns)
            kept = exchange.outcome is Outcome.OK and connection.keep_alive
        except TimeoutError:
            exchange.outcome = Outcome.TIMEOUT
        except OSError:
            exchange.outcome = Outcome.RESET
        except httptools.HttpParserError:
            exchange.outcome = Outcome.INVALID_BODY
        finally:
            exchange.end_ns = self._now()
            if kept:
                self._idle.append(connection)
            else:
                connection.sock.close()
        exchange.status = connection.status
        if exchange.outcome is Outcome.OK:
            exchange.outcome = _of_status(connection.status)
            exchange.headers = connection.headers
            exchange.body = b"".join(connection.parts)

    def _read_answer(
        self, connection: _Connection, request: bytes, exchange: Exchange, deadline_ns: int
    ) -> Outcome:
        sock = connection.sock
        sock.settimeout(self._left_s(deadline_ns))
        sock.sendall(request)
        while not connection.complete:
            sock.settimeout(self._left_s(deadline_ns))
            data = sock.recv(_CHUNK)
            if not data:
                return connection.end_of_stream()
            if exchange.first_byte_ns is None:
                exchange.first_byte_ns = self._now()
            try:
                connection.feed(data)
            except httptools.HttpParserError:
                if not connection.complete:
                    raise
                connection.keep_alive = False  # a whole answer, then bytes that belong to none
        return Outcome.OK

    def _left_s(self, deadline_ns: int) -> float:
        left_ns = deadline_ns - self._now()
        if left_ns <= 0:
            raise TimeoutError
        return left_ns / _NS


def _of_status(status: int | None) -> Outcome:
    if status is None or not 200 <= status < 600:
        return Outcome.INVALID_BODY
    if status < 300:
        return Outcome.OK
    if status == 429:
        return Outcome.HTTP_429
    return {3: Outcome.HTTP_3XX, 4: Outcome.HTTP_4XX, 5: Outcome.HTTP_5XX}[status // 100]
