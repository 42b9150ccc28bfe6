"""One keep-alive connection as a state machine of the event loop: the hottest module there is.

A request is written at once and the answer is read where the loop finds it readable. The
watcher stays registered while the connection is idle: no system call a request is spent on
it, and a service that closes an idle connection is noticed before it is used again.
"""

import ssl
import time
from collections.abc import Callable
from typing import Any, Final

import gevent
import httptools

from slokit.core.sample import Outcome
from slokit.load.exchange import WANTED_HEADERS

MAX_HEAD_BYTES: Final = 256 * 1024
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_CHUNK: Final = 64 * 1024
_READABLE, _WRITABLE = 1, 2  # as libev counts them
_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

Ended = Callable[["Connection", Outcome, int], None]  # how the answer ended, and when


class Connection:
    """A connected, non-blocking socket, its parser, and the answer being read.

    `ended` is told once for each request: in the event loop's own greenlet or, when the
    write itself fails, in the sender's. The parser's callbacks are methods.
    """

    def __init__(self, sock: Any, connect_ns: int, ended: Ended) -> None:
        self.connect_ns, self._sock, self._ended = connect_ns, sock, ended
        self._pending = getattr(sock, "pending", None)  # TLS: bytes that epoll cannot see
        self._parser = httptools.HttpResponseParser(self)
        self._rest = memoryview(b"")
        self.usable, self.idle_since_ns = True, 0
        self._begin()
        self.busy = False  # from the first byte of a request to the last of its answer
        self._writable: Any = None
        self._readable = self._watch(_READABLE, self._read)

    def _watch(self, events: int, react: Callable[[], None]) -> Any:
        """Have `react` called whenever the socket is ready, until the watcher is closed."""
        watcher = gevent.get_hub().loop.io(self._sock.fileno(), events)
        watcher.start(react)
        return watcher

    def _begin(self) -> None:
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        self.first_byte_ns: int | None = None
        self._head_size = self._body_size = 0
        self._in_body = self._complete = self.keep_alive = self._has_length = False
        self.busy = True

    def send(self, request: bytes) -> None:
        """Write one request; what the kernel does not take now follows when it does."""
        self._begin()
        try:
            sent = self._sock.send(request)
        except _NOT_NOW:
            sent = 0
        except OSError:
            self._end(Outcome.RESET, time.monotonic_ns())
            return
        if sent < len(request):
            self._rest = memoryview(request)[sent:]
            self._writable = self._watch(_WRITABLE, self._write_rest)

    def _write_rest(self) -> None:
        try:
            self._rest = self._rest[self._sock.send(self._rest) :]
        except _NOT_NOW:
            return
        except OSError:
            self._end(Outcome.RESET, time.monotonic_ns())
            return
        if not self._rest:
            self._stop_writing()

    def _stop_writing(self) -> None:
        if self._writable is not None:
            self._writable.stop()
            self._writable.close()
            self._writable = None

    def fileno(self) -> int:
        """The socket's descriptor."""
        return int(self._sock.fileno())

    def close(self) -> None:
        """Close it without telling anybody; may be called twice."""
        if not self.usable:
            return
        self.usable = self.busy = False
        self._stop_writing()
        self._readable.stop()
        self._readable.close()
        self._sock.close()

    # -- reading -----------------------------------------------------------------------

    def _read(self) -> None:
        """Take what is there; one time stamp serves first byte and end alike."""
        while True:
            data: bytes | None
            try:
                data = self._sock.recv(_CHUNK)
            except _NOT_NOW:
                return
            except OSError:
                data = None
            now_ns = time.monotonic_ns()
            if not self.busy:  # nobody asked: the service closed it, or it cannot be trusted
                self.close()
                return
            if not data:
                self._end(Outcome.RESET if data is None else self._end_of_stream(), now_ns)
                return
            if self.first_byte_ns is None:
                self.first_byte_ns = now_ns
            self._feed(data, now_ns)
            if not self._has_more():
                return

    def _has_more(self) -> bool:
        """True where the answer goes on in bytes that TLS has already taken from the kernel."""
        return self.busy and self._pending is not None and bool(self._pending())

    def _feed(self, data: bytes, now_ns: int) -> None:
        """Parse bytes; the last piece of a head may bring some of the body: they count as head."""
        if not self._in_body:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # After a whole answer these are bytes that belong to none: the answer counts.
            self.keep_alive = False
            self._end(Outcome.OK if self._complete else Outcome.INVALID_BODY, now_ns)
            return
        if self._complete:
            self._end(Outcome.OK, now_ns)
        elif self._head_size > MAX_HEAD_BYTES or self._body_size > MAX_BODY_BYTES:
            self._end(Outcome.INVALID_BODY, now_ns)

    def _end_of_stream(self) -> Outcome:
        self.keep_alive = False
        if self._in_body and not self._has_length:
            return Outcome.OK  # without a length the end of the stream ends the body
        return Outcome.TRUNCATED if self._in_body else Outcome.RESET

    def _end(self, outcome: Outcome, now_ns: int) -> None:
        self.busy, self.idle_since_ns = False, now_ns
        if outcome is not Outcome.OK or not self.keep_alive or self._rest:
            self.close()  # an answer to half of a request is the last one here
        self._ended(self, outcome, now_ns)

    # -- what the parser found -----------------------------------------------------------

    def on_message_begin(self) -> None:
        """The head begins, or another answer that nobody asked for."""
        if self._complete:  # never trust this connection again
            raise ValueError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, in the order they come."""
        lowered = name.lower()
        if lowered in WANTED_HEADERS:
            self.headers.append((lowered, value))
        elif lowered in (b"content-length", b"transfer-encoding"):
            self._has_length = True

    def on_headers_complete(self) -> None:
        """The head is in."""
        self.status = self._parser.get_status_code()
        self._in_body = self.status >= 200

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self.parts.append(data)
        self._body_size += len(data)

    def on_message_complete(self) -> None:
        """The answer is whole; after 1xx the answer proper follows."""
        if self._in_body:
            self._complete = True
            self.keep_alive = self._parser.should_keep_alive()
        else:
            self.headers.clear()
            self._has_length = False
