"""Who is computed with whom, in which order, and what the books say; no sleeping."""

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.batcher import DynamicBatcher, Job, Limits, ThreadPerRequest

WAIT_S = 30


class Recorder:
    """Counts batches and finished jobs; its clock ticks a second a look."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.done: list[Job] = []
        self._ticks = itertools.count(1)

    def on_batch(self, inputs: int, tokens: int) -> None:
        self.batches.append((inputs, tokens))

    def clock(self) -> float:
        return float(next(self._ticks))

    def job(self, *lengths: int, first: int = 0) -> Job:
        return Job([[first + i] * n for i, n in enumerate(lengths)], self.done.append, 0.0)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def batcher(engine: object, recorder: Recorder, inputs: int, tokens: int) -> DynamicBatcher:
    return DynamicBatcher(engine, Limits(inputs, tokens), recorder.on_batch, recorder.clock)


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
    job = recorder.job(*lengths)
    tested.submit(job)
    assert tested.waiting == len(lengths)
    while tested.waiting:
        tested.step()
    assert recorder.batches == batches
    assert job.vectors.tolist() == [[index, length] for index, length in enumerate(lengths)]
    assert recorder.done == [job]


def test_what_waits_goes_together(fake_engine: object, recorder: Recorder) -> None:
    """Several requests share a pass and each gets its own rows."""
    tested = batcher(fake_engine, recorder, 16, 128)
    jobs = [recorder.job(4, first=10), recorder.job(5, 6, first=20), recorder.job(7, first=30)]
    for job in jobs:
        tested.submit(job)
    tested.step()
    assert recorder.batches == [(4, 22)]
    assert [job.vectors.tolist() for job in jobs] == [[[10, 4]], [[20, 5], [21, 6]], [[30, 7]]]


def test_the_books(fake_engine: object, recorder: Recorder) -> None:
    """Two passes of one tick each are infer; the rest of the way is queue."""
    tested = batcher(fake_engine, recorder, 1, 128)
    job = recorder.job(1, 1)
    tested.submit(job)
    tested.step()
    assert recorder.done == []
    tested.step()
    assert (job.infer_s, job.queue_s) == (2.0, 2.0)


def test_an_abandoned_request_is_not_computed(fake_engine: object, recorder: Recorder) -> None:
    tested = batcher(fake_engine, recorder, 16, 128)
    gone, here = recorder.job(4, 4, first=1), recorder.job(4, first=9)
    tested.submit(gone)
    tested.submit(here)
    gone.abandoned = True
    tested.step()
    assert fake_engine.batches == [[[9] * 4]]
    assert tested.waiting == 0
    assert recorder.done == [here]


def test_a_fault_of_the_engine_reaches_each_waiting_request(
    fake_engine: object, recorder: Recorder
) -> None:
    """The rest of a failed request is dropped; later requests run."""
    tested = batcher(fake_engine, recorder, 2, 128)
    failing, later = recorder.job(1, 1, 1), recorder.job(2, first=5)
    tested.submit(failing)
    tested.submit(later)
    fake_engine.error = RuntimeError("no memory")
    tested.step()
    fake_engine.error = None
    tested.step()
    assert str(failing.error) == "no memory"
    assert later.vectors.tolist() == [[5, 2]]
    assert recorder.done == [failing, later]
    assert tested.waiting == 0


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 200), min_size=1, max_size=6), min_size=1, max_size=8),
    st.integers(1, 8),
    st.integers(1, 256),
)
def test_every_text_runs_once_in_order_and_within_the_limits(
    requests: list[list[int]], inputs: int, tokens: int
) -> None:
    class Engine:
        def embed(self, texts: list[list[int]]) -> np.ndarray:
            assert len(texts) <= inputs
            assert sum(map(len, texts)) <= tokens or len(texts) == 1
            return np.array([[ids[0]] for ids in texts], np.float32)

    recorder = Recorder()
    tested = batcher(Engine(), recorder, inputs, tokens)
    numbers = itertools.count()
    jobs = [
        Job([[next(numbers)] * n for n in each], recorder.done.append, 0.0) for each in requests
    ]
    for job in jobs:
        tested.submit(job)
    while tested.waiting:
        tested.step()
    assert recorder.done == jobs
    computed = [value for job in jobs for value in job.vectors[:, 0].tolist()]
    assert computed == list(range(sum(map(len, requests))))


def test_requests_gather_while_one_runs(recorder: Recorder) -> None:
    """No timer: what arrived during a pass is the next pass."""
    running, released = threading.Event(), threading.Event()
    finished = threading.Event()

    class Engine:
        def embed(self, texts: list[list[int]]) -> np.ndarray:
            running.set()
            assert released.wait(WAIT_S)
            return np.zeros((len(texts), 1), np.float32)

    tested = DynamicBatcher(Engine(), Limits(16, 128), recorder.on_batch)
    tested.start()
    tested.submit(recorder.job(1))
    assert running.wait(WAIT_S)
    for _ in range(3):
        tested.submit(recorder.job(1))
    tested.submit(Job([[1]], lambda _: finished.set(), 0.0))
    assert tested.waiting == 4
    released.set()
    assert finished.wait(WAIT_S)
    tested.close()
    assert recorder.batches == [(1, 1), (4, 4)]


def test_closing_finishes_what_was_accepted(fake_engine: object, recorder: Recorder) -> None:
    tested = batcher(fake_engine, recorder, 1, 128)
    jobs = [recorder.job(1) for _ in range(5)]
    for job in jobs:
        tested.submit(job)
    tested.start()
    tested.close()
    assert recorder.done == jobs


def test_waiting_for_more_ends_when_the_batch_is_full(
    fake_engine: object, recorder: Recorder
) -> None:
    """A wait of an hour is cut short by the second input."""
    finished = threading.Event()
    tested = DynamicBatcher(fake_engine, Limits(2, 128, wait_s=3600), recorder.on_batch)
    tested.start()
    tested.submit(recorder.job(1))
    tested.submit(Job([[1]], lambda _: finished.set(), 0.0))
    assert finished.wait(WAIT_S)
    tested.close()
    assert recorder.batches == [(2, 2)]


def test_waiting_for_more_ends_in_time_too(fake_engine: object, recorder: Recorder) -> None:
    """A lone input runs although the batch never fills."""
    finished = threading.Event()
    tested = DynamicBatcher(fake_engine, Limits(2, 128, wait_s=0.001), recorder.on_batch)
    tested.start()
    tested.submit(Job([[1]], lambda _: finished.set(), 0.0))
    assert finished.wait(WAIT_S)
    tested.close()
    assert recorder.batches == [(1, 1)]


def test_without_batching_a_request_is_a_loop(fake_engine: object, recorder: Recorder) -> None:
    tested = ThreadPerRequest(fake_engine, 4, recorder.on_batch, recorder.clock)
    job = recorder.job(3, 4)
    tested.submit(job)
    tested.close()
    assert fake_engine.batches == [[[0] * 3], [[1] * 4]]
    assert recorder.batches == [(1, 3), (1, 4)]
    assert job.vectors.tolist() == [[0, 3], [1, 4]]
    assert (job.infer_s, tested.waiting) == (2.0, 0)


def test_without_batching_faults_and_abandonment(fake_engine: object, recorder: Recorder) -> None:
    fake_engine.error = RuntimeError("no memory")
    tested = ThreadPerRequest(fake_engine, 1, recorder.on_batch, recorder.clock)
    gone, failing = recorder.job(1, 1, 1), recorder.job(1, 1)
    gone.abandoned = True
    tested.submit(gone)
    tested.submit(failing)
    tested.close()
    assert str(failing.error) == "no memory"
    assert recorder.done == [failing]
    assert len(fake_engine.batches) == 1
    assert tested.waiting == 0
