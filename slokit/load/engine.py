"""The dispatcher: sends what a plan asks for, when it asks for it, and records all of it.

Open loop: the schedule is computed before the first request, and one greenlet sends each
request at its due time, whatever became of the others; answers are recorded where the
event loop finds them. Closed loop: each user is a greenlet that waits for its answer.
Nothing here knows Locust.
"""

import gc
import math
import random
import time
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import gevent
from gevent.event import Event
from gevent.queue import SimpleQueue

from slokit.core.sample import Outcome
from slokit.errors import StoreError
from slokit.load.answers import AnswerCheck
from slokit.load.exchange import Exchange
from slokit.load.flight import Flight
from slokit.load.plan import LoadPlan, api_key
from slokit.load.precise import Alarm
from slokit.load.protocol import RequestEncoder
from slokit.load.recorder import Recorder
from slokit.load.schedule import Schedule, schedule_of
from slokit.load.texts import TextSource
from slokit.load.wire import WireClient

_NS: Final = 1_000_000_000
RECONNECT_NS: Final = 100_000_000  # a closed-loop user's pause after a failed connection
LEAD_NS: Final = 50_000_000  # from the end of the preparations to time 0
YIELD_NS: Final = 100_000  # how long late requests are sent in a row before answers are read
GC_THRESHOLD: Final = 50_000  # new objects between two collections of the youngest
CHECK_QUEUE: Final = 16  # answers that wait for a gap between arrivals to be checked in

Observer = Callable[[str, float, int, Outcome], None]  # class, latency_s, bytes, outcome


