"""What the machine can measure: found by a climb, said with advice, printed as JSON."""

import json

import numpy as np
import pytest

from slokit.cli.doctor import advise, advise_on_load, best_of, document_of, look_at_service
from slokit.errors import ExitCode
from slokit.load.calibration import Machine, Step, climb, look_at_machine, summarise
from slokit.load.null_server import ANSWER, BODY, DIM, null_server, request_length
from slokit.load.protocol import PROTOCOLS, check_vectors


def step(rate_rps, lag_p99_s=0.0005, dropped=0, failed=0):
    return Step(rate_rps, lag_p99_s, 0.0001, 0.0004, dropped, failed)


def machine(**changes):
    facts = {
        "cores": 4, "files_soft": 8192, "files_hard": 8192, "clock_source": "tsc",
        "clock_resolution_s": 1e-9, "late_p50_s": 1e-4, "late_p99_s": 2e-4,
    }  # fmt: skip
    return Machine(**(facts | changes))


@pytest.mark.parametrize(
    ("honest", "tried"),
    [
        pytest.param({100, 200, 400}, [100, 200, 400], id="all of them"),
        pytest.param({100, 140}, [100, 200, 200, 141], id="two misses, then one between"),
        pytest.param(set(), [100, 100], id="not even the lowest"),
    ],
)
def test_a_climb(honest, tried):
    steps = climb(
        lambda rate: step(rate, lag_p99_s=0.001 if rate in honest else 0.003),
        [100, 200, 400],
        enough=lambda: False,
    )
    assert [one.rate_rps for one in steps] == tried


def test_one_miss_may_be_anothers_doing():
    lags = iter([0.001, 0.009, 0.001, 0.001])
    steps = list(climb(lambda r: step(r, next(lags)), [100, 200, 400], enough=lambda: False))
    assert [one.rate_rps for one in steps] == [100, 200, 200, 400]
    assert best_of(steps) == 400


def test_a_climb_ends_when_time_is_up():
    answers = iter([False, False, True])
    steps = list(climb(step, [100, 200, 400], enough=lambda: next(answers)))
    assert [one.rate_rps for one in steps] == [100, 200]


@pytest.mark.parametrize(
    ("changes", "honest"),
    [
        pytest.param({}, True, id="on time"),
        pytest.param({"lag_p99_s": 0.002}, True, id="at the limit"),
        pytest.param({"lag_p99_s": 0.0021}, False, id="late"),
        pytest.param({"dropped": 1}, False, id="one dropped"),
        pytest.param({"failed": 1}, False, id="one failed"),
    ],
)
def test_an_honest_rate(changes, honest):
    assert step(100, **changes).honest is honest


def test_a_step_leaves_its_beginning_out():
    due_ns = np.array([0, 600_000_000, 700_000_000, 800_000_000])
    end_ns = due_ns + np.array([900_000_000, 1_000_000, 2_000_000, 3_000_000])
    lag_ns = np.array([8e8, 1e6, np.nan, 1e6])
    outcome = np.array(["ok", "ok", "dropped", "timeout"], dtype=object)
    found = summarise(50, due_ns, end_ns, lag_ns, outcome)
    assert (found.lag_p99_s, found.latency_p50_s) == (pytest.approx(1e-3), pytest.approx(2e-3))
    assert (found.dropped, found.failed) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "row", "advice"),
    [
        pytest.param({}, 0, "should have its own", id="cores"),
        pytest.param({"cores": 1}, 0, "another machine", id="one core"),
        pytest.param({"files_hard": 1024}, 1, "ulimit -n 4096", id="few files"),
        pytest.param({"clock_source": "hpet"}, 2, "prefer tsc", id="slow clock"),
        pytest.param({"late_p99_s": 0.004}, 3, "other programs", id="busy cores"),
    ],
)
def test_each_fact_has_its_advice(changes, row, advice):
    assert advice in advise(machine(**changes))[row][2]


def test_no_honest_rate_is_said():
    rows = advise_on_load(step(100), [step(200, lag_p99_s=1.0)])
    assert rows[1][1:] == ("none", "not even the lowest rate left on time: free the cores first")


def test_the_document_is_json_with_seconds():
    document = document_of(machine(), step(100), [step(500), step(1000, dropped=3)], None)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["highest_honest_rps"] == 500
    assert [one["honest"] for one in document["rates"]] == [True, False]


def test_this_machine_has_cores_and_sleeps():
    found = look_at_machine(sleeps=5)
    assert found.cores >= 1
    assert found.files_hard >= found.files_soft > 0
    assert 0 <= found.late_p50_s <= found.late_p99_s


def test_the_null_server_answers_like_a_service():
    assert check_vectors(PROTOCOLS["openai"], BODY, count=1, dim=DIM).unit_norm
    assert ANSWER.endswith(BODY)
    assert len(BODY) == 9600


@pytest.mark.parametrize(
    ("data", "length"),
    [
        pytest.param(b"POST / HTTP/1.1\r\nContent-Le", 0, id="half a head"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 18, id="no body"),
        pytest.param(b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n", 41, id="small letters"),
        pytest.param(
            b"POST / HTTP/1.1\r\ncontent-type: x\r\nContent-Length: 2\r\n\r\n{}POST", 57,
            id="another header first, another request behind",
        ),
    ],
)  # fmt: skip
def test_where_a_request_ends(data, length):
    assert request_length(data) == length


def test_a_service_whose_vectors_are_all_alike_is_remarked_on():
    with null_server() as url:
        service = look_at_service(url, protocol="openai", path=None, model=None)
    assert (service["dim"], service["near_cosine"]) == (DIM, pytest.approx(1))
    assert "is the model trained?" in service["said"][-1]


def test_a_service_that_is_not_there_ends_with_5_before_anything_is_measured(slokit):
    result = slokit("doctor", "--host", "http://127.0.0.1:1")
    assert result.code == ExitCode.TARGET
    assert "cannot connect" in result.err
    assert "looking at" not in result.err


def test_the_whole_of_it(slokit):
    result = slokit("doctor", "--json")
    document = json.loads(result.out)
    assert result.code == 0
    assert document["floor"]["failed"] == document["floor"]["dropped"] == 0
    assert document["floor"]["latency_p99_s"] > document["floor"]["latency_p50_s"] > 0
    assert document["rates"][0]["rate_rps"] == 200
    assert "offering 200 requests/s" in result.err
