"""Stored columns and foreign CSV become the samples that the core judges."""

import numpy as np
import pytest

from slokit.core.sample import Outcome
from slokit.errors import UsageError
from slokit.runs.columns import read_csv, to_samples
from slokit.runs.journal import SampleJournal, read_samples

HEADER = "due_s,sent_s,end_s,status"


def samples_of(tmp_path, **columns):
    journal = SampleJournal(tmp_path / "samples-0.arrows")
    journal.write(columns)
    journal.close()
    return to_samples(read_samples(tmp_path))


def test_nanoseconds_become_seconds_and_null_becomes_nan(tmp_path):
    samples = samples_of(
        tmp_path,
        due_ns=[1_000_000_000, 2_000_000_000],
        sent_ns=[1_001_000_000, None],
        end_ns=[1_251_000_000, None],
        lag_ns=[1_000_000, None],
        outcome=["ok", "dropped"],
        text_class=["short", "长文"],
        stage=[2, None],
    )
    assert samples.due_s.tolist() == [1.0, 2.0]
    assert np.isnan(samples.sent_s).tolist() == [False, True]
    assert samples.latency_s.tolist() == [pytest.approx(0.251), np.inf]
    assert samples.service_s.tolist() == [pytest.approx(0.250), np.inf]
    assert samples.lag_s.tolist() == [pytest.approx(0.001), 0.0]
    assert samples.classes == ("short", "长文")
    assert samples.stage.tolist() == [2, 0]


def test_no_rows_are_no_samples(tmp_path):
    samples = samples_of(tmp_path, due_ns=[])
    assert len(samples) == 0
    assert samples.classes == ()


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        pytest.param("0,0,0.1,200", Outcome.OK, id="200"),
        pytest.param("0,0,0.1,204", Outcome.OK, id="204"),
        pytest.param("0,0,0.1,302", Outcome.HTTP_3XX, id="302"),
        pytest.param("0,0,0.1,404", Outcome.HTTP_4XX, id="404"),
        pytest.param("0,0,0.1,429", Outcome.HTTP_429, id="429"),
        pytest.param("0,0,0.1,503", Outcome.HTTP_5XX, id="503"),
        pytest.param("0,0,,", Outcome.TIMEOUT, id="never ended"),
        pytest.param("0,0,,0", Outcome.TIMEOUT, id="never ended, status 0"),
        pytest.param("0,0,0.1,", Outcome.RESET, id="ended without a status"),
        pytest.param("0,0,,200", Outcome.TRUNCATED, id="a status but no end"),
    ],
)
def test_csv_status_and_end_give_the_outcome(tmp_path, row, outcome):
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}\n{row}\n")
    assert read_csv(path).outcome.tolist() == [outcome.value]


def test_csv_is_sorted_by_due_and_what_lies_before_sent_is_lag(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER},text_class\n2,2.5,3,200,long\n\n1,1,1.5,200,\n")
    samples = read_csv(path)
    assert samples.due_s.tolist() == [1.0, 2.0]
    assert samples.lag_s.tolist() == [0.0, 0.5]
    assert samples.text_class.tolist() == ["all", "long"]


def test_csv_with_a_byte_order_mark_and_windows_line_ends_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"\r\n0,0,1,200\r\n")
    assert len(read_csv(path)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", r"a\.csv:1: got the header '\(nothing\)'", id="empty"),
        pytest.param("a,b\n", r":1: got the header 'a,b', expected due_s,sent_s", id="header"),
        pytest.param(f"{HEADER}\n1,1,2\n", ":2: got 3 cells, expected 4", id="too few cells"),
        pytest.param(f"{HEADER}\nx,1,2,200\n", ":2: due_s is 'x'", id="no number"),
        pytest.param(f"{HEADER}\nnan,1,2,200\n", ":2: due_s is 'nan'", id="nan"),
        pytest.param(f"{HEADER}\ninf,1,2,200\n", ":2: due_s is 'inf'", id="infinite"),
        pytest.param(f"{HEADER}\n,1,2,200\n", "due_s <= sent_s <= end_s", id="no due"),
        pytest.param(f"{HEADER}\n2,1,3,200\n", "due_s <= sent_s <= end_s", id="sent before due"),
        pytest.param(f"{HEADER}\n1,2,1.5,200\n", "due_s <= sent_s <= end_s", id="end before sent"),
        pytest.param(f"{HEADER}\n1,1,2,999\n", ":2: status is '999'", id="status"),
        pytest.param(f"{HEADER}\n1,1,2,２００\n", ":2: status is", id="full-width digits"),
    ],
)
def test_csv_that_cannot_be_meant_is_refused_with_its_line(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_csv(path)


def test_csv_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="no CSV in UTF-8"):
        read_csv(tmp_path / "b.csv")
