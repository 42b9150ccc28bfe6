"""Who is computed with whom, in which order, and what the books say; no sleeping."""

import itertools
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.batcher import DynamicBatcher
from reference_server.threads import ThreadPerRequest
from reference_server.work import ExpiredError, Limits, Text

WAIT_S = 30


class Recorder:
    """Counts batches and finished texts; its clock ticks a second a look."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.done: list[Text] = []
        self._ticks = itertools.count(1)

    def on_batch(self, inputs: int, tokens: int) -> None:
        self.batches.append((inputs, tokens))

    def clock(self) -> float:
        return float(next(self._ticks))

    def submit(self, scheduler: object, *lengths: int, first: int = 0) -> list[Text]:
        """A request of texts of these lengths, made of the tokens `first`, `first` + 1, ..."""
        texts = [Text([first + i] * n) for i, n in enumerate(lengths)]
        scheduler.submit(texts, self.done.extend)
        return texts


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def batcher(engine: object, recorder: Recorder, inputs: int, tokens: int) -> DynamicBatcher:
    return DynamicBatcher(engine, Limits(inputs, tokens), recorder.on_batch, recorder.clock)


def drain(tested: DynamicBatcher) -> None:
    while tested.waiting:
        tested.step()


def vectors(texts: Sequence[Text]) -> list[list[float]]:
    return [text.vector.tolist() for text in texts]


@pytest.mark.parametrize(
    ("lengths", "limits", "batches"),
    [
        pytest.param([3, 3, 3], (16, 128), [(3, 9)], id="all-fit"),
        pytest.param([3, 3, 3], (2, 128), [(2, 6), (1, 3)], id="input-limit"),
        pytest.param([50, 50, 50], (16, 128), [(2, 100), (1, 50)], id="token-limit"),
        pytest.param([512, 3], (16, 128), [(1, 512), (1, 3)], id="oversized-goes-alone"),
        pytest.param([3, 512, 3], (16, 128), [(1, 3), (1, 512), (1, 3)], id="order-is-kept"),
        pytest.param([64, 64], (16, 128), [(2, 128)], id="exactly-full"),
    ],
)
def test_batches_of_one_request(
    lengths: list[int],
    limits: tuple[int, int],
    batches: list[tuple[int, int]],
    fake_engine: object,
    recorder: Recorder,
) -> None:
    tested = batcher(fake_engine, recorder, *limits)
    texts = recorder.submit(tested, *lengths)
    assert tested.waiting == len(lengths)
    drain(tested)
    assert recorder.batches == batches
    assert vectors(texts) == [[index, length] for index, length in enumerate(lengths)]
    assert recorder.done == texts


def test_what_waits_goes_together(fake_engine: object, recorder: Recorder) -> None:
    """Several requests share a pass and each gets its own vectors."""
    tested = batcher(fake_engine, recorder, 16, 128)
    one, two = recorder.submit(tested, 4, first=10), recorder.submit(tested, 5, 6, first=20)
    three = recorder.submit(tested, 7, first=30)
    tested.step()
    assert recorder.batches == [(4, 22)]
    assert vectors([*one, *two, *three]) == [[10, 4], [20, 5], [21, 6], [30, 7]]
    assert len({text.ran for text in recorder.done}) == 1


def test_requests_take_turns(fake_engine: object, recorder: Recorder) -> None:
    """A text of each request in turn; what did not fit is first in the next batch."""
    tested = batcher(fake_engine, recorder, 4, 128)
    recorder.submit(tested, 1, 1, 1, 1, 1, first=10)
    recorder.submit(tested, 1, 1, first=20)
    recorder.submit(tested, 1, 128, first=30)
    drain(tested)
    computed = [[ids[0] for ids in batch] for batch in fake_engine.batches]
    assert computed == [[10, 20, 30, 11], [21], [31], [12, 13, 14]]


def test_a_list_of_the_largest_size_does_not_hold_up_a_later_text(
    fake_engine: object, recorder: Recorder
) -> None:
    tested = batcher(fake_engine, recorder, 16, 128)
    recorder.submit(tested, *[20] * 2048)
    tested.step()
    (later,) = recorder.submit(tested, 30, first=5000)
    tested.step()
    assert later.vector is not None
    assert len(recorder.batches) == 2


def test_the_books(fake_engine: object, recorder: Recorder) -> None:
    """The clock ticks once while a pass runs."""
    tested = batcher(fake_engine, recorder, 1, 128)
    texts = recorder.submit(tested, 1, 1)
    drain(tested)
    first, second = (text.ran for text in texts)
    assert first is not second
    assert (first.infer_s, second.infer_s) == (1.0, 1.0)


@pytest.mark.parametrize("gone", [[0], [1], [0, 1], [0, 1, 2]], ids=str)
def test_what_nobody_waits_for_is_not_computed(
    gone: list[int], fake_engine: object, recorder: Recorder
) -> None:
    """Text by text, in the middle of a list too."""
    tested = batcher(fake_engine, recorder, 16, 128)
    texts = recorder.submit(tested, 4, 4, 4, first=1)
    recorder.submit(tested, 4, first=9)
    for index in gone:
        texts[index].abandoned = True
    tested.step()
    computed = sorted(ids[0] for ids in fake_engine.batches[0])
    assert computed == [*(index + 1 for index in range(3) if index not in gone), 9]
    assert tested.waiting == 0
    assert len(recorder.done) == len(computed)


def test_what_expired_while_it_waited_is_not_computed(
    fake_engine: object, recorder: Recorder
) -> None:
    """It is told so at once; a text with time left runs."""
    tested = batcher(fake_engine, recorder, 16, 128)
    texts = [Text([1], expires_s=1.0), Text([2], expires_s=1.5)]
    tested.submit(texts, recorder.done.extend)
    tested.step()  # at 1.0
    assert fake_engine.batches == [[[2]]]
    assert isinstance(texts[0].error, ExpiredError)
    assert set(recorder.done) == set(texts)


def test_when_all_expired_nothing_runs(fake_engine: object, recorder: Recorder) -> None:
    tested = batcher(fake_engine, recorder, 16, 128)
    tested.submit([Text([1], expires_s=0.5)], recorder.done.extend)
    tested.step()
    assert (fake_engine.batches, recorder.batches, len(recorder.done)) == ([], [], 1)


def test_a_fault_of_the_engine_reaches_each_text_of_the_pass(
    fake_engine: object, recorder: Recorder
) -> None:
    """Later passes run."""
    tested = batcher(fake_engine, recorder, 2, 128)
    failing, later = recorder.submit(tested, 1, 1), recorder.submit(tested, 2, first=5)
    fake_engine.error = RuntimeError("no memory")
    tested.step()
    fake_engine.error = None
    tested.step()
    assert [str(text.error) for text in (failing[0], later[0])] == ["no memory"] * 2
    assert vectors(failing[1:]) == [[1, 1]]
    assert tested.waiting == 0


REQUESTS = st.lists(st.lists(st.integers(1, 200), min_size=1, max_size=6), min_size=1, max_size=8)


@settings(deadline=None)
@given(REQUESTS, st.integers(1, 8), st.integers(1, 256))
def test_every_text_runs_once_in_order_and_within_the_limits(
    requests: list[list[int]], inputs: int, tokens: int
) -> None:
    """The order within a request is kept, and no batch could have taken its next text too."""
    seen: list[list[list[int]]] = []

    class Engine:
        def embed(self, texts: list[list[int]]) -> np.ndarray:
            assert len(texts) <= inputs
            assert sum(map(len, texts)) <= tokens or len(texts) == 1
            seen.append([*texts])
            return np.array([[ids[0]] for ids in texts], np.float32)

    recorder = Recorder()
    tested = batcher(Engine(), recorder, inputs, tokens)
    numbers = itertools.count()
    jobs = [[Text([next(numbers)] * n) for n in each] for each in requests]
    for texts in jobs:
        tested.submit(texts, recorder.done.extend)
    drain(tested)
    order = {ids[0]: place for place, ids in enumerate(itertools.chain(*seen))}
    assert sorted(order) == list(range(sum(map(len, requests))))
    for texts in jobs:
        places = [order[text.ids[0]] for text in texts]
        assert places == sorted(places)
        assert vectors(texts) == [[text.ids[0]] for text in texts]
    for batch, following in itertools.pairwise(seen):
        assert len(batch) == inputs or sum(map(len, batch)) + len(following[0]) > tokens


@settings(deadline=None)
@given(REQUESTS, st.integers(1, 8), st.integers(1, 256), st.integers(1, 200))
def test_nobody_starves(requests: list[list[int]], inputs: int, tokens: int, length: int) -> None:
    """Before a new text of one, each request ahead of it has one turn at most."""
    order: list[int] = []

    class Engine:
        def embed(self, texts: list[list[int]]) -> np.ndarray:
            order.extend(ids[0] for ids in texts)
            return np.zeros((len(texts), 1), np.float32)

    recorder = Recorder()
    tested = batcher(Engine(), recorder, inputs, tokens)
    for lengths in requests:
        recorder.submit(tested, *lengths)
    recorder.submit(tested, length, first=999)
    drain(tested)
    assert order.index(999) <= len(requests)


def test_what_is_ahead_of_a_request_that_takes_turns(
    fake_engine: object, recorder: Recorder
) -> None:
    """A single text waits for the first text of each request, a long list for all."""
    tested = batcher(fake_engine, recorder, 2, 128)
    assert tested.ahead(1) == 0
    recorder.submit(tested, 10, 20, 30)
    recorder.submit(tested, 5)
    assert [tested.ahead(texts) for texts in (1, 2, 3, 99)] == [15, 35, 65, 65]
    tested.step()
    assert tested.ahead(1) == 20


def test_what_is_ahead_of_a_request_in_a_line(recorder: Recorder) -> None:
    """Without batching nobody takes turns: all that waits is ahead."""
    running, released = threading.Event(), threading.Event()

    class Engine:
        def embed(self, texts: list[list[int]]) -> np.ndarray:
            running.set()
            assert released.wait(WAIT_S)
            return np.zeros((len(texts), 1), np.float32)

    tested = ThreadPerRequest(Engine(), 1, recorder.on_batch)
    recorder.submit(tested, 7, 10, 20)
    recorder.submit(tested, 5)
    assert running.wait(WAIT_S)
    assert (tested.ahead(1), tested.waiting) == (35, 3)
    released.set()
    tested.close()
    assert tested.ahead(1) == 0


def started(engine: object, limits: Limits, recorder: Recorder) -> DynamicBatcher:
    tested = DynamicBatcher(engine, limits, recorder.on_batch)
    tested.start()
    return tested


def signal(event: threading.Event) -> Callable[[object], None]:
    return lambda _: event.set()


def test_requests_gather_while_one_runs(recorder: Recorder) -> None:
    """No timer: what arrived during a pass is the next pass."""
    running, released = threading.Event(), threading.Event()
    finished = threading.Event()

    class Engine:
        def embed(self, texts: list[list[int]]) -> np.ndarray:
            running.set()
            assert released.wait(WAIT_S)
            return np.zeros((len(texts), 1), np.float32)

    tested = started(Engine(), Limits(16, 128), recorder)
    recorder.submit(tested, 1)
    assert running.wait(WAIT_S)
    for _ in range(3):
        recorder.submit(tested, 1)
    tested.submit([Text([1])], signal(finished))
    assert tested.waiting == 4
    released.set()
    assert finished.wait(WAIT_S)
    tested.close()
    assert recorder.batches == [(1, 1), (4, 4)]


def test_closing_finishes_what_was_accepted(fake_engine: object, recorder: Recorder) -> None:
    tested = batcher(fake_engine, recorder, 1, 128)
    texts = [recorder.submit(tested, 1) for _ in range(5)]
    tested.start()
    tested.close()
    assert [recorder.done] == [list(itertools.chain(*texts))]


@pytest.mark.parametrize(
    ("limits", "texts"),
    [
        pytest.param(Limits(2, 128, wait_s=3600), 2, id="the-batch-is-full"),
        pytest.param(Limits(2, 128, wait_s=0.001), 1, id="in-time"),
    ],
)
def test_waiting_for_more_ends(
    limits: Limits, texts: int, fake_engine: object, recorder: Recorder
) -> None:
    """A wait of an hour is cut short by the second input; a lone input runs after its wait."""
    finished = threading.Event()
    tested = started(fake_engine, limits, recorder)
    for _ in range(texts):
        tested.submit([Text([1])], signal(finished))
    assert finished.wait(WAIT_S)
    tested.close()
    assert recorder.batches == [(texts, texts)]


def test_without_batching_a_request_is_a_loop(fake_engine: object, recorder: Recorder) -> None:
    tested = ThreadPerRequest(fake_engine, 4, recorder.on_batch, recorder.clock)
    texts = recorder.submit(tested, 3, 4)
    tested.close()
    assert fake_engine.batches == [[[0] * 3], [[1] * 4]]
    assert recorder.batches == [(1, 3), (1, 4)]
    assert vectors(texts) == [[0, 3], [1, 4]]
    assert recorder.done == texts
    assert tested.waiting == 0


def test_without_batching_faults_abandonment_and_deadlines(
    fake_engine: object, recorder: Recorder
) -> None:
    fake_engine.error = RuntimeError("no memory")
    tested = ThreadPerRequest(fake_engine, 1, recorder.on_batch, recorder.clock)
    gone, late, failing = Text([1], abandoned=True), Text([2], expires_s=0.5), Text([3])
    tested.submit([gone, late, failing], recorder.done.extend)
    tested.close()
    assert recorder.done == [late, failing]
    assert isinstance(late.error, ExpiredError)
    assert str(failing.error) == "no memory"
    assert fake_engine.batches == [[[3]]]
    assert tested.waiting == 0
