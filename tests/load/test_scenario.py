"""Scenario files are read without being run, and refused with the place of what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from slokit.errors import UsageError
from slokit.load.scenario import (
    PACKAGED_FOLDER,
    Scenario,
    all_scenarios,
    find_scenario,
    read_scenario,
)


def open_loop(**changes):
    return Scenario(**({"rate": "50rps", "duration": "60s"} | changes))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            {"rate": None}, "got none of rate, users, stages, replay: write one", id="no load"
        ),
        pytest.param(
            {"users": 5}, "got rate and users of rate, users, stages, replay: write one", id="two"
        ),
        pytest.param({"rate": "fast"}, "'fast' is no rate: write", id="rate"),
        pytest.param({"rate": None, "users": 0}, "users is 0: write a whole", id="no users"),
        pytest.param({"rate": None, "users": 1.5}, "users is 1.5: write a whole", id="half a user"),
        pytest.param({"duration": None}, "duration is missing", id="no duration"),
        pytest.param({"duration": "60"}, "'60' is no duration", id="duration without unit"),
        pytest.param({"arrivals": "often"}, "'often' is no arrival process", id="arrivals"),
        pytest.param({"texts": {}}, "texts is {}: write weights of short, medium", id="no texts"),
        pytest.param({"texts": {"tiny": 1}}, "text class 'tiny' is unknown", id="unknown class"),
        pytest.param({"texts": {"short": 0}}, "the weight of short is 0", id="weight of zero"),
        pytest.param({"texts": {"short": True}}, "the weight of short is True", id="no weight"),
        pytest.param({"slo": ("p95 =< 1ms",)}, "cannot read 'p95 =< 1ms' at position", id="slo"),
        pytest.param({"batch": 0}, "batch is 0: write 1 to 2048 texts", id="empty batch"),
        pytest.param({"batch": 4096}, "batch is 4096: write 1 to 2048", id="batch over the limit"),
        pytest.param({"repeat_ratio": 1.0}, "repeat_ratio is 1.0", id="only repeats"),
        pytest.param({"pacing": "1"}, "'1' is no duration", id="pacing without unit"),
        pytest.param(
            {"rate": None, "duration": None, "stages": ((0, "30s"),)},
            "stage (0, '30s') cannot be read",
            id="a stage of nobody",
        ),
        pytest.param(
            {"rate": None, "stages": ((1, "30s"),)}, "leave duration out", id="two durations"
        ),
        pytest.param(
            {"rate": None, "duration": None, "stages": ((1, "30s"), ("5rps", "30s"))},
            "stages hold both users and rates",
            id="two loops",
        ),
        pytest.param(
            {"rate": None, "duration": None, "stages": (("5rps", "30s", 3),)},
            "stage ('5rps', '30s', 3) cannot be read",
            id="a label that is none",
        ),
        pytest.param({"rate": 50}, "rate is 50: write it in quotes", id="rate as a number"),
        pytest.param({"rate": None, "replay": "x.csv", "duration": None}, "duration is", id="play"),
        pytest.param({"speed": 0}, "speed is 0: write a number > 0", id="no speed"),
        pytest.param({"slo": "p95 <= 1ms"}, "slo is 'p95 <= 1ms': write a tuple", id="slo as text"),
        pytest.param({"warmup": "5"}, "'5' is no duration", id="warm-up without unit"),
        pytest.param({"client": "curl"}, "client is 'curl': write one of slokit, locust", id="who"),
        pytest.param({"client": "locust"}, "write users and duration only", id="rate of Locust's"),
        pytest.param({"texts": {"a": {"like": "b"}}}, "text class a is like 'b'", id="like what"),
        pytest.param({"texts": {"a": {"of": 1}}}, "text class a: 'of' is unknown", id="key"),
        pytest.param({"texts": {"all": {"like": "long"}}}, "'all' cannot be named", id="all"),
        pytest.param(
            {"texts": {"a": {"like": "long", "pool": 0}}}, "the pool of a is 0", id="empty pool"
        ),
        pytest.param(
            {"texts": {f"c{i}": {"like": "long"} for i in range(51)}}, "holds 51 classes", id="51"
        ),
    ],
)
def test_scenarios_that_cannot_be_meant(arguments, message):
    with pytest.raises(UsageError) as refusal:
        open_loop(**arguments)
    assert message in str(refusal.value)


def test_steps_of_a_ramp():
    ramp = Scenario(stages=((1, "30s"), (5, "1m")))
    assert (ramp.loop, ramp.duration_s, ramp.steps) == ("closed", 90.0, ((1, 30.0), (5, 60.0)))


@pytest.mark.parametrize(
    ("change", "loop", "rate_rps", "steps", "duration_s"),
    [
        pytest.param({}, "open", 50.0, (), 60.0, id="nothing"),
        pytest.param({"rate": "80rps"}, "open", 80.0, (), 60.0, id="another rate"),
        pytest.param({"duration": "5s"}, "open", 50.0, (), 5.0, id="another time"),
        pytest.param({"users": 3}, "closed", None, ((3, 60.0),), 60.0, id="users close the loop"),
        pytest.param({"users": 3, "duration": "9s"}, "closed", None, ((3, 9.0),), 9.0, id="both"),
    ],
)
def test_the_same_scenario_with_another_load(change, loop, rate_rps, steps, duration_s):
    got = open_loop().with_load(**change)
    assert (got.loop, got.rate_rps, got.steps, got.duration_s) == (
        loop,
        rate_rps,
        steps,
        duration_s,
    )


def test_a_rate_opens_a_ramp():
    got = Scenario(stages=((1, "30s"), (5, "30s"))).with_load(rate="10rps")
    assert (got.loop, got.rate_rps, got.duration_s) == ("open", 10.0, 60.0)


@pytest.mark.parametrize(
    ("scenario", "change", "message"),
    [
        pytest.param(open_loop(), {"rate": "1rps", "users": 1}, "got both a rate", id="both"),
        pytest.param(
            Scenario(stages=((1, "30s"),)), {"duration": "5s"}, "in stages", id="time of stages"
        ),
    ],
)
def test_loads_that_contradict(scenario, change, message):
    with pytest.raises(UsageError, match=message):
        scenario.with_load(**change)


GOOD = (
    '"""Two lines.\n\nMore."""\nraise SystemExit\nSCENARIO = Scenario(rate="5rps", duration="1s")\n'
)


def test_a_file_is_read_without_running_it(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    found = read_scenario(path)
    assert (found.name, found.summary, found.scenario.rate) == ("mine", "Two lines.", "5rps")


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        pytest.param("x = 1\n", 1, "no SCENARIO found", id="no scenario"),
        pytest.param("\nSCENARIO = 5\n", 2, "expected SCENARIO = Scenario(...)", id="no call"),
        pytest.param("\n\ndef f(:\n", 3, "no valid Python", id="syntax error"),
        pytest.param("SCENARIO = Scenario(60)\n", 1, "arguments must be named", id="positional"),
        pytest.param("SCENARIO = Scenario(rat=1)\n", 1, "unknown argument 'rat'", id="unknown"),
        pytest.param("SCENARIO = Scenario(**x)\n", 1, "unknown argument **", id="stars"),
        pytest.param("SCENARIO = Scenario(rate=R)\n", 1, "rate is 'R' (line 1)", id="a name"),
        pytest.param("SCENARIO = Scenario(rate='9rps')\n", 1, "duration is missing", id="value"),
        pytest.param("SCENARIO: Scenario\n", 1, "expected SCENARIO", id="annotation only"),
        pytest.param("\0", 1, "no valid Python", id="null byte"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, source, line, message):
    path = tmp_path / "bad.py"
    path.write_text(source)
    with pytest.raises(UsageError) as refusal:
        read_scenario(path)
    assert str(refusal.value).startswith(f"{path}:{line}: ")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*none\.py: No such file"):
        read_scenario(tmp_path / "none.py")


def test_the_packaged_scenarios(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {file.name: file for file in all_scenarios()}
    names = "acceptance batch_input cache_probe cold_start concurrency_ramp long medium mixed"
    assert sorted(found) == [*names.split(), "rate_ramp", "replay", "short", "soak", "spike"]
    assert found["short"].scenario.slo == ("p95 <= 150ms", "errors <= 0.2%")
    assert found["concurrency_ramp"].scenario.steps == tuple(
        (users, 30.0) for users in (1, 5, 10, 20, 50)
    )
    for file in found.values():
        assert file.summary.endswith((".", "?"))
        assert "rps" not in file.summary
        assert len(file.docstring.splitlines()) >= 3  # what it offers, how to read it
        assert file.scenario.slo
    assert found["acceptance"].scenario.steps == ((50, 120.0),)
    assert Path(found["replay"].scenario.replay).exists()
    assert found["cold_start"].scenario.warmup_s == 0


def test_a_local_scenario_hides_the_packaged_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenarios").mkdir()
    local = tmp_path / "scenarios" / "short.py"
    local.write_text(GOOD)
    assert find_scenario("short") == local
    assert find_scenario("long") == PACKAGED_FOLDER / "long.py"
    assert find_scenario("scenarios/short.py") == local


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("shrot", "did you mean 'short'? (known: acceptance, batch", id="typo"),
        pytest.param("zzz", "unknown scenario 'zzz' (known: ", id="nothing near"),
        pytest.param("__init__", "unknown scenario '__init__'", id="not a scenario"),
        pytest.param("../short", "unknown scenario '../short'", id="a path without .py"),
        pytest.param("gone.py", "there is no scenario file 'gone.py'", id="no such file"),
    ],
)
def test_scenarios_that_are_not_there(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as refusal:
        find_scenario(name)
    assert message in str(refusal.value)


def test_reading_scenarios_imports_neither_locust_nor_numpy():
    code = (
        "import sys; from slokit.load.scenario import all_scenarios; all_scenarios();"
        "print([m for m in ('locust', 'gevent', 'numpy', 'scenarios') if m in sys.modules])"
    )
    got = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True)
    assert got.stdout.strip() == b"[]"
