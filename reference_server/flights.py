"""Single-flight: a text that several requests want at once is computed once.

Nobody owns a computation: it goes on while at least one request waits for it, whoever came
first. So a client that leaves takes nothing from those who stay.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from reference_server.work import OnDone, Text

Key = tuple[int, ...]
"""The token ids of a text."""


class Scheduler(Protocol):
    """Computes texts in threads of its own."""

    def submit(self, texts: Sequence[Text], on_done: OnDone) -> None:
        """Queue the texts of one request; `on_done` is called from another thread."""
        ...


@dataclass(slots=True, eq=False)
class _Waiter:
    """A request that waits for `left` more texts."""

    done: asyncio.Future[None]
    left: int = 0

    def landed(self, error: Exception | None) -> None:
        """Count one text; the first error ends the wait."""
        self.left -= 1
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(error)
        elif self.left == 0:
            self.done.set_result(None)


@dataclass(slots=True, eq=False)
class _Flight(Text):
    """A text and the requests that wait for it."""

    waiters: list[_Waiter] = field(default_factory=list)


class Flights:
    """Texts on their way to a vector. Use from one event loop at a time.

    `on_landed` is called in that loop for every text that got its vector. With `share` False
    each request computes its own texts, repeated ones too.
    """

    def __init__(
        self, scheduler: Scheduler, *, share: bool, on_landed: Callable[[Text], None]
    ) -> None:
        self._scheduler = scheduler
        self._share = share
        self._on_landed = on_landed
        self._aloft: dict[Key, _Flight] = {}

    async def compute(self, keys: Sequence[Key], expires_s: float) -> tuple[list[Text], int]:
        """Return the finished texts of one request, in order, and how many of them were joined.

        Raises the error of the first text that failed. When the caller is cancelled, what
        nobody else waits for is abandoned.
        """
        loop = asyncio.get_running_loop()
        fresh: list[_Flight] = []
        flights = [self._board(key, expires_s, fresh) for key in keys]
        waiter = _Waiter(loop.create_future())
        for flight in set(flights):
            flight.waiters.append(waiter)
            waiter.left += 1
        if fresh:
            self._scheduler.submit(fresh, self._from_thread(loop))
        try:
            await waiter.done
        finally:
            if waiter.left:
                self._leave(flights, waiter)
        return list(flights), len(flights) - len(fresh)

    def _board(self, key: Key, expires_s: float, fresh: list[_Flight]) -> _Flight:
        """Find the flight of a text, or start one and add it to `fresh`."""
        flight = self._aloft.get(key) if self._share else None
        if flight is None:
            flight = _Flight(key, expires_s)
            fresh.append(flight)
            if self._share:
                self._aloft[key] = flight
        flight.expires_s = max(flight.expires_s, expires_s)
        return flight

    def _from_thread(self, loop: asyncio.AbstractEventLoop) -> OnDone:
        def on_done(texts: Sequence[Text]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody waits
                loop.call_soon_threadsafe(self._land, texts)

        return on_done

    def _land(self, texts: Sequence[Text]) -> None:
        for flight in cast("Sequence[_Flight]", texts):
            self._forget(flight)
            if flight.error is None:
                self._on_landed(flight)
            for waiter in flight.waiters:
                waiter.landed(flight.error)

    def _leave(self, flights: Sequence[_Flight], waiter: _Waiter) -> None:
        for flight in set(flights):
            flight.waiters.remove(waiter)
            if not flight.waiters:
                flight.abandoned = True
                self._forget(flight)

    def _forget(self, flight: _Flight) -> None:
        key = cast("Key", flight.ids)
        if self._aloft.get(key) is flight:
            del self._aloft[key]
