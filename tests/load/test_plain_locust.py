"""A scenario under plain `locust -f`: the schedule sets the rate, not the number of users."""

import json
import socket
import subprocess
import sys
import time

import httpx

from slokit.load.scenario import PACKAGED_FOLDER

SHORT = PACKAGED_FOLDER / "short.py"
LIMIT_S = 40


def test_plain_locust(start_server, tmp_path):
    """Locust by hand: its statistics count the schedule's requests, whatever the users are."""
    command = [sys.executable, "-m", "locust", "-f", SHORT, "--host", start_server().url]
    options = ["--headless", "-u", "30", "-r", "30", "-t", "4s", "--json", "--only-summary"]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    stats = json.loads(done.stdout)
    assert [(row["name"], row["method"]) for row in stats] == [("short", "POST")]
    assert 40 < stats[0]["num_requests"] < 260  # 50 requests a second, not 30 users' worth
    assert stats[0]["num_failures"] == 0
    assert stats[0]["min_response_time"] >= 2


def test_plain_locust_without_a_host(tmp_path):
    command = [sys.executable, "-m", "locust", "-f", SHORT, "--headless", "-t", "5s"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert "no target: start Locust with --host URL" in done.stderr
    assert done.returncode == 70


def test_locusts_web_page_can_start_and_stop_it_again(start_server, tmp_path):
    """Each start offers the scenario's rate once, however many users are asked for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        page = f"http://127.0.0.1:{listener.getsockname()[1]}"
    command = [sys.executable, "-m", "locust", "-f", SHORT, "--host", start_server().url]
    options = ["--web-host", "127.0.0.1", "--web-port", page.rpartition(":")[2]]
    log = (tmp_path / "log").open("wb")
    with (
        log,
        subprocess.Popen([*command, *options], cwd=tmp_path, stderr=log, stdout=log) as locust,
    ):
        try:
            with httpx.Client(base_url=page, trust_env=False) as client:
                _until_it_listens(client)
                counts = [_swarm(client, users=40) for _ in range(2)]
        finally:
            locust.terminate()
            locust.wait(LIMIT_S)
    for per_second in counts:
        assert 25 < per_second < 80  # 50 requests a second; one dispatcher a user would be 2000


def _until_it_listens(client):
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        try:
            client.get("/")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("Locust's page never came up")


def _swarm(client, users):
    """Start, let it run for a while, stop: requests a second that Locust counted."""
    client.post("/swarm", data={"user_count": users, "spawn_rate": users}).raise_for_status()
    counted, seconds = [], []
    for pause_s in (2.0, 2.0):
        time.sleep(pause_s)
        seconds.append(time.monotonic())
        counted.append(client.get("/stats/requests").json()["stats"][-1]["num_requests"])
    client.post("/stop").raise_for_status()
    return (counted[1] - counted[0]) / (seconds[1] - seconds[0])
