"""What a stored sample says, field by field, of a real run against the reference server."""

import json
import subprocess
import sys

import numpy as np
import pytest

import slokit
from slokit.conventions import SAMPLE_COLUMNS

DURATION_NS = 4_000_000_000


@pytest.fixture(scope="module")
def frame(tiny_server, tmp_path_factory):
    """The samples of a short run of all text classes, two texts a request."""
    folder = tmp_path_factory.mktemp("fields")
    words = [sys.executable, "-m", "slokit", "run", "mixed", "--host", tiny_server, "--json"]
    words += ["--rate", "50rps", "--duration", "4s", "--batch", "2", "--seed", "5"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    return slokit.open_run(folder / document["paths"]["run"]).frame()


CHARS = {"short": 4, "medium": 20, "long": 50}
FIELDS = {
    "due_ns": lambda f: f.due_ns.between(0, DURATION_NS).all() and f.due_ns.is_monotonic_increasing,
    "sent_ns": lambda f: (f.sent_ns >= f.due_ns).all(),
    "first_byte_ns": lambda f: (f.first_byte_ns > f.sent_ns).all(),
    "end_ns": lambda f: (f.end_ns >= f.first_byte_ns).all(),
    "lag_ns": lambda f: (f.lag_ns == f.sent_ns - f.due_ns).all(),
    "connect_ns": lambda f: f.connect_ns.iloc[0] > 0 and f.connect_ns.isna().sum() > len(f) // 2,
    "status": lambda f: set(f.status) == {200},
    "outcome": lambda f: set(f.outcome) == {"ok"},
    "text_class": lambda f: set(f.text_class) == set(CHARS),
    "chars": lambda f: (f.chars == 2 * f.text_class.map(CHARS)).all(),
    "tokens": lambda f: ((f.tokens - f.chars) == 4).all(),  # [CLS] and [SEP] of two texts
    "batch": lambda f: set(f.batch) == {2},
    "text_id": lambda f: not f.duplicated(["text_class", "text_id"]).any(),
    "bytes": lambda f: (f.bytes > 1000).all(),
    "worker": lambda f: set(f.worker) == {0},
    "user": lambda f: set(f.user) == {0},
    "stage": lambda f: set(f.stage) == {0},
    "server_queue_us": lambda f: (f.server_queue_us >= 0).all(),
    "server_tokenize_us": lambda f: (f.server_tokenize_us > 0).all(),
    "server_infer_us": lambda f: (f.server_infer_us > 0).all(),
    "server_serialize_us": lambda f: (f.server_serialize_us > 0).all(),
    "trace_id": lambda f: f.trace_id.str.fullmatch("[0-9a-f]{32}").all() and f.trace_id.is_unique,
}


def test_every_field_has_a_row():
    assert list(FIELDS) == list(SAMPLE_COLUMNS)


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_means_what_it_says(frame, name):
    assert len(frame) > 120
    assert FIELDS[name](frame), frame[name].describe()


def test_what_the_server_says_it_spent_fits_into_the_service_time(frame):
    phases = [frame[f"server_{p}_us"] for p in ("queue", "tokenize", "infer", "serialize")]
    service_us = (frame.end_ns - frame.sent_ns).astype(np.int64) / 1000
    assert (sum(phases).astype(np.int64) <= service_us + 4).all()  # each is rounded down
