"""Users with Locust's own clients, recorded like any other load.

Locust tells each finished request to its `request` event, with its time unrounded. Here it
becomes a sample of a closed loop: due when it was sent, because a user who waits for
answers has no schedule. Locust's own statistics decide nothing.
"""

import time
from typing import Any, Final

import gevent

from slokit.core.sample import Outcome
from slokit.errors import StoreError
from slokit.load.exchange import outcome_of_status
from slokit.load.kinds import MAX_CLASSES
from slokit.load.plan import LoadPlan
from slokit.load.recorder import Recorder
from slokit.load.rows import NULL_16, NULL_32, NULL_64

OTHER: Final = "other"  # the class of requests whose names are too many
_NS: Final = 1_000_000_000
_UNTRACED: Final = b"0" * 32
_BROKEN: Final = ("RemoteDisconnected", "ProtocolError", "ChunkedEncodingError", "IncompleteRead")


class StockRun:
    """Records what the users of a Locust environment do, and ends them after the plan's time.

    A request's name is its text class. Raises StoreError when the run cannot be written.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._recorder = Recorder(plan)
        self._users: dict[int, int] = {}  # greenlet -> number
        self._classes: set[str] = set()
        self._environment: Any = None
        self._failure: StoreError | None = None
        self._start_ns = time.monotonic_ns()
        self._is_over = False

    def listen(self, environment: Any, **_: Any) -> None:
        """Attach to an environment; a listener of Locust's `init` event."""
        self._environment = environment
        environment.events.test_start.add_listener(self._begin)
        environment.events.request.add_listener(self._record)
        environment.events.quitting.add_listener(self._end)

    def _begin(self, **_: Any) -> None:
        self._recorder.begin()
        self._start_ns = time.monotonic_ns()
        gevent.spawn(self._tick)

    def _tick(self) -> None:
        """Report at each full second until the time is over, then stop the users."""
        second, duration_s = 0, self._plan.duration_s
        while self._failure is None and not self._is_over:
            second += 1
            gevent.sleep(max(0.0, min(second, duration_s) - self._elapsed_s()))
            self._write(self._recorder.tick, self._elapsed_s())
            self._is_over = self._elapsed_s() >= duration_s
        self._environment.runner.quit()  # waits for what is in flight, up to the time-out

    def _elapsed_s(self) -> float:
        return (time.monotonic_ns() - self._start_ns) / _NS

    def _write(self, step: Any, *what: Any) -> None:
        """Locust's events log an exception and go on; a run that is not stored must end."""
        try:
            step(*what)
        except StoreError as error:
            self._failure = self._failure or error

    def _record(
        self,
        *,
        name: str,
        response_time: float,
        response_length: int,
        exception: BaseException | None = None,
        response: Any = None,
        **_: Any,
    ) -> None:
        end_ns = time.monotonic_ns() - self._start_ns
        sent_ns = max(0, end_ns - int(response_time * 1_000_000))
        status = getattr(response, "status_code", None) or None
        names, totals = self._recorder.names, self._recorder.totals
        totals.sent += 1
        totals.scheduled += 1
        row = (
            sent_ns,
            sent_ns,
            NULL_64,
            end_ns,
            0,
            NULL_64,
            NULL_16 if status is None else status,
            names[stock_outcome(exception, status)],
            names[self._class_of(str(name))],
            NULL_32,
            NULL_32,
            1,
            0,
            response_length or 0,
            self._plan.worker,
            self._users.setdefault(id(gevent.getcurrent()), len(self._users)),
            0,
            NULL_64,
            NULL_64,
            NULL_64,
            NULL_64,
            _UNTRACED,
        )
        self._write(self._recorder.add, row)

    def _class_of(self, name: str) -> str:
        if name not in self._classes and len(self._classes) >= MAX_CLASSES:
            name = OTHER
        self._classes.add(name)
        return name

    def _end(self, **_: Any) -> None:
        """Close the files and say how it ended; a listener of Locust's `quitting` event."""
        self._write(self._recorder.close, self._elapsed_s())
        status = "complete" if self._is_over else "interrupted"
        failure = self._failure
        self._recorder.say(
            {
                "status": status if failure is None else "failed",
                "error": None if failure is None else str(failure),
                "error_kind": None if failure is None else type(failure).__name__,
                "warnings": self._warnings(),
            }
        )

    def _warnings(self) -> list[str]:
        if OTHER not in self._classes:
            return []
        told = f"requests have more than {MAX_CLASSES} names: the rest is judged as {OTHER!r}"
        return [f"{told} (give each kind of request one name: name=...)"]


def stock_outcome(exception: BaseException | None, status: int | None) -> Outcome:
    """How a request of Locust's clients ended.

    The user's own word counts: what `catch_response` called a success is one, and an
    exception on an answer that looks good makes it `invalid_body`.

    >>> stock_outcome(None, 404), stock_outcome(ValueError("no vector"), 200)
    (<Outcome.OK: 'ok'>, <Outcome.INVALID_BODY: 'invalid_body'>)
    """
    if exception is None:
        return Outcome.OK
    if status is not None:
        outcome = outcome_of_status(status)
        return Outcome.INVALID_BODY if outcome is Outcome.OK else outcome
    kind = type(exception).__name__
    if isinstance(exception, TimeoutError) or "Timeout" in kind:
        return Outcome.TIMEOUT
    if isinstance(exception, ConnectionResetError | BrokenPipeError) or kind in _BROKEN:
        return Outcome.RESET
    return Outcome.CONNECT
