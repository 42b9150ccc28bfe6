"""Files with Locust's own users: each request is a sample, as docs/scenarios.md shows it."""

import re
import socket
import time
from pathlib import Path

import pytest

from slokit.core.sample import Outcome
from slokit.errors import StoreError, TargetError, UsageError
from slokit.load.launcher import launch
from slokit.load.plan import LoadPlan
from slokit.load.preflight import preflight
from slokit.load.scenario import Scenario, read_scenario
from slokit.load.stock import stock_outcome
from slokit.runs.store import read_samples

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scenarios.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
LUNCH, CACHE, FAST, CHECKING = EXAMPLES


@pytest.fixture
def play(tmp_path, start_server):
    """Run a file for a moment: `play(source, users=3)` gives samples, ticks, the process."""

    def run(source, *server, timeout_s=5.0, **load):
        path = tmp_path / "mine.py"
        path.write_text(source, encoding="utf-8")
        (tmp_path / "run").mkdir()
        scenario = read_scenario(path).scenario.with_load(**load)
        plan = LoadPlan.of(
            scenario, name="mine", run_id="r", run_dir=str(tmp_path / "run"),
            url=start_server(*server).url, seed=1, timeout_s=timeout_s,
        )  # fmt: skip
        target = preflight(plan)
        assert target.warnings == ()
        with launch(plan, path) as process:
            assert process.wait(40)
            assert process.failure is None
            return read_samples(tmp_path / "run").to_pandas(), process.ticks(), process

    return run


def test_fast_http_users_without_a_scenario(play):
    samples, ticks, load = play(FAST, "--delay-s", "0.05", users=4, duration="2s")
    assert load.end == {"status": "complete", "error": None, "error_kind": None, "warnings": []}
    assert load.returncode == 0
    counts = samples.text_class.value_counts()
    assert counts["query"] == counts["results"]
    assert 16 <= counts["query"] <= 20  # 4 users, 2 visits a second, 2 seconds
    assert set(samples.outcome) == {"ok"}
    assert set(samples.status) == {200}
    assert (samples.due_ns == samples.sent_ns).all()
    assert set(samples.lag_ns) == {0}
    service_s = (samples.end_ns - samples.sent_ns) / 1e9
    assert service_s.min() >= 0.05
    assert service_s.median() < 0.15
    assert sorted(set(samples.user)) == [0, 1, 2, 3]
    assert (ticks[-1]["sent"], ticks[-1]["done"]) == (len(samples), len(samples))
    assert len(ticks) >= 2


def test_http_users_with_a_scenario(play):
    """Times are not rounded to Locust's two digits."""
    samples, _, _ = play(CHECKING, "--delay-s", "0.12", duration="2s")
    assert set(samples.outcome) == {"ok"}
    assert set(samples.text_class) == {"query"}
    assert sorted(set(samples.user)) == [0, 1, 2, 3, 4]
    service_ms = (samples.end_ns - samples.sent_ns) / 1e6
    assert (service_ms % 1 > 0).all()


def test_what_is_in_flight_at_the_end_is_waited_for(play):
    samples, _, load = play(CHECKING, "--delay-s", "1.5", users=2, duration="1s")
    assert (len(samples), set(samples.outcome)) == (2, {"ok"})
    assert load.end["status"] == "complete"


def test_the_users_own_checks_and_wrong_routes_are_errors(play):
    source = CHECKING.replace("if not answer", "if answer").replace(
        'asked = {"input"', 'self.client.get("/nowhere")\n        asked = {"input"'
    )
    samples, ticks, _ = play(source, users=1, duration="1s")
    outcomes = samples.groupby("text_class").outcome.unique().map(list).to_dict()
    assert outcomes == {"/nowhere": ["http_4xx"], "query": ["invalid_body"]}
    assert ticks[-1]["errors"] == len(samples)


def test_too_many_names_end_in_one_class(play):
    source = FAST.replace("constant_pacing(0.5)", "constant_pacing(0.01)").replace(
        'name="query"', 'name=f"q{id(object()) % 7919}-{self.environment.stats.num_requests}"'
    )
    samples, _, load = play(source, users=1, duration="2s")
    assert samples.text_class.nunique() == 51
    assert "other" in set(samples.text_class)
    (warning,) = load.end["warnings"]
    assert warning == (
        "requests have more than 50 names: the rest is judged as 'other' "
        "(give each kind of request one name: name=...)"
    )


def test_a_run_that_cannot_be_written_says_so(play, tmp_path, start_server):
    path = tmp_path / "mine.py"
    path.write_text(FAST, encoding="utf-8")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "samples-0.arrows").touch()
    plan = LoadPlan.of(
        read_scenario(path).scenario, name="mine", run_id="r", run_dir=str(tmp_path / "run"),
        url=start_server().url, seed=1,
    )  # fmt: skip
    with launch(plan, path) as load:
        assert load.wait(40)
        assert isinstance(load.failure, StoreError)


