"""A tiny reference server, shared by the tests that only need something to measure."""

import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def tiny_server():
    """URL of a warm reference server of the tiny shape."""
    words = ["--seeded-shape", "tiny", "--threads", "1", "--port", "0", "--stop-on-stdin-close"]
    with subprocess.Popen(
        [sys.executable, "-m", "slokit", "serve", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        url = process.stdout.readline().removeprefix("listening on ").strip()
        assert process.stdout.readline() == "ready\n"
        yield url
        process.stdin.close()
        assert process.wait(20) == 0
