"""`--until-conclusive`: what a look judges, when it stops the load, and what is written down."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE, Popen

import jsonschema
import numpy as np
import pytest

from slokit.judging import Terms, document_of, last_look, weigh_run
from slokit.looks import Lookout
from slokit.report.document import read_schema
from slokit.runs.journal import SampleJournal
from slokit.runs.store import RunStore

SERVER = Path(__file__).parents[1] / "load" / "embedding_server.py"
HOST = ("run", "short", "--host", "http://127.0.0.1:1")
RATE, TIMES = 100.0, [10.0, 20.0, 40.0]


class Load:
    """A run in progress: `until` lets time pass, `ticks` are the whole seconds it told."""

    def __init__(self, root, *, loop="open", users=None, latency_s=0.05, share_ok=1.0):
        offered = {"loop": loop, "rate_rps": RATE, "duration_s": 40.0, "stages": []}
        offered |= {"users": users, "arrivals": "constant", "batch": 1, "mix": {"short": 1.0}}
        plan = {"look_times_s": TIMES, "looks": [], "stopped_at_s": None}
        self.run = RunStore(root).create(
            "short",
            datetime(2026, 11, 20, tzinfo=UTC),
            {"scenario": "short", "loop": loop, "load": offered, "until_conclusive": plan},
        )
        self.due = np.arange(4000) / RATE
        rng = np.random.default_rng(3)
        self.end = self.due + latency_s * rng.lognormal(0, 0.1, 4000)
        self.ok = rng.random(4000) < share_ok
        self.users = users or 1
        self.journal = SampleJournal(self.run.folder / "samples-0.arrows")
        self.at_s, self.closed = 0.0, False
        self.ticks = []

    def close(self):
        """The end: no more rows."""
        self.closed = True
        self.journal.close()
        self.run.close("complete")

    def until(self, at_s):
        """The seconds until then: rows of what ended, a tick each."""
        self.ticks = []
        while self.at_s < at_s:
            now = self.at_s + 1
            rows = np.flatnonzero((self.end > self.at_s) & (self.end <= now))
            self._write(rows)
            done, scheduled = int((self.end <= now).sum()), int((self.due <= now).sum())
            self.ticks.append({"t_s": now, "scheduled": scheduled, "done": done, "worker": 0})
            self.at_s = now
        return self.ticks

    def _write(self, rows):
        due, end = ((x[rows] * 1e9).round().astype(int).tolist() for x in (self.due, self.end))
        columns = {"due_ns": due, "sent_ns": due, "end_ns": end, "lag_ns": [0] * len(rows)}
        columns["outcome"] = ["ok" if self.ok[row] else "http_5xx" for row in rows]
        columns |= {"text_class": ["short"] * len(rows), "stage": [0] * len(rows)}
        columns |= {"worker": [0] * len(rows), "user": [int(row) % self.users for row in rows]}
        self.journal.write(columns)


@pytest.fixture
def load(tmp_path):
    """Start a load; its journal is closed with the test."""
    started = []

    def start(**what):
        started.append(Load(tmp_path / str(len(started)), **what))
        return started[-1]

    yield start
    for each in started:
        if not each.closed:
            each.journal.close()


def lookout(load, *slo, told=None):
    terms = Terms.read(slo, warmup_s=0.0)
    return Lookout(load.run, terms, (told if told is not None else []).append)


def test_the_first_look_that_decides_stops_the_load(load):
    running, told = load(), []
    watch = lookout(running, "errors <= 0.3%", told=told)
    assert not watch.decided(running.until(10))
    assert not watch.decided(running.until(19))
    assert watch.decided(running.until(21))
    assert told[0].startswith("look 1 of 3, at 10 s: not decided: errors <= 0.3% [short], about ")
    assert told[1:] == ["look 2 of 3, at 20 s: pass"]


def test_what_stopped_it_is_written_down_and_judged_again_alike(load):
    running = load()
    assert lookout(running, "errors <= 1%").decided(running.until(15))
    running.close()
    finding = weigh_run(running.run, Terms.read(["errors <= 1%"], warmup_s=0.0))
    document = document_of(running.run, finding)
    jsonschema.validate(document, read_schema("run"))
    assert document["verdict"] == "pass"
    assert document["objectives"][0]["total"] == 1001
    assert document["objectives"][0]["confidence"] == pytest.approx(1 - 0.05 / 3)
    assert document["environment"]["duration_s"] == 10.0
    found = document["until_conclusive"]
    assert (found["number"], found["planned"], found["stopped_at_s"]) == (1, 3, 10.0)
    assert found["alpha_spent"] == pytest.approx(0.05 / 3)
    assert found["looks"] == [{"number": 1, "at_s": 10.0, "requests": 1001, "verdict": "pass"}]


def test_a_look_waits_for_the_requests_that_are_still_in_flight(load):
    """One request due at 9 s takes 8 s: nothing is judged before it is in."""
    running, told = load(), []
    running.end[900] = 17.0
    watch = lookout(running, "errors <= 1%", told=told)
    assert not watch.decided(running.until(12))
    assert not watch.decided(running.until(16))
    assert told == []
    assert watch.decided(running.until(18))


def test_a_look_waits_for_every_load_process(load):
    running = load()
    watch = lookout(running, "errors <= 1%")
    other = {"t_s": 9.0, "scheduled": 0, "done": 0, "worker": 1}
    assert not watch.decided([*running.until(12), other])
    assert watch.decided([{**other, "t_s": 12.0}])


def test_closed_loop_waits_for_every_user(load):
    running, told = load(loop="closed", users=4), []
    running.end[997:1200:4] += 6.0
    watch = lookout(running, "errors <= 1%", told=told)
    assert not watch.decided(running.until(12))
    assert told == []
    assert watch.decided(running.until(20))
    assert told == ["look 1 of 3, at 10 s: pass"]


@pytest.mark.parametrize(
    ("what", "slo", "sentence"),
    [
        pytest.param({"share_ok": 0.5}, "errors <= 1%", "look 1 of 3, at 10 s: fail", id="fail"),
        pytest.param({}, "p95[long] <= 1s", "0 requests are too few to judge", id="no such class"),
    ],
)
def test_sentences(load, what, slo, sentence):
    running, told = load(**what), []
    decided = lookout(running, slo, told=told).decided(running.until(11))
    assert decided == ("fail" in sentence)
    assert sentence in told[0]


def test_the_last_look_is_the_end_of_the_run(load):
    running, told = load(), []
    watch = lookout(running, "errors <= 0.01%", told=told)
    for at_s in range(1, 41):
        assert not watch.decided(running.until(at_s))
    assert not watch.decided([])
    assert len(told) == 2
    assert last_look(running.run.manifest).number == 3


def test_a_run_without_looks_has_one_verdict():
    look = last_look({})
    assert (look.number, look.planned, look.alpha) == (1, 1, 0.05)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(("--max-duration", "5m"), "give --until-conclusive too", id="alone"),
        pytest.param(("--until-conclusive", "--max-duration", "5"), "no duration", id="unit"),
    ],
)
def test_refused_before_any_load(slokit, words, message):
    result = slokit(*HOST, *words)
    assert (result.code, message in result.err) == (2, True), result.err


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        pytest.param('stages=((5, "10s"), (10, "10s"))', "a load that changes", id="users"),
        pytest.param('stages=(("5rps", "9s"), ("9rps", "9s"))', "a load that changes", id="rates"),
        pytest.param('rate="5rps to 9rps", duration="9s"', "a load that changes", id="ramp"),
        pytest.param('users=1, duration="9s", client="locust"', "is not known", id="locust"),
    ],
)
def test_a_load_without_looks_is_refused(slokit, scenario, message):
    Path("own.py").write_text(
        "from slokit.load.scenario import Scenario\n"
        f'SCENARIO = Scenario({scenario}, slo=("p95 <= 1s",))\n'
    )
    result = slokit("run", "own.py", "--host", "http://127.0.0.1:1", "--until-conclusive")
    assert (result.code, message in result.err) == (2, True), result.err


def test_each_stage_has_a_forecast_of_its_own(slokit):
    Path("own.py").write_text(
        "from slokit.load.scenario import Scenario\n"
        'SCENARIO = Scenario(stages=(("50rps", "20s", "calm"), ("9rps", "10s", "few")), \n'
        '    texts={"short": 1}, slo=("p95 <= 1s",))\n'
    )
    result = slokit("run", "own.py", "--host", "http://127.0.0.1:1", "--dry-run")
    assert "  calm: p95 <= 1s [short]: about 750 requests after the warm-up" in result.out
    assert "! few: p95 <= 1s [short]: about 40 requests after the warm-up" in result.out
    assert "60 are needed, a stage of 13s or more" in result.out


def test_a_dry_run_tells_the_looks_and_what_can_be_decided(slokit):
    result = slokit(*HOST, "--duration", "20s", "--until-conclusive", "--dry-run")
    assert "open loop, poisson arrivals at 50 requests/s, about 5000 requests, 100 s" in result.out
    assert "looks      4, at 17, 29, 52, 100 s; stops at the first that decides" in result.out
    assert "  errors <= 0.2% [short]: about 4 750 requests" in result.out.replace("\u202f", " ")


def test_a_dry_run_for_machines(slokit):
    words = ("--until-conclusive", "--max-duration", "65s", "--dry-run", "--json")
    document = json.loads(slokit(*HOST, *words).out)
    assert document["until_conclusive"]["look_times_s"] == [20.0, 35.0, 65.0]
    [p95, errors] = document["prospects"]
    assert (p95["class"], p95["requests"], p95["needed"]) == ("short", 3000, 80)
    assert (errors["can_pass"], errors["needed"], errors["most_bad"]) == (True, 2046, 0)


def test_what_cannot_pass_is_flagged_and_warned_of(slokit):
    told = "about 250 requests after the warm-up; that cannot pass, even if all are good"
    dry = slokit(*HOST, "--duration", "10s", "--dry-run")
    assert f"! errors <= 0.2% [short]: {told}" in dry.out
    real = slokit(*HOST, "--duration", "10s")
    assert f"warning: errors <= 0.2% [short]: {told}" in real.err
    assert real.err.count("warning: ") == 1


def test_a_real_load_stops_early(slokit, tmp_path):
    """No error in 500 requests decides `errors <= 1%`; the rest of the 8 s is not sent."""
    words = ("--rate", "300rps", "--duration", "2s", "--max-duration", "8s", "--warmup", "1s")
    with Popen([sys.executable, SERVER], stdout=PIPE, text=True) as server:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        slo = ("--until-conclusive", "--slo", "errors <= 1%")
        result = slokit("run", "short", "--host", url, *words, *slo, "--json")
        server.kill()
    document = json.loads(result.out)
    assert (result.code, document["verdict"]) == (0, "pass")
    assert document["until_conclusive"]["stopped_at_s"] == 2.75
    assert 375 <= document["objectives"][0]["total"] <= 700
    assert document["warnings"] == [w for w in document["warnings"] if "under way" not in w]
    assert "look 1 of 3, at 2.75 s: pass" in result.err
    manifest = json.loads(next(tmp_path.glob("runs/*/run.json")).read_text())
    assert (manifest["status"], manifest["load"]["duration_s"]) == ("complete", 2.75)