def test_a_stop_keeps_what_was_measured(tmp_path, start_server):
    path = tmp_path / "mine.py"
    path.write_text(CHECKING, encoding="utf-8")
    (tmp_path / "run").mkdir()
    plan = LoadPlan.of(
        read_scenario(path).scenario, name="mine", run_id="r", run_dir=str(tmp_path / "run"),
        url=start_server("--delay-s", "0.1").url, seed=1,
    )  # fmt: skip
    with launch(plan, path) as load:
        deadline = time.monotonic() + 40
        while not load.ticks():
            assert load.running
            assert time.monotonic() < deadline
            time.sleep(0.05)
        load.stop()
        assert load.wait(40)
        assert (load.end["status"], load.failure) == ("interrupted", None)
    samples = read_samples(tmp_path / "run").to_pandas()
    assert len(samples) >= 20
    assert set(samples.outcome) == {"ok"}  # what was in flight was waited for


def test_a_target_that_is_not_there(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    scenario = Scenario(client="locust", users=1, duration="1s")
    plan = LoadPlan.of(scenario, name="x", run_id="r", run_dir="", url=url, seed=1)
    with pytest.raises(TargetError, match="cannot connect to"):
        preflight(plan)


@pytest.mark.parametrize(
    ("exception", "status", "outcome"),
    [
        pytest.param(None, 200, Outcome.OK, id="good"),
        pytest.param(None, 503, Outcome.OK, id="a success by the user's word"),
        pytest.param(ValueError(), 200, Outcome.INVALID_BODY, id="a failure by the user's word"),
        pytest.param(ValueError(), 302, Outcome.HTTP_3XX, id="redirect"),
        pytest.param(ValueError(), 404, Outcome.HTTP_4XX, id="not found"),
        pytest.param(ValueError(), 429, Outcome.HTTP_429, id="too many"),
        pytest.param(ValueError(), 500, Outcome.HTTP_5XX, id="server error"),
        pytest.param(TimeoutError(), None, Outcome.TIMEOUT, id="time-out"),
        pytest.param(type("ReadTimeout", (OSError,), {})(), None, Outcome.TIMEOUT, id="requests'"),
        pytest.param(ConnectionRefusedError(), None, Outcome.CONNECT, id="refused"),
        pytest.param(ConnectionResetError(), None, Outcome.RESET, id="reset"),
        pytest.param(type("ProtocolError", (OSError,), {})(), None, Outcome.RESET, id="broken"),
    ],
)
def test_how_requests_of_locusts_clients_end(exception, status, outcome):
    assert stock_outcome(exception, status) is outcome


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("class A(HttpUser): pass\n", True, id="HttpUser"),
        pytest.param("class A(locust.FastHttpUser): pass\n", True, id="by module"),
        pytest.param("class A(EmbeddingUser): pass\n", False, id="ours without SCENARIO"),
        pytest.param("class A(User): pass\nclass B(EmbeddingUser): pass\n", False, id="both"),
        pytest.param("class A: pass\n", False, id="no user"),
    ],
)
def test_which_files_are_locusts_own(tmp_path, source, found):
    path = tmp_path / "mine.py"
    path.write_text(source)
    if found:
        scenario = read_scenario(path).scenario
        assert (scenario.client, scenario.steps, scenario.slo) == ("locust", ((1, 60.0),), ())
    else:
        with pytest.raises(UsageError, match="no SCENARIO found"):
            read_scenario(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"rate": "5rps"}, "write users and duration only", id="a rate"),
        pytest.param({"batch": 2}, "write users and duration only", id="batch"),
        pytest.param({"pacing": "1s"}, "write users and duration only", id="pacing"),
    ],
)
def test_what_locusts_own_users_cannot_be_told(change, message):
    settings = {"client": "locust", "duration": "1s"}
    settings |= {} if "rate" in change else {"users": 1}
    with pytest.raises(UsageError, match=message):
        Scenario(**settings | change)


def test_locusts_own_users_take_no_texts():
    scenario = Scenario(client="locust", users=1, duration="1s")
    with pytest.raises(UsageError, match="choose their texts themselves"):
        LoadPlan.of(
            scenario, name="x", texts_file="t.txt", run_id="", run_dir="", url="http://h", seed=1
        )


@pytest.mark.parametrize("source", [LUNCH, CACHE], ids=["lunch", "cache"])
def test_the_scenarios_of_the_page_are_read(tmp_path, source):
    path = tmp_path / "mine.py"
    path.write_text(source, encoding="utf-8")
    found = read_scenario(path)
    assert found.summary.endswith(".")
    assert found.scenario.loop == "open"
