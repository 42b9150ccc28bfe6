"""Samples on disk: nothing that was written is lost, whatever ends the writer."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slokit.conventions import SAMPLE_COLUMNS
from slokit.errors import StoreError
from slokit.runs.journal import SAMPLE_SCHEMA, SampleJournal, compact, read_samples, read_shard


def write(folder: Path, batches: int, worker: int = 0) -> Path:
    path = folder / f"samples-{worker}.arrows"
    journal = SampleJournal(path)
    for number in range(batches):
        due = [number * 10, number * 10 + 5]
        journal.write({"due_ns": due, "outcome": ["ok", "dropped"], "worker": [worker, worker]})
    journal.close()
    return path


def test_every_column_of_the_convention_is_stored_with_its_type():
    assert {f.name: str(f.type) for f in SAMPLE_SCHEMA} == {
        name: {"float64": "double"}.get(kind, kind) for name, kind in SAMPLE_COLUMNS.items()
    }


def test_columns_that_are_left_out_are_null(tmp_path):
    write(tmp_path, 1)
    table = read_samples(tmp_path)
    assert table["due_ns"].to_pylist() == [0, 5]
    assert table["sent_ns"].to_pylist() == [None, None]


def test_a_new_journal_is_readable_and_empty(tmp_path):
    journal = SampleJournal(tmp_path / "samples-0.arrows")
    assert read_samples(tmp_path).num_rows == 0
    journal.close()


def test_a_journal_cut_anywhere_gives_its_complete_batches(tmp_path):
    fresh = SampleJournal(tmp_path / "fresh")
    begun = (tmp_path / "fresh").stat().st_size
    fresh.close()
    path = write(tmp_path, 4)
    whole = path.read_bytes()
    seen = []
    for cut in range(begun, len(whole) + 1, 8):
        path.write_bytes(whole[:cut])
        seen.append(read_samples(tmp_path).num_rows)
    assert seen == sorted(seen)
    assert set(seen) == {0, 2, 4, 6, 8}


WRITER = """
import sys, time
from pathlib import Path
from slokit.runs.journal import SampleJournal
journal = SampleJournal(Path(sys.argv[1]))
for n in range(1000):
    journal.write({"due_ns": [n], "outcome": ["ok"]})
    print(n, flush=True)
    sys.stdin.readline()
"""


def test_kill_9_loses_nothing_that_was_flushed(tmp_path):
    path = tmp_path / "samples-0.arrows"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        for number in range(5):
            assert writer.stdout.readline() == f"{number}\n"
            if number < 4:
                writer.stdin.write("\n")
                writer.stdin.flush()
        os.kill(writer.pid, signal.SIGKILL)
    assert read_samples(tmp_path)["due_ns"].to_pylist() == [0, 1, 2, 3, 4]


def test_shards_are_merged_by_due_time_and_compaction_changes_nothing(tmp_path):
    write(tmp_path, 3, worker=0)
    write(tmp_path, 2, worker=1)
    before = read_samples(tmp_path)
    assert before["due_ns"].to_pylist() == [0, 0, 5, 5, 10, 10, 15, 15, 20, 25]
    compact(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["samples-0.parquet", "samples-1.parquet"]
    columns = ["due_ns", "outcome"]
    assert read_samples(tmp_path).select(columns).equals(before.select(columns))


def test_a_compacted_shard_hides_a_journal_left_beside_it(tmp_path):
    journal = write(tmp_path, 2)
    data = journal.read_bytes()
    compact(tmp_path)
    journal.write_bytes(data)  # as if the process died between rename and unlink
    assert read_samples(tmp_path).num_rows == 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("samples-0.arrows", b"not arrow at all", "cannot read samples", id="garbage"),
        pytest.param("samples-0.parquet", b"PAR1", "cannot read samples", id="broken parquet"),
    ],
)
def test_a_file_that_is_no_samples_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StoreError, match=message):
        read_samples(tmp_path)


def test_a_parquet_file_of_another_schema_names_what_is_missing(tmp_path):
    pq.write_table(pa.table({"due_ns": [1]}), tmp_path / "samples-0.parquet")
    with pytest.raises(StoreError, match=r"missing columns: .*'sent_ns'"):
        read_shard(tmp_path / "samples-0.parquet")


def test_a_folder_without_samples_and_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(StoreError, match="holds no samples"):
        read_samples(tmp_path)
    with pytest.raises(StoreError, match="cannot write samples"):
        SampleJournal(tmp_path / "nowhere" / "samples-0.arrows")


def test_a_journal_is_never_overwritten(tmp_path):
    write(tmp_path, 1)
    with pytest.raises(StoreError, match="File exists"):
        SampleJournal(tmp_path / "samples-0.arrows")