class Engine:
    """One run of a plan in this process. `run` returns when all is recorded.

    `observe` is told about each finished request, in a greenlet of its own.
    """

    def __init__(self, plan: LoadPlan, observe: Observer | None = None) -> None:
        self._plan = plan
        self._observe = observe
        self._client = WireClient(plan)
        self._encoder = RequestEncoder(plan, model=plan.model, key=api_key(plan))
        self._texts = TextSource.of(plan)
        self._traces = random.Random(plan.seed_for("trace"))  # noqa: S311 - repeatable ids
        self._recorder = Recorder(plan)
        self._check = AnswerCheck(plan)
        self._due_ns, self._stage_starts_ns = Schedule(array("q"), ())
        self._start_ns = time.monotonic_ns()
        self._flights: dict[Flight, None] = {}
        self._unchecked: deque[tuple[Flight, Exchange]] = deque()
        self._landed_last = Event()
        self._told: SimpleQueue[tuple[str, float, int, Outcome] | None] = SimpleQueue()
        self._jobs: list[gevent.Greenlet] = []
        self._failure: BaseException | None = None
        self._ending = False
        self._ended = Event()

    def run(self) -> None:
        """Offer the load and wait for what is in flight. Raises what made the load fail."""
        self._prepare()
        if not self._ending:  # nobody has stopped it meanwhile
            offer = self._offer_open if self._plan.loop == "open" else self._offer_closed
            offering = self._spawn(offer)
            telling = self._spawn(self._tell)
            self._jobs += [offering, self._spawn(self._tick)]
            gevent.joinall([offering])
            while self._flights and not self._ending:
                self._landed_last.clear()
                self._landed_last.wait()
            self._examine_until(math.inf)
            self._told.put(None)
            gevent.joinall([telling])
            self._end("complete")
        self._ended.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop now: nothing new is sent, what is in flight is recorded as `interrupted`."""
        self._end("interrupted")

    def _prepare(self) -> None:
        if self._plan.loop == "open":
            self._due_ns, self._stage_starts_ns = schedule_of(self._plan)
        self._client.warm_up()
        # What exists now lives for the whole run: keep the collector from walking through it,
        # so that a collection in the middle of the load is short.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)  # a request leaves no cycles behind
        self._recorder.begin()
        self._start_ns = time.monotonic_ns() + LEAD_NS

    def _spawn(self, job: Callable[..., object], *args: Any) -> gevent.Greenlet:
        greenlet = gevent.spawn(job, *args)
        greenlet.link_exception(self._fail)
        return greenlet

    def _fail(self, greenlet: gevent.Greenlet) -> None:
        self._abort(greenlet.exception)

    def _abort(self, failure: BaseException) -> None:
        self._failure = self._failure or failure
        self._end("failed")

    # -- open loop ---------------------------------------------------------------------

    def _offer_open(self) -> None:
        """Send each request at its due time; a request is built while the last one flies."""
        slots, woke_ns = self._plan.max_in_flight, 0
        with Alarm() as alarm:
            for due_ns in self._due_ns:
                flight = self._next_flight(self._start_ns + due_ns)
                flight.stage = bisect_right(self._stage_starts_ns, due_ns)
                flight.slot_free_ns = flight.due_ns  # one that finds no slot is dropped at once
                now_ns = time.monotonic_ns()
                if flight.due_ns > now_ns or now_ns - woke_ns > YIELD_NS:
                    self._examine_until(flight.due_ns)
                    alarm.sleep_until(flight.due_ns)
                    woke_ns = now_ns = time.monotonic_ns()
                if len(self._flights) >= slots:
                    self._record(flight, Exchange(None, end_ns=now_ns), Outcome.DROPPED)
                else:
                    self._flights[flight] = None
                    self._recorder.totals.sent += 1
                    flight.sent_ns = time.monotonic_ns()
                    self._client.start(flight.request, flight.sent_ns, partial(self._land, flight))

    def _land(self, flight: Flight, exchange: Exchange) -> None:
        """Record an answer, or keep it for a full check. Runs in the event loop."""
        if self._ending:  # it is recorded as interrupted
            return
        del self._flights[flight]
        try:
            outcome = self._check.glance(exchange)
            if outcome is not Outcome.OK or not self._check.wants(exchange):
                self._record(flight, exchange, outcome)
            elif len(self._unchecked) < CHECK_QUEUE:
                self._unchecked.append((flight, exchange))
            else:
                self._check.skipped += 1
                self._record(flight, exchange, outcome)
        except Exception as error:  # noqa: BLE001 - the event loop would swallow it
            self._abort(error)
        if not self._flights:
            self._landed_last.set()

    def _examine_until(self, next_due_ns: float) -> None:
        """Check answers in full while there is time before the next request is due."""
        while self._unchecked and time.monotonic_ns() + self._check.cost_ns < next_due_ns:
            flight, exchange = self._unchecked.popleft()
            outcome = self._check.examine(exchange, len(flight.texts))
            self._record(flight, exchange, outcome)

    # -- closed loop -------------------------------------------------------------------

    def _offer_closed(self) -> None:
        most = max(stage.users for stage in self._plan.stages)
        users = [self._spawn(self._be_user, user) for user in range(most)]
        self._jobs += users
        gevent.joinall(users)

    def _be_user(self, user: int) -> None:
        """One user through all stages that have so many users.

        The next intended start is one pacing after the last one, even when the answer
        took longer: then it is in the past and the wait counts into the latency. Without
        pacing it is the moment the answer was in, or a little later where there was no
        service to answer: a dead port is not to be asked ten thousand times a second.
        """
        begin_ns = self._start_ns
        pacing_ns = int(self._plan.pacing_s * _NS)
        with Alarm() as alarm:
            for number, stage in enumerate(self._plan.stages):
                end_ns = begin_ns + int(stage.duration_s * _NS)
                offset_ns = pacing_ns * user // stage.users  # not all at the same moment
                due_ns = free_ns = max(begin_ns + offset_ns, time.monotonic_ns())
                while user < stage.users and due_ns < end_ns:
                    flight = self._next_flight(due_ns)
                    flight.user, flight.stage, flight.slot_free_ns = user, number, free_ns
                    if due_ns > time.monotonic_ns():
                        alarm.sleep_until(due_ns)
                    outcome, free_ns = self._perform(flight)
                    pause_ns = RECONNECT_NS if outcome is Outcome.CONNECT else 0
                    due_ns = due_ns + pacing_ns if pacing_ns else free_ns + pause_ns
                begin_ns = end_ns

    def _perform(self, flight: Flight) -> tuple[Outcome, int]:
        """Send, wait, check, record; returns the outcome and the moment the answer was in."""
        self._flights[flight] = None
        flight.sent_ns = time.monotonic_ns()
        self._recorder.totals.sent += 1
        exchange = self._client.exchange(flight.request, flight.sent_ns)
        del self._flights[flight]
        outcome = self._check.glance(exchange)
        if outcome is Outcome.OK and self._check.wants(exchange):
            outcome = self._check.examine(exchange, len(flight.texts))
        self._record(flight, exchange, outcome)
        return outcome, exchange.end_ns

    # -- one request -------------------------------------------------------------------

    def _next_flight(self, due_ns: int) -> Flight:
        texts = self._texts.take(self._plan.batch)
        numbers = f"{self._traces.getrandbits(192):048x}"
        trace_id, span_id = numbers[:32], numbers[32:]
        request = self._encoder.request(
            [text.text for text in texts], f"00-{trace_id}-{span_id}-01"
        )
        return Flight(due_ns, texts, request, trace_id.encode("ascii"))

    def _record(self, flight: Flight, exchange: Exchange, outcome: Outcome) -> None:
        self._recorder.add(
            flight.row(
                exchange,
                outcome,
                start_ns=self._start_ns,
                names=self._recorder.names,
                worker=self._plan.worker,
            )
        )
        if self._observe is not None and outcome is not Outcome.INTERRUPTED:
            latency_s = (exchange.end_ns - flight.due_ns) / _NS
            text_class = flight.texts[0].text_class
            self._told.put((text_class, latency_s, len(exchange.body), outcome))

    def _tell(self) -> None:
        """Tell the observer; it may wait, which the event loop may not."""
        while (told := self._told.get()) is not None:
            if self._observe is not None:
                self._observe(*told)

    # -- time and the end --------------------------------------------------------------

    def _elapsed_s(self) -> float:
        return max(0.0, (time.monotonic_ns() - self._start_ns) / _NS)

    def _count(self) -> None:
        """The counters that nobody keeps while the load runs."""
        now_ns = time.monotonic_ns() - self._start_ns
        totals = self._recorder.totals
        is_open = self._plan.loop == "open"
        totals.scheduled = bisect_right(self._due_ns, now_ns) if is_open else totals.sent
        totals.in_flight = len(self._flights)

    def _tick(self) -> None:
        """Report at each full second of the run; one that could not be kept is left out."""
        second = 0
        with Alarm() as alarm:
            while True:
                second = max(second + 1, math.ceil(self._elapsed_s()))
                alarm.sleep_until(self._start_ns + second * _NS)
                self._give_up_checks()
                self._count()
                self._recorder.tick(self._elapsed_s())

    def _give_up_checks(self) -> None:
        """Record answers that found no gap for a second: a sample is not to be lost for it."""
        long_ago_ns = time.monotonic_ns() - _NS
        while self._unchecked and self._unchecked[0][1].end_ns < long_ago_ns:
            flight, exchange = self._unchecked.popleft()
            self._check.skipped += 1
            self._record(flight, exchange, Outcome.OK)

    def _end(self, status: str) -> None:
        """Record what is in flight and close the files; only the first call counts.

        It may run in gevent's hub, so nothing in it waits.
        """
        if self._ending:
            return
        self._ending = True
        flights, self._flights = self._flights, {}
        gevent.killall(self._jobs, block=False)
        self._client.close()
        self._landed_last.set()
        self._told.put(None)
        self._count()
        try:
            self._record_the_rest(flights)
            self._recorder.close(self._elapsed_s())
        except StoreError as error:
            self._failure = self._failure or error
            status = "failed"
        try:
            self._recorder.say(self._ending_document(status))
        finally:
            self._ended.set()

    def _record_the_rest(self, flights: dict[Flight, None]) -> None:
        now_ns = time.monotonic_ns()
        for flight in flights:
            self._record(flight, Exchange(flight.sent_ns, end_ns=now_ns), Outcome.INTERRUPTED)
        while self._unchecked:
            flight, exchange = self._unchecked.popleft()
            self._record(flight, exchange, Outcome.OK)

    def _ending_document(self, status: str) -> dict[str, Any]:
        failure = self._failure
        return {
            "status": status,
            "error": None if failure is None else str(failure),
            "error_kind": None if failure is None else type(failure).__name__,
            "warnings": self._warnings(),
            "stale_retries": self._client.stale_retries,
            "answers_checked": self._check.checked_in_full,
            "answers_skipped": self._check.skipped,
        }

    def _warnings(self) -> list[str]:
        said = self._check.warnings() + self._texts.warnings()
        if retries := self._client.stale_retries:
            said.append(
                f"{retries} requests were sent twice: the service closed a kept connection "
                "just as it was used (their latency counts from the first time)"
            )
        return said
