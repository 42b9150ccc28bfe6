"""The dispatcher in this process, without Locust: its ends, its failures, its observers."""

import json
import socket
import time
from pathlib import Path

import gevent
import pytest

from slokit.core.sample import Outcome
from slokit.errors import StoreError, UsageError
from slokit.load.engine import Engine
from slokit.load.plan import Stage
from slokit.load.precise import Alarm
from slokit.runs.journal import read_samples


@pytest.fixture
def dead_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def ending_of(plan):
    return json.loads(Path(plan.run_dir, "load-0.json").read_text())


def test_a_dead_port_is_an_outcome_of_each_request(make_plan, dead_port):
    plan = make_plan(dead_port, rate_rps=100.0, duration_s=0.5, arrivals="constant")
    seen = []
    Engine(plan, observe=lambda *told: seen.append(told)).run()
    samples = read_samples(Path(plan.run_dir)).to_pandas()
    assert samples.outcome.tolist() == ["connect"] * 50
    assert samples.status.isna().all()
    assert samples.first_byte_ns.isna().all()
    assert [(name, outcome) for name, _, _, outcome in seen] == [("short", Outcome.CONNECT)] * 50
    assert ending_of(plan)["status"] == "complete"


def test_users_do_not_hammer_a_dead_port(make_plan, dead_port):
    """Without pacing a failed connection would be tried ten thousand times a second."""
    plan = make_plan(dead_port, loop="closed", stages=(Stage(0.5, 2),), duration_s=0.5)
    Engine(plan).run()
    samples = read_samples(Path(plan.run_dir)).to_pandas()
    assert set(samples.user) == {0, 1}
    assert 2 <= len(samples) <= 12  # at most every 100 ms each


def test_a_stop_before_the_start(make_plan, dead_port):
    plan = make_plan(dead_port)
    engine = Engine(plan)
    engine.stop()
    engine.run()
    engine.stop()
    assert read_samples(Path(plan.run_dir)).num_rows == 0
    assert ending_of(plan)["status"] == "interrupted"


def test_a_stop_in_the_middle(serve, make_plan):
    """The one request in flight is recorded, with the time it was given up."""
    server = serve(lambda connection: (connection.recv(9999), connection.recv(9999)))
    plan = make_plan(server.port, rate_rps=1.0, duration_s=60.0, arrivals="constant")
    engine = Engine(plan)
    gevent.spawn_later(0.3, engine.stop)
    began_ns = time.monotonic_ns()
    engine.run()
    (sample,) = read_samples(Path(plan.run_dir)).to_pylist()
    assert (sample["outcome"], sample["due_ns"], sample["status"]) == ("interrupted", 0, None)
    assert 0 <= sample["sent_ns"] < sample["end_ns"] < time.monotonic_ns() - began_ns


def test_a_failing_observer_ends_the_load_and_is_named(make_plan, dead_port):
    def observe(*_):
        raise ZeroDivisionError("a bug in an observer")

    plan = make_plan(dead_port, rate_rps=50.0, duration_s=60.0)
    with pytest.raises(ZeroDivisionError):
        Engine(plan, observe=observe).run()
    ending = ending_of(plan)
    assert (ending["status"], ending["error_kind"]) == ("failed", "ZeroDivisionError")
    assert ending["error"] == "a bug in an observer"


def test_texts_and_keys_are_looked_at_first(make_plan, tmp_path):
    with pytest.raises(UsageError, match="the API key variable NO_SUCH_KEY is not set"):
        Engine(make_plan(api_key_env="NO_SUCH_KEY"))
    with pytest.raises(UsageError, match="cannot read the texts"):
        Engine(make_plan(mix={"custom": 1.0}, texts_file=str(tmp_path / "none")))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone(make_plan, tmp_path):
    with pytest.raises(StoreError, match="No such file or directory"):
        Engine(make_plan(run_dir=str(tmp_path / "gone")))


def test_an_alarm_never_wakes_too_early():
    with Alarm() as alarm:
        for pause_ns in (0, 100_000, 1_500_000, 20_000_000):
            moment_ns = time.monotonic_ns() + pause_ns
            alarm.sleep_until(moment_ns)
            assert time.monotonic_ns() >= moment_ns


def test_an_alarm_that_rings_at_once_lets_others_run():
    turns = []
    gevent.spawn(turns.append, "other")
    with Alarm() as alarm:
        alarm.sleep_until(0)
    assert turns == ["other"]
