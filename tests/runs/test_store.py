"""The run store: ids, manifests that are never half written, lookup by what people type."""

import json
from datetime import UTC, datetime

import pytest

import slokit
from slokit.errors import StoreError, UsageError
from slokit.runs.journal import SampleJournal
from slokit.runs.store import RunStore

WHEN = datetime(2026, 11, 20, 10, 15, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


def test_an_id_is_time_scenario_and_four_hex_digits(store):
    run = store.create("short", WHEN, {"seed": 1})
    stamp, scenario, digits = run.run_id.split("-")
    assert (stamp, scenario, len(digits)) == ("20261120T101500Z", "short", 4)
    assert int(digits, 16) >= 0
    assert run.manifest["status"] == "running"
    assert run.manifest["seed"] == 1


def test_a_scenario_name_cannot_leave_the_store(store):
    run = store.create("../../etc/x y", WHEN, {})
    assert run.folder.parent == store.root
    assert "/" not in run.run_id


def test_what_was_written_is_read_back(store):
    run = store.create("short", WHEN, {})
    run.update(labels={"branch": "主干"})
    run.write_verdict({"verdict": "pass"})
    again = store.find(run.run_id)
    assert again.manifest == run.manifest
    assert again.verdict() == {"verdict": "pass"}
    assert not [p for p in run.folder.iterdir() if p.name.endswith(".partial")]


def test_closing_compacts_samples_and_ticks(store):
    run = store.create("short", WHEN, {})
    journal = SampleJournal(run.folder / "samples-0.arrows")
    journal.write({"due_ns": [5], "outcome": ["ok"], "text_class": ["short"]})
    journal.close()
    ticks = [{"t_s": 1.0, "scheduled": 1, "worker": 0}, {"t_s": 2.0, "scheduled": 3, "worker": 0}]
    lines = "".join(json.dumps(tick) + "\n" for tick in ticks)
    (run.folder / "ticks-0.jsonl").write_text(lines + '{"t_s": 3.0, "sched')
    run.close("complete")
    names = sorted(path.name for path in run.folder.iterdir())
    assert names == ["run.json", "samples-0.parquet", "series.parquet"]
    opened = slokit.open_run(run.folder)
    assert opened.manifest["status"] == "complete"
    frame = opened.frame()
    assert frame["due_ns"].tolist() == [5]
    assert frame["sent_ns"].isna().tolist() == [True]
    assert str(frame["sent_ns"].dtype) == "Int64"


def test_lookup_by_id_prefix_suffix_path_and_latest(store):
    first = store.create("short", WHEN, {})
    second = store.create("long", WHEN.replace(minute=16), {})
    second.update(status="failed")
    names = [first.run_id, "20261120T101500", first.run_id[-9:], str(first.folder)]
    assert {store.find(name).run_id for name in names} == {first.run_id}
    assert store.find("latest").run_id == second.run_id
    assert [run.run_id for run in store.runs()] == [first.run_id, second.run_id]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("20261120", "fits 2 runs", id="ambiguous"),
        pytest.param("nope", "no run 'nope' in .*the newest is", id="unknown"),
        pytest.param("some/where", "there is no run at some/where", id="path"),
    ],
)
def test_lookup_that_means_no_run_or_several(store, name, message):
    store.create("short", WHEN, {})
    store.create("long", WHEN, {})
    with pytest.raises(UsageError, match=message):
        store.find(name)


def test_the_latest_run_is_one_that_is_over(store):
    first = store.create("short", WHEN, {})
    running = store.create("short", WHEN.replace(minute=16), {})
    assert store.find("latest").run_id == running.run_id  # there is no other
    first.update(status="complete")
    assert store.find("latest").run_id == first.run_id


def test_an_empty_store_says_so(store):
    with pytest.raises(UsageError, match="it holds none yet"):
        store.find("latest")
    assert store.runs() == []


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        pytest.param("{", "is not JSON", id="broken"),
        pytest.param("[]", "is not a JSON object", id="a list"),
        pytest.param('{"schema": 99, "run_id": "x"}', "no run manifest of schema 1", id="schema"),
    ],
)
def test_a_manifest_that_cannot_be_meant(tmp_path, manifest, message):
    (tmp_path / "run.json").write_text(manifest)
    with pytest.raises(StoreError, match=message):
        slokit.open_run(tmp_path)


def test_a_store_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot create"):
        RunStore(tmp_path / "file").create("short", WHEN, {})


def test_the_store_is_the_option_then_the_variable_then_runs(monkeypatch):
    monkeypatch.delenv("SLOKIT_RUNS", raising=False)
    assert str(RunStore.locate(None).root) == "runs"
    monkeypatch.setenv("SLOKIT_RUNS", "elsewhere")
    assert str(RunStore.locate(None).root) == "elsewhere"
    assert str(RunStore.locate("here").root) == "here"
