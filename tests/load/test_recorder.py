"""Samples reach the disk unrounded, batch by batch; counters and rolling P95 are exact."""

import json
import math
from pathlib import Path

import pytest

from slokit.conventions import SAMPLE_COLUMNS, TICK_COLUMNS
from slokit.errors import StoreError
from slokit.load.recorder import BATCH_ROWS, Recorder
from slokit.load.rows import NULL_16, NULL_32, NULL_64
from slokit.runs.journal import read_samples

NULLS = {"int16": NULL_16, "int32": NULL_32, "int64": NULL_64}


def add(recorder, due_ns, outcome="ok", end_ns=0, **values):
    """One sample; columns that are not named are null."""
    columns = {name: NULLS.get(kind) for name, kind in SAMPLE_COLUMNS.items()}
    text_class = recorder.names["short"]
    columns |= {"due_ns": due_ns, "end_ns": end_ns, "text_class": text_class, "trace_id": b"e" * 32}
    recorder.add(tuple((columns | values | {"outcome": recorder.names[outcome]}).values()))


def ticks_of(plan):
    text = Path(plan.run_dir, "ticks-0.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_every_value_is_kept_as_it_is(make_plan):
    plan = make_plan()
    recorder = Recorder(plan)
    add(recorder, 123_456_789, end_ns=987_654_321, status=200)
    add(recorder, 123_456_790, outcome="dropped")
    recorder.close(1.0)
    recorder.say({"status": "complete"})
    first, second = read_samples(Path(plan.run_dir)).to_pylist()
    assert (first["due_ns"], first["end_ns"], first["status"]) == (123_456_789, 987_654_321, 200)
    assert (second["outcome"], second["sent_ns"], second["worker"]) == ("dropped", None, None)
    assert (first["outcome"], first["text_class"], first["trace_id"]) == ("ok", "short", "e" * 32)
    assert first["tokens"] is None
    assert json.loads(Path(plan.run_dir, "load-0.json").read_text()) == {"status": "complete"}


def test_a_second_is_readable_before_the_end(make_plan):
    plan = make_plan()
    recorder = Recorder(plan)
    for due_ns in range(BATCH_ROWS * 2 + 1):
        add(recorder, due_ns)
    recorder.tick(1.0)
    assert read_samples(Path(plan.run_dir)).num_rows == BATCH_ROWS * 2 + 1
    assert len(ticks_of(plan)) == 1
    recorder.close(1.5)


def test_counters_of_a_second(make_plan):
    plan = make_plan(worker=0)
    recorder = Recorder(plan)
    recorder.totals.scheduled, recorder.totals.sent, recorder.totals.in_flight = 6, 4, 2
    add(recorder, 1, end_ns=10_000_000)
    add(recorder, 2, outcome="http_5xx")
    add(recorder, 3, outcome="dropped")
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
        failed = latency_s == math.inf
        add(recorder, 0, "timeout" if failed else "ok", 0 if failed else round(latency_s * 1e9))
    recorder.close(1.0)
    assert ticks_of(plan)[0]["p95_s"] == p95_s


def test_p95_forgets_after_ten_seconds(make_plan):
    plan = make_plan()
    recorder = Recorder(plan)
    add(recorder, 0, end_ns=9_000_000_000)
    for second in range(12):
        recorder.tick(second + 1.0)
    recorder.close(13.0)
    assert [tick["p95_s"] for tick in ticks_of(plan)] == [9.0] * 10 + [None] * 3


def test_without_a_folder_it_only_counts(make_plan, tmp_path):
    recorder = Recorder(make_plan(run_dir=""))
    add(recorder, 0)
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
