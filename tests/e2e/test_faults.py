"""Services that fail, through the real command: the message, the exit code, the samples kept."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import slokit

SERVER = Path(__file__).with_name("faulty_server.py")
LOAD = ("--rate", "100rps", "--duration", "5s", "--warmup", "1s", "--timeout", "2s", "--seed", "3")
SLO = ("--slo", "p95 <= 500ms", "--slo", "errors <= 1%")
GOOD = 150  # answers before the fault: the checks before load and the first second or two


@pytest.fixture
def start(tmp_path):
    """Start the faulty server; gives its URL. Ended by the test's end."""
    running = []

    def begin(fault, good=0):
        words = [sys.executable, str(SERVER), "--fault", fault, "--good", str(good)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        running.append(process)
        return f"http://127.0.0.1:{process.stdout.readline().strip()}"

    yield begin
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def run(tmp_path, url, *more):
    words = [sys.executable, "-m", "slokit", "run", "short", "--host", url, "--json", *SLO, *more]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def samples(tmp_path, document):
    return slokit.open_run(tmp_path / document["paths"]["run"]).samples()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param("500", "answered HTTP 500", id="500"),
        pytest.param("429", "answered HTTP 429", id="429"),
        pytest.param("401", "--api-key-env", id="no key"),
        pytest.param("html", "web page", id="a web page"),
        pytest.param("not-json", "JSON", id="broken JSON"),
        pytest.param("count", "2", id="two vectors for one text"),
        pytest.param("nan", "finite", id="NaN"),
        pytest.param("truncated", "broke off", id="cut off"),
        pytest.param("die", "broke off", id="dead"),
    ],
)
def test_a_target_that_is_broken_from_the_start_is_5_before_any_load(
    tmp_path, start, fault, message
):
    code, document = run(tmp_path, start(fault), *LOAD)
    assert (code, document["verdict"]) == (5, None)
    assert message in document["reasons"][0]
    assert not list((tmp_path / document["paths"]["run"]).glob("samples-*"))


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        pytest.param("500", "http_5xx", id="500"),
        pytest.param("429", "http_429", id="429"),
        pytest.param("html", "invalid_body", id="a web page"),
        pytest.param("truncated", "truncated", id="cut off"),
        pytest.param("die", "connect", id="dead"),
    ],
)
def test_a_service_that_breaks_in_the_middle_fails_and_no_sample_is_lost(
    tmp_path, start, fault, outcome
):
    code, document = run(tmp_path, start(fault, GOOD), *LOAD)
    assert (code, document["verdict"]) == (1, "fail")
    found = Counter(samples(tmp_path, document).outcome.tolist())
    assert found["ok"] >= GOOD - 20
    assert found[outcome] >= 200
    assert sum(found.values()) == document["generator"]["scheduled"]
    assert any("errors" in reason for reason in document["reasons"])


@pytest.mark.parametrize("fault", ["dimension", "count", "nan"])
def test_wrong_vectors_are_found_by_the_checked_share(tmp_path, start, fault):
    code, document = run(tmp_path, start(fault, GOOD), *LOAD)
    found = Counter(samples(tmp_path, document).outcome.tolist())
    assert found["invalid_body"] >= 4  # one answer in fifty is checked in full
    assert any("no embeddings" in warning for warning in document["warnings"])
    assert code in {1, 3}


def test_a_service_that_freezes_is_a_fail_and_never_an_invalid(tmp_path, start):
    code, document = run(tmp_path, start("freeze", GOOD), *LOAD, "--timeout", "10s")
    assert (code, document["verdict"]) == (1, "fail")
    assert document["generator"]["valid"] is True
    assert document["summary"]["short"]["latency_s"]["p95"] > 1.9


def test_a_service_where_every_answer_under_load_is_broken_is_5(tmp_path, start):
    code, document = run(tmp_path, start("500", 1), *LOAD)
    assert (code, document["verdict"]) == (5, None)
    assert "none of" in document["reasons"][0]
    assert "http_5xx" in document["reasons"][0]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, id="SIGTERM"),
    ],
)
def test_an_interrupted_run_keeps_and_judges_what_was_done(tmp_path, start, number, code):
    url = start("none")
    words = [sys.executable, "-m", "slokit", "run", "short", "--host", url, "--json", *SLO]
    words += ["--rate", "100rps", "--duration", "60s", "--warmup", "1s"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        wait_for_samples(tmp_path / "runs")
        os.kill(process.pid, number)
        document = json.loads(process.communicate(timeout=30)[0])
        assert process.returncode == code
    assert document["exit_code"] == code
    assert document["verdict"] in {"pass", "inconclusive"}
    run_ = slokit.open_run(tmp_path / document["paths"]["run"])
    assert run_.manifest["status"] == "interrupted"
    assert len(run_.samples()) >= 200
    assert not list(run_.folder.glob("*.arrows"))


def test_ctrl_c_while_a_target_hangs_ends_at_once(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = [sys.executable, "-m", "slokit", "run", "short", "--host", url, "--timeout", "60s"]
        with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
            assert "checking" in process.stderr.readline()
            with silent.accept()[0]:
                os.kill(process.pid, signal.SIGINT)
                assert process.wait(20) == 130  # a third of the time-out


def wait_for_samples(runs, patience_s=30):
    """Until three seconds of load are on record."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        ticks = [path.read_text().count("\n") for path in runs.glob("*/ticks-*.jsonl")]
        if ticks and ticks[0] >= 4:
            return
        time.sleep(0.1)
    pytest.fail("no load within half a minute")
