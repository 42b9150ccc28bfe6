"""Samples reach the disk unrounded, batch by batch; counters and rolling P95 are exact."""

import json
import math
from pathlib import Path

import pytest

from slokit.conventions import SAMPLE_COLUMNS, TICK_COLUMNS
from slokit.core.sample import Outcome
from slokit.errors import StoreError
from slokit.load.recorder import BATCH_ROWS, Recorder
from slokit.runs.journal import read_samples


def row(due_ns, **values):
    columns = dict.fromkeys(SAMPLE_COLUMNS) | {"due_ns": due_ns, "outcome": "ok"} | values
    return tuple(columns.values())


def ticks_of(plan):
    text = Path(plan.run_dir, "ticks-0.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_every_value_is_kept_as_it_is(make_plan):
    plan = make_plan()
    recorder = Recorder(plan)
    recorder.add(row(123_456_789, end_ns=987_654_321, status=200), Outcome.OK, 0.5)
    recorder.add(row(123_456_790, outcome="dropped"), Outcome.DROPPED, math.inf)
    recorder.close(1.0)
    recorder.say({"status": "complete"})
    first, second = read_samples(Path(plan.run_dir)).to_pylist()
    assert (first["due_ns"], first["end_ns"], first["status"]) == (123_456_789, 987_654_321, 200)
    assert (second["outcome"], second["sent_ns"], second["worker"]) == ("dropped", None, None)
    assert json.loads(Path(plan.run_dir, "load-0.json").read_text()) == {"status": "complete"}


def test_a_second_is_readable_before_the_end(make_plan):
    plan = make_plan()
    recorder = Recorder(plan)
    for due_ns in range(BATCH_ROWS * 2 + 1):
        recorder.add(row(due_ns), Outcome.OK, 0.1)
    recorder.tick(1.0)
    assert read_samples(Path(plan.run_dir)).num_rows == BATCH_ROWS * 2 + 1
    assert len(ticks_of(plan)) == 1
    recorder.close(1.5)


def test_counters_of_a_second(make_plan):
    plan = make_plan(worker=0)
    recorder = Recorder(plan)
    recorder.totals.scheduled, recorder.totals.sent, recorder.totals.in_flight = 6, 4, 2
    recorder.add(row(1), Outcome.OK, 0.010)
    recorder.add(row(2), Outcome.HTTP_5XX, math.inf)
    recorder.add(row(3), Outcome.DROPPED, math.inf)
    recorder.tick(1.0)
    (tick,) = ticks_of(plan)
    assert list(tick) == list(TICK_COLUMNS)
    assert tick.pop("cpu_ratio") >= 0
    assert tick == {
        "t_s": 1.0, "scheduled": 6, "sent": 4, "done": 3, "errors": 2, "dropped": 1,
        "in_flight": 2, "p95_s": None, "worker": 0,
    }  # fmt: skip
    recorder.close(1.5)


@pytest.mark.parametrize(
    ("latencies", "p95_s"),
    [
        pytest.param([], None, id="no answers: no number"),
        pytest.param([0.25], 0.25, id="one"),
        pytest.param([i / 100 for i in range(1, 101)], 0.95, id="nearest rank"),
        pytest.param([0.1] * 95 + [math.inf] * 5, 0.1, id="5 % failed"),
        pytest.param([0.1] * 94 + [math.inf] * 6, None, id="6 % failed: the quantile failed"),
    ],
)
def test_rolling_p95(make_plan, latencies, p95_s):
    plan = make_plan()
    recorder = Recorder(plan)
    for latency_s in latencies:
        outcome = Outcome.OK if latency_s < math.inf else Outcome.TIMEOUT
        recorder.add(row(0), outcome, latency_s)
    recorder.close(1.0)
    assert ticks_of(plan)[0]["p95_s"] == p95_s


def test_p95_forgets_after_ten_seconds(make_plan):
    plan = make_plan()
    recorder = Recorder(plan)
    recorder.add(row(0), Outcome.OK, 9.0)
    for second in range(12):
        recorder.tick(second + 1.0)
    recorder.close(13.0)
    assert [tick["p95_s"] for tick in ticks_of(plan)] == [9.0] * 10 + [None] * 3


def test_without_a_folder_it_only_counts(make_plan, tmp_path):
    recorder = Recorder(make_plan(run_dir=""))
    recorder.add(row(0), Outcome.OK, 0.1)
    recorder.tick(1.0)
    recorder.close(2.0)
    recorder.say({})
    assert recorder.totals.done == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone(make_plan, tmp_path):
    with pytest.raises(StoreError, match="No such file or directory"):
        Recorder(make_plan(run_dir=str(tmp_path / "gone")))


def test_nothing_is_overwritten(make_plan, tmp_path):
    (tmp_path / "ticks-0.jsonl").touch()
    with pytest.raises(StoreError, match=r"cannot write .*ticks-0\.jsonl: File exists"):
        Recorder(make_plan())
