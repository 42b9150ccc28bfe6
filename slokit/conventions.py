"""Every file, column and header name that leaves a process, in one place.

The columns of a sample are the contract between the load processes, the run store and
everything that judges or draws. Times are integer nanoseconds of one monotonic clock
since the run began; null means "it never happened".
"""

from typing import Final

SCHEMA_VERSION: Final = 1

# Column -> Arrow type name. Order is the order in the files.
SAMPLE_COLUMNS: Final[dict[str, str]] = {
    "due_ns": "int64",  # when the schedule asked for it
    "sent_ns": "int64",  # first byte handed over, before connect; null: never sent
    "first_byte_ns": "int64",  # first byte of the answer
    "end_ns": "int64",  # last byte of the answer, or the moment it was given up
    "lag_ns": "int64",  # sent - max(due, moment a slot was free): the generator's own delay
    "connect_ns": "int64",  # time spent connecting; null on a reused connection
    "status": "int16",  # HTTP status; null without an answer
    "outcome": "string",  # slokit.core.sample.Outcome
    "text_class": "string",
    "chars": "int32",  # characters of all texts in the request
    "tokens": "int32",  # as the service counted them; null when it does not say
    "batch": "int32",  # texts in the request
    "text_id": "int64",  # which text of the seeded sequence (the first one of a batch)
    "bytes": "int32",  # size of the answer's body
    "worker": "int16",
    "user": "int32",  # closed loop: which user; open loop: 0
    "stage": "int16",
    "server_queue_us": "int64",
    "server_tokenize_us": "int64",
    "server_infer_us": "int64",
    "server_serialize_us": "int64",
    "trace_id": "string",
}

# One row a second of a run's life, per load process.
TICK_COLUMNS: Final[dict[str, str]] = {
    "t_s": "float64",  # end of the second, since the run began
    "scheduled": "int64",  # requests due so far
    "sent": "int64",
    "done": "int64",  # finished in any way
    "errors": "int64",  # finished, not ok (dropped included)
    "dropped": "int64",
    "in_flight": "int64",
    "cpu_ratio": "float64",  # CPU of the load process in this second, 1.0 = one core
    "p95_s": "float64",  # rolling over the last 10 s; null without answers
    "worker": "int16",
}

MANIFEST_FILE: Final = "run.json"
VERDICT_FILE: Final = "verdict.json"
REPORT_FILE: Final = "report.md"
SERIES_FILE: Final = "series.parquet"
JOURNAL_SUFFIX: Final = ".arrows"  # Arrow IPC stream, readable after kill -9
SAMPLES_SUFFIX: Final = ".parquet"
SAMPLES_PREFIX: Final = "samples-"  # samples-<worker>.arrows / .parquet
TICKS_PREFIX: Final = "ticks-"  # ticks-<worker>.jsonl, while a run lasts

RUNS_ENV: Final = "SLOKIT_RUNS"
PLAN_ENV: Final = "SLOKIT_PLAN"  # path of the load plan, set for load processes only

RUN_ID_HEADER: Final = "X-Slokit-Run"
TRACE_HEADER: Final = "traceparent"
SERVER_TIMING_HEADER: Final = "server-timing"
SERVER_PHASES: Final = ("queue", "tokenize", "infer", "serialize")

JUDGE_CSV_HEADER: Final = ("due_s", "sent_s", "end_s", "status")  # and optionally text_class
