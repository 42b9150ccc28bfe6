"""Single-flight: one computation, everybody's answer, whoever leaves."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import numpy as np
import pytest

from reference_server.flights import Flights
from reference_server.work import OnDone, Text

NEVER = float("inf")
A, B, C = (1,), (2,), (3,)


class Desk:
    """A scheduler that computes when told to: `land` finishes what was submitted."""

    def __init__(self, *, share: bool = True) -> None:
        self.submitted: list[tuple[Sequence[Text], OnDone]] = []
        self.landed: list[object] = []
        self.flights = Flights(
            self, share=share, on_landed=lambda text: self.landed.append(text.ids)
        )

    def submit(self, texts: Sequence[Text], on_done: OnDone) -> None:
        self.submitted.append((texts, on_done))

    @property
    def asked(self) -> list[list[object]]:
        return [[text.ids for text in texts] for texts, _ in self.submitted]

    async def start(self, *keys: tuple[int, ...], expires_s: float = NEVER) -> asyncio.Task[Any]:
        task = asyncio.create_task(self.flights.compute(keys, expires_s))
        await asyncio.sleep(0)
        return task

    async def land(self, request: int, error: Exception | None = None) -> None:
        texts, on_done = self.submitted[request]
        for text in texts:
            text.error = error
            text.vector = np.full(1, text.ids[0], np.float32)
        on_done(texts)
        for _ in range(3):
            await asyncio.sleep(0)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def values(task: asyncio.Task[Any]) -> list[float]:
    return [float(text.vector[0]) for text in task.result()[0]]


def test_identical_texts_in_flight_are_computed_once() -> None:
    async def main() -> None:
        desk = Desk()
        first, second = await desk.start(A, B), await desk.start(C, A)
        assert desk.asked == [[A, B], [C]]
        await desk.land(0)
        assert (first.done(), second.done()) == (True, False)
        await desk.land(1)
        assert (values(first), values(second)) == ([1, 2], [3, 1])
        assert (first.result()[1], second.result()[1]) == (0, 1)
        assert desk.landed == [A, B, C]

    run(main())


def test_a_text_repeated_in_a_list_is_computed_once() -> None:
    async def main() -> None:
        desk = Desk()
        task = await desk.start(A, B, A, A)
        await desk.land(0)
        assert desk.asked == [[A, B]]
        assert values(task) == [1, 2, 1, 1]
        assert task.result()[1] == 2

    run(main())


def test_what_has_landed_is_computed_anew() -> None:
    async def main() -> None:
        desk = Desk()
        await desk.start(A)
        await desk.land(0)
        await desk.start(A)
        assert desk.asked == [[A], [A]]
        await desk.land(1)

    run(main())


def test_when_the_first_leaves_the_others_get_their_answer() -> None:
    """What only the first wanted is abandoned; what another wants too goes on."""

    async def main() -> None:
        desk = Desk()
        first, second = await desk.start(A, B), await desk.start(A)
        first.cancel()
        await asyncio.sleep(0)
        assert first.cancelled()
        assert [text.abandoned for text in desk.submitted[0][0]] == [False, True]
        await desk.land(0)
        assert values(second) == [1]

    run(main())


def test_when_all_have_left_a_newcomer_starts_afresh() -> None:
    async def main() -> None:
        desk = Desk()
        for task in (await desk.start(A), await desk.start(A)):
            task.cancel()
            await asyncio.sleep(0)
        assert desk.submitted[0][0][0].abandoned
        newcomer = await desk.start(A)
        assert desk.asked == [[A], [A]]
        await desk.land(0)  # it was running when they left
        assert not newcomer.done()
        await desk.land(1)
        assert values(newcomer) == [1]

    run(main())


def test_a_fault_reaches_everybody_and_frees_the_rest() -> None:
    """Who joined gets the error too; the failed request's other texts are abandoned."""

    async def main() -> None:
        desk = Desk()
        first, second = await desk.start(A), await desk.start(A, B)
        await desk.land(0, RuntimeError("no memory"))
        for task in (first, second):
            with pytest.raises(RuntimeError, match="no memory"):
                task.result()
        assert desk.submitted[1][0][0].abandoned
        assert desk.landed == []

    run(main())


def test_the_longest_patience_counts() -> None:
    """A text is dropped only when it is late for everybody who waits for it."""

    async def main() -> None:
        desk = Desk()
        await desk.start(A, expires_s=5)
        await desk.start(A, expires_s=9)
        await desk.start(A, expires_s=7)
        assert desk.submitted[0][0][0].expires_s == 9
        await desk.land(0)

    run(main())


def test_switched_off_each_computes_its_own() -> None:
    async def main() -> None:
        desk = Desk(share=False)
        first, second = await desk.start(A, A), await desk.start(A)
        assert desk.asked == [[A, A], [A]]
        await desk.land(1)
        assert (first.done(), values(second)) == (False, [1])
        await desk.land(0)
        assert values(first) == [1, 1]

    run(main())
