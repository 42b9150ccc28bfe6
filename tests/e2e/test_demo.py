"""The demo: all runs, the table, the report; and no server left behind, however it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEMO = (sys.executable, "-m", "slokit", "demo", "--duration", "10")
TINY = ("--server-option=--seeded-shape", "--server-option=tiny")


def servers_of(pid):
    """Reference servers that descend from a process, by their command lines."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"reference_server" in words and parent in {pid, 1}:
            found.append(int(folder.name))
    return found


def test_the_demo_measures_before_and_after(tmp_path):
    done = subprocess.run(
        [*DEMO, *TINY], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    for word in ("Verdicts", "Before and after", "baseline", "optimized"):
        assert word in done.stdout
    rows = re.findall(r"^(short|medium|long)\s+P95\s", done.stdout, re.MULTILINE)
    assert rows == ["short", "medium", "long"]
    for name in rows:
        for quantile in ("P50", "P95", "P99"):
            assert re.search(rf"{name}\s+{quantile}\s", done.stdout), (name, quantile)
    page = next((tmp_path / "runs").glob("demo-*.md")).read_text(encoding="utf-8")
    picture = re.search(r"\((demo-.*\.svg)\)", page)[1]
    assert "<svg" in (tmp_path / "runs" / picture).read_text(encoding="utf-8")
    assert len(list((tmp_path / "runs").glob("*/verdict.json"))) == 6


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, id="SIGTERM"),
        pytest.param(signal.SIGKILL, -9, id="kill -9"),
    ],
)
def test_no_server_outlives_the_demo(tmp_path, number, code):
    with subprocess.Popen(
        [*DEMO, *TINY], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as demo:
        lines = iter(demo.stderr.readline, "")
        next(line for line in lines if "probing" in line)
        [server] = servers_of(demo.pid)
        os.kill(demo.pid, number)
        demo.stderr.read()
        assert demo.wait(30) == code
    deadline = time.monotonic() + 20
    while Path(f"/proc/{server}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{server}").exists()


def test_a_server_that_does_not_start_is_one_clear_line(tmp_path):
    done = subprocess.run(
        [*DEMO, "--server-option=--model", "--server-option=/no/such/model"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 70
    assert "the reference server ended with 2" in done.stderr
    assert "/no/such/model" in done.stderr
    assert "Traceback" not in done.stderr
