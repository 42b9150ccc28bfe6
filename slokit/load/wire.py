"""The hot-path client: one pre-encoded request in, one timed and classified answer out.

It does what a load generator needs and no more: no redirects, no retries of a request the
service may have seen, no parsing of bodies. Times are time.monotonic_ns: `sent` before a
connection is looked for, because a slow accept is the service's; `end` when the last byte
is in. The outcome speaks of the transport; what a body is worth is for protocol.py.

No greenlet waits for an answer: connections (connection.py) hand it over where the event
loop finds it. Only opening a connection takes a greenlet, for as long as that lasts.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

import gevent
from gevent.hub import Waiter

from slokit.core.sample import Outcome
from slokit.load.connection import Connection
from slokit.load.exchange import Exchange, outcome_of_status
from slokit.load.plan import LoadPlan
from slokit.load.transport import Dialer, is_quiet

_NS: Final = 1_000_000_000
_STALE_NS: Final = 5_000_000  # how soon a connection that died while idle shows it, plus its RTT

Done = Callable[[Exchange], None]


@dataclass(slots=True, eq=False)
class Pending:
    """A request on its way: what to send, whom to tell, and who is at work on it."""

    request: bytes
    exchange: Exchange
    sent_ns: int
    deadline_ns: int
    done: Done
    connection: Connection | None = None
    dialing: gevent.Greenlet | None = None


class WireClient:
    """Exchanges requests over a pool of keep-alive connections, last used first."""

    def __init__(self, plan: LoadPlan) -> None:
        self._dialer = Dialer(plan)
        self._timeout_ns = int(plan.timeout_s * _NS)
        self._connect_timeout_s = plan.connect_timeout_s
        self._idle: list[Connection] = []
        self._pending: dict[Pending, None] = {}  # in the order sent, so the first is due first
        self._flying: dict[Connection, Pending] = {}
        self._timer: Any = None
        self.stale_retries = 0

    def warm_up(self) -> None:
        """Look the service's name up, so that the first request does not have to."""
        with contextlib.suppress(OSError):  # each request will find out and say so
            self._dialer.resolve()

    def start(self, request: bytes, sent_ns: int, done: Done) -> Pending:
        """Send the bytes of one request; `done` is told about its exchange, once.

        `sent_ns` is now. `done` may be called before this returns, and runs in the event
        loop: it must neither wait nor raise. Every failure is an outcome.

        A kept connection that the service closed while it was idle is not the request's
        fault: when it breaks at once and before any byte came back, the request goes out
        once more on a new connection, timed from the first attempt (RFC 9112, 9.3.1).
        """
        pending = Pending(request, Exchange(sent_ns), sent_ns, sent_ns + self._timeout_ns, done)
        self._pending[pending] = None
        if self._timer is None:
            self._watch_deadlines()
        connection = self._kept(sent_ns)
        if connection is None:
            pending.dialing = gevent.spawn(self._dial, pending)
        else:
            self._send(connection, pending)
        return pending

    def exchange(self, request: bytes, sent_ns: int) -> Exchange:
        """Like `start`, but the calling greenlet waits for the answer."""
        hub = gevent.get_hub()
        waiter = Waiter(hub)
        pending = self.start(
            request, sent_ns, lambda exchange: hub.loop.run_callback(waiter.switch, exchange)
        )
        try:
            answer: Exchange = waiter.get()
        except BaseException:
            self._abandon(pending)
            raise
        return answer

    def close(self) -> None:
        """Close all connections. Nobody is told about requests still under way."""
        for pending in list(self._pending):
            self._abandon(pending)
        while self._idle:
            self._idle.pop().close()
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    # -- connections -------------------------------------------------------------------

    def _kept(self, now_ns: int) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            # One that went idle this moment was alive this moment; the event loop closes
            # those that end later, but it may not have had its turn yet.
            if connection.usable and (
                now_ns - connection.idle_since_ns < _STALE_NS or is_quiet(connection.fileno())
            ):
                return connection
            connection.close()
        return None

    def _dial(self, pending: Pending) -> None:
        """Open a connection and send on it; runs in a greenlet of its own."""
        started = time.monotonic_ns()
        left_s = (pending.deadline_ns - started) / _NS
        try:
            sock = self._dialer.dial(max(0.0, min(left_s, self._connect_timeout_s)))
        except OSError as error:
            now_ns = time.monotonic_ns()
            late = isinstance(error, TimeoutError) and now_ns >= pending.deadline_ns
            self._finish(pending, Outcome.TIMEOUT if late else Outcome.CONNECT, now_ns)
            return
        finally:
            pending.dialing = None
        pending.exchange.connect_ns = time.monotonic_ns() - started
        self._send(Connection(sock, pending.exchange.connect_ns, self._answered), pending)

    def _send(self, connection: Connection, pending: Pending) -> None:
        self._flying[connection] = pending
        pending.connection = connection
        connection.send(pending.request)

    def _answered(self, connection: Connection, outcome: Outcome, now_ns: int) -> None:
        """A connection is through with its answer, in whatever way."""
        pending = self._flying.pop(connection)
        pending.connection = None
        exchange = pending.exchange
        if (
            outcome is Outcome.RESET
            and connection.first_byte_ns is None
            and exchange.connect_ns is None  # it was a kept one
            and now_ns <= pending.sent_ns + connection.connect_ns + _STALE_NS
        ):
            self.stale_retries += 1
            pending.dialing = gevent.spawn(self._dial, pending)
            return
        exchange.first_byte_ns = connection.first_byte_ns
        exchange.status = connection.status
        if outcome is Outcome.OK:
            outcome = outcome_of_status(connection.status)
            exchange.headers = connection.headers
            parts = connection.parts
            exchange.body = parts[0] if len(parts) == 1 else b"".join(parts)
        if connection.usable:
            self._idle.append(connection)
        self._finish(pending, outcome, now_ns)

    def _finish(self, pending: Pending, outcome: Outcome, now_ns: int) -> None:
        del self._pending[pending]
        pending.exchange.outcome, pending.exchange.end_ns = outcome, now_ns
        pending.done(pending.exchange)

    def _abandon(self, pending: Pending) -> None:
        self._pending.pop(pending, None)
        self._disconnect(pending)

    def _disconnect(self, pending: Pending) -> None:
        """Give up whatever is at work on it; an answer may still come, so no reuse."""
        if pending.dialing is not None:
            pending.dialing.kill(block=False)
        if pending.connection is not None:
            del self._flying[pending.connection]
            pending.connection.close()

    # -- deadlines ---------------------------------------------------------------------

    def _watch_deadlines(self) -> None:
        """Wake when the oldest request is due to be given up: all have the same time-out."""
        oldest = next(iter(self._pending), None)
        if oldest is None:
            return
        loop = gevent.get_hub().loop
        loop.update_now()
        left_s = (oldest.deadline_ns - time.monotonic_ns()) / _NS
        self._timer = loop.timer(max(0.001, left_s))
        self._timer.start(self._deadline)

    def _deadline(self) -> None:
        now_ns = time.monotonic_ns()
        late = takewhile(lambda pending: pending.deadline_ns <= now_ns, self._pending)
        for pending in list(late):
            self._give_up(pending, now_ns)
        self._timer.close()
        self._timer = None
        self._watch_deadlines()

    def _give_up(self, pending: Pending, now_ns: int) -> None:
        connection = pending.connection
        if connection is not None:
            pending.exchange.status = connection.status
            pending.exchange.first_byte_ns = connection.first_byte_ns
        self._disconnect(pending)
        self._finish(pending, Outcome.TIMEOUT, now_ns)
