"""Real Locust processes against a real server process: what is offered is what is recorded."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slokit.core.arrivals import Arrivals, due_times
from slokit.errors import StoreError, UsageError
from slokit.load.launcher import launch
from slokit.load.plan import LoadPlan
from slokit.load.preflight import preflight
from slokit.load.scenario import PACKAGED_FOLDER, Scenario
from slokit.runs.journal import read_samples

SHORT = PACKAGED_FOLDER / "short.py"
LIMIT_S = 40


@pytest.fixture
def plan_for(tmp_path):
    """A plan against a running server; keywords go to the scenario or the plan."""

    def make(server, *, settings=None, **load):
        scenario = Scenario(**({"texts": {"short": 1}} | load))
        (tmp_path / "run").mkdir(exist_ok=True)
        run_dir = str(tmp_path / "run")
        plan = LoadPlan.of(
            scenario, name="short", run_id="test", run_dir=run_dir, url=server.url, seed=11,
            **(settings or {}),
        )  # fmt: skip
        return replace(plan, model="tiny", dim=4)

    return make


def finish(plan, path=SHORT):
    """Run a plan to its end: (samples as a DataFrame, all ticks, the load process)."""
    with launch(plan, path) as load:
        assert load.wait(LIMIT_S)
        assert load.failure is None
        return read_samples(Path(plan.run_dir)).to_pandas(), load.ticks(), load


def wait_for_ticks(load, count):
    """Wait until so many seconds of load are reported."""
    seen, deadline = [], time.monotonic() + LIMIT_S
    while len(seen) < count:
        assert load.running, load.failure
        assert time.monotonic() < deadline
        time.sleep(0.05)
        seen += load.ticks()
    return seen


def test_an_open_loop_in_hostile_surroundings(start_server, plan_for, tmp_path, monkeypatch):
    """Stray configuration and variables of the user change nothing of what is offered."""
    stray = "users = 50\nrun-time = 1s\nhost = http://nowhere.invalid\n"
    for place in (tmp_path / "locust.conf", tmp_path / ".locust.conf"):
        place.write_text(stray)
    (tmp_path / "gevent.py").write_text("raise SystemExit('shadowed')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCUST_USERS", "50")
    monkeypatch.setenv("LOCUST_RUN_TIME", "1s")
    monkeypatch.setenv("http_proxy", "http://nowhere.invalid:1")
    plan = plan_for(start_server(), rate="60rps", duration="3s")
    samples, ticks, load = finish(plan)
    schedule = due_times(
        Arrivals.parse("poisson"), rate_rps=60, duration_s=3, seed=plan.seed_for("schedule")
    )
    assert samples.due_ns.tolist() == (schedule * 1e9).astype(int).tolist()
    assert set(samples.outcome) == {"ok"}
    assert (samples.sent_ns >= samples.due_ns).all()
    assert (samples.lag_ns == samples.sent_ns - samples.due_ns).all()
    assert (samples.end_ns - samples.sent_ns).min() >= 2_000_000
    assert samples.text_id.is_unique
    assert set(samples.chars) == set(samples.tokens) == {4}
    assert set(samples.server_infer_us) == {2000}
    assert set(samples.server_queue_us) == {250}
    assert samples.trace_id.str.fullmatch("[0-9a-f]{32}").all()
    assert (ticks[-1]["scheduled"], ticks[-1]["done"], ticks[-1]["in_flight"]) == (
        len(schedule),
        len(schedule),
        0,
    )
    assert ticks[-1]["p95_s"] >= 0.002
    assert load.end["status"] == "complete"
    assert load.end["warnings"] == []
    assert load.returncode == 0


def test_a_closed_loop_in_stages(start_server, plan_for):
    plan = plan_for(
        start_server("--delay-s", "0.02"),
        texts={"medium": 1, "long": 1},
        stages=((1, "1s"), (4, "1s"), (2, "1s")),
        batch=3,
    )
    samples, _, _ = finish(plan)
    assert set(samples.outcome) == {"ok"}
    assert samples.groupby("stage").user.max().tolist() == [0, 3, 1]
    for _, one in samples.groupby("user"):
        assert (one.due_ns.to_numpy()[1:] >= one.end_ns.to_numpy()[:-1]).all()
    assert set(samples.batch) == {3}
    assert set(samples.chars) == {60, 150}
    starts = samples.groupby("stage").due_ns.min() / 1e9
    assert starts.tolist() == pytest.approx([0, 1, 2], abs=0.1)


def test_pacing_counts_from_the_intended_start(start_server, plan_for):
    """A service slower than the pacing: the backlog shows in latency, not in service time."""
    server = start_server("--delay-s", "0.1")
    plan = plan_for(server, users=1, duration="2s", pacing="50ms")
    samples, _, _ = finish(plan)
    gaps = np.diff(samples.due_ns)
    assert set(gaps.tolist()) == {50_000_000}
    latency_s = (samples.end_ns - samples.due_ns) / 1e9
    assert latency_s.iloc[-1] > 1
    assert ((samples.end_ns - samples.sent_ns) / 1e9).median() < 0.2
    assert (samples.lag_ns.median() / 1e9) < 0.05  # waiting for the service is not our lag


def test_the_schedule_is_kept_while_the_service_is_frozen(start_server, plan_for):
    """One second of freeze in four: everything due in it waits, and the samples say so."""
    server = start_server("--freeze", "1:2")
    plan = plan_for(server, rate="50rps", duration="4s", arrivals="constant")
    samples, _, _ = finish(plan)
    assert samples.due_ns.tolist() == [int(i / 50 * 1e9) for i in range(200)]
    latency_s = ((samples.end_ns - samples.due_ns) / 1e9).to_numpy()
    assert latency_s.max() > 0.8
    assert 35 <= (latency_s > 0.2).sum() <= 60  # 40 of the 50 due in the frozen second
    assert (samples.lag_ns / 1e9).median() < 0.05


def test_requests_without_a_slot_are_dropped(start_server, plan_for):
    plan = plan_for(
        start_server("--delay-s", "0.5"),
        rate="20rps", duration="1s", arrivals="constant", settings={"max_in_flight": 2},
    )  # fmt: skip
    samples, ticks, _ = finish(plan)
    dropped = samples[samples.outcome == "dropped"]
    assert len(samples) == 20
    assert len(dropped) == 16  # two slots, each free twice in the second
    assert dropped.sent_ns.isna().all()
    assert ticks[-1]["dropped"] == ticks[-1]["errors"] == 16


def test_kill_9_loses_at_most_the_last_second(start_server, plan_for):
    plan = plan_for(start_server(), rate="50rps", duration="60s")
    with launch(plan, SHORT) as load:
        ticks = wait_for_ticks(load, 2)
        os.kill(load.pid, signal.SIGKILL)
        assert load.wait(LIMIT_S)
        assert load.end is None
        assert "killed by SIGKILL" in str(load.failure)
    samples = read_samples(Path(plan.run_dir))
    assert samples.num_rows >= ticks[-1]["done"] > 50


def test_a_stop_keeps_every_sample(start_server, plan_for):
    plan = plan_for(start_server("--delay-s", "0.7"), rate="40rps", duration="60s")
    with launch(plan, SHORT) as load:
        wait_for_ticks(load, 2)
        load.stop()
        assert load.wait(LIMIT_S)
        assert (load.end["status"], load.failure) == ("interrupted", None)
        last = load.ticks()[-1]
    samples = read_samples(Path(plan.run_dir)).to_pandas()
    counts = samples.outcome.value_counts()
    assert counts["interrupted"] > 10  # 28 requests are in flight on average
    assert counts["ok"] > 20
    assert len(samples) == last["done"] == last["sent"]
    assert last["scheduled"] - last["sent"] <= 2


def test_a_server_that_dies_in_the_middle(start_server, plan_for):
    server = start_server("--delay-s", "0.1")
    plan = plan_for(server, rate="50rps", duration="3s")
    with launch(plan, SHORT) as load:
        wait_for_ticks(load, 1)
        server.kill()
        assert load.wait(LIMIT_S)
        assert load.end["status"] == "complete"
    outcomes = read_samples(Path(plan.run_dir)).to_pandas().outcome
    assert set(outcomes) == {"ok", "reset", "connect"}
    assert (outcomes == "connect").sum() > 50


def test_the_load_ends_when_its_parent_dies(start_server, plan_for, tmp_path):
    plan = plan_for(start_server(), rate="20rps", duration="60s")
    (tmp_path / "plan.json").write_text(plan.to_json())
    code = (
        "import sys, time; from pathlib import Path; from slokit.load.launcher import launch;"
        "from slokit.load.plan import LoadPlan;"
        "load = launch(LoadPlan.from_json(Path(sys.argv[1]).read_text()), Path(sys.argv[2]));"
        "print(load.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, tmp_path / "plan.json", SHORT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        time.sleep(2)
        parent.kill()
    deadline = time.monotonic() + LIMIT_S
    while Path(f"/proc/{child}").exists() and "Z" not in _state(child):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("import nothing_such\n", "ModuleNotFoundError: No module named", id="import"),
        pytest.param("raise ValueError('mine')\n", "ValueError: mine", id="exception"),
        pytest.param("x = 1\n", "No User class found!", id="no user class"),
    ],
)
def test_a_broken_scenario_file_is_named(start_server, plan_for, tmp_path, source, message):
    path = tmp_path / "broken.py"
    path.write_text(source)
    plan = plan_for(start_server(), rate="5rps", duration="1s")
    with launch(plan, path) as load:
        assert load.wait(LIMIT_S)
        assert message in str(load.failure)
        assert "load-0.log" in str(load.failure)


def test_a_run_folder_that_cannot_be_written(start_server, plan_for):
    plan = plan_for(start_server(), rate="5rps", duration="1s")
    with pytest.raises(StoreError, match="cannot start the load in /nowhere"):
        launch(replace(plan, run_dir="/nowhere"), SHORT)


def test_a_failure_of_the_store_ends_the_load(start_server, plan_for):
    """The journal is there already: nothing may be overwritten, and the run says why."""
    plan = plan_for(start_server(), rate="5rps", duration="1s")
    Path(plan.run_dir, "samples-0.arrows").touch()
    with launch(plan, SHORT) as load:
        assert load.wait(LIMIT_S)
        assert isinstance(load.failure, StoreError)
        assert "the load process failed: cannot write samples to" in str(load.failure)


def test_a_full_disk_ends_the_load_with_its_reason(start_server, plan_for, tmp_path):
    """Files may not grow beyond 100 kB here: the run stops, and what was written stays."""
    plan = plan_for(start_server(), rate="200rps", duration="60s")
    (tmp_path / "plan.json").write_text(plan.to_json())
    code = (
        "import resource, sys; from pathlib import Path; from slokit.load.launcher import launch;"
        "from slokit.load.plan import LoadPlan;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "load = launch(LoadPlan.from_json(Path(sys.argv[1]).read_text()), Path(sys.argv[2]));"
        "load.wait(); print(type(load.failure).__name__, load.failure)"
    )
    command = [sys.executable, "-c", code, tmp_path / "plan.json", SHORT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    assert done.stdout.startswith("StoreError the load process failed: cannot write samples to")
    assert "File too large" in done.stdout
    assert read_samples(Path(plan.run_dir)).num_rows >= 150  # the first second at least


def test_a_missing_key_is_found_before_anything_starts(start_server, plan_for):
    plan = plan_for(
        start_server(), rate="5rps", duration="1s", settings={"api_key_env": "NO_SUCH_KEY"}
    )
    with pytest.raises(UsageError, match="the API key variable NO_SUCH_KEY is not set"):
        launch(plan, SHORT)


def test_a_load_can_be_pinned_to_a_core(start_server, plan_for):
    plan = plan_for(start_server(), rate="20rps", duration="60s")
    core = min(os.sched_getaffinity(0))
    with launch(plan, SHORT, cpus={core}) as load:
        wait_for_ticks(load, 1)
        assert os.sched_getaffinity(load.pid) == {core}


def test_preflight_of_a_healthy_server(start_server, plan_for):
    target = preflight(replace(plan_for(start_server(), rate="5rps", duration="1s"), model=None))
    assert (target.model, target.dim, target.info, target.warnings) == ("tiny", 4, None, ())
