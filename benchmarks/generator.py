"""What one core can send: slokit's wire client beside Locust's FastHttpUser and wrk.

A server on one core answers everything at once with the same 9.6 KB (slokit.load.null_server);
the clients take turns on another core, so each ratio is of neighbours in time. slokit runs in
real Locust and records every sample to disk; Locust keeps its own statistics; wrk only counts.

1. Closed loop, 32 connections, as fast as it goes: requests a second of wall time and of the
   client's own CPU time. The latter is the steadier figure where others use the machine too.
2. Open loop, Poisson: P99 of the lag (sent - due) of slokit, dropped and bad answers. How late
   the machine wakes a process that only sleeps stands beside it: nothing can be better.
3. What recording costs: a row packed and journalled, in microseconds a sample.

    python benchmarks/generator.py [--seconds 4] [--repeats 3] [--rates 5000,20000]
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from slokit.conventions import SAMPLE_COLUMNS
from slokit.load.launcher import launch
from slokit.load.null_server import null_server
from slokit.load.plan import LoadPlan
from slokit.load.precise import Alarm
from slokit.load.recorder import Recorder
from slokit.load.scenario import PACKAGED_FOLDER, Scenario
from slokit.runs.journal import read_samples

CONNECTIONS: Final = 32
FAST_USER: Final = """
import json, os, time
import gevent
from locust import FastHttpUser, constant, events, task

BODY = {"model": "m", "input": "\\u5317\\u4eac\\u5929\\u6c14", "encoding_format": "float"}


class Fast(FastHttpUser):
    wait_time = constant(0)

    @task
    def embed(self):
        self.client.post("/v1/embeddings", json=BODY)


@events.test_start.add_listener
def begin(environment, **_):
    def now():
        total = environment.stats.total
        return time.monotonic(), time.process_time(), total.num_requests - total.num_failures

    def measure():
        gevent.sleep(1)
        before = now()
        gevent.sleep(float(os.environ["SECONDS"]))
        json.dump([after - start for start, after in zip(before, now())], open("out.json", "w"))
        environment.runner.quit()

    gevent.spawn(measure)
"""
LUA: Final = """
wrk.method = "POST"
wrk.body = '{"model": "m", "input": "\\xe5\\x8c\\x97\\xe4\\xba\\xac", "encoding_format": "float"}'
wrk.headers["Content-Type"] = "application/json"
"""


@dataclass(frozen=True)
class Speed:
    """Requests a second, of wall time and of the client's CPU time."""

    rps: float
    rps_of_cpu: float


@dataclass(frozen=True)
class Timing:
    """An open loop: rate achieved, P99 of the lag, and what went wrong."""

    rps: float
    lag_p99_ms: float
    dropped: int
    bad: int
    cpu_ratio: float


def slokit_load(url: str, seconds: float, core: int, **load: object) -> tuple[np.ndarray, ...]:
    """One run of slokit's own client: (due, end, lag, outcome, CPU ratio a second)."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(duration=f"{seconds:g}s", **load)  # type: ignore[arg-type]
        plan = LoadPlan.of(scenario, name="short", run_id="b", run_dir=folder, url=url, seed=1)
        with launch(plan, PACKAGED_FOLDER / "short.py", cpus={core}) as process:
            process.wait()
            if process.failure is not None:
                raise process.failure
            ticks = process.ticks()
        table = read_samples(Path(folder)).select(["due_ns", "end_ns", "lag_ns", "outcome"])
        columns = [column.to_numpy(zero_copy_only=False) for column in table.itercolumns()]
        return *columns, np.array([tick["cpu_ratio"] for tick in ticks])


def wire(url: str, seconds: float, core: int) -> Speed:
    """The wire client of slokit, every sample recorded."""
    _, end_ns, _, outcome, cpu = slokit_load(url, seconds, core, users=CONNECTIONS)
    rps = (outcome == "ok").sum() / (end_ns.max() / 1e9)
    return Speed(rps, rps / cpu[:-1].mean())


def fast_http_user(url: str, seconds: float, core: int) -> Speed:
    """Locust's FastHttpUser, all users at once; the first second is left out."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "fast.py").write_text(FAST_USER)
        command = [sys.executable, "-m", "locust", "-f", "fast.py", "--host", url, "--headless"]
        command += ["-u", str(CONNECTIONS), "-r", str(CONNECTIONS), "--only-summary"]
        environment = os.environ | {"SECONDS": str(seconds)}
        with subprocess.Popen(command, cwd=folder, env=environment, stderr=-3, stdout=-3) as run:
            os.sched_setaffinity(run.pid, {core})
        passed_s, cpu_s, count = json.loads(Path(folder, "out.json").read_text())
        return Speed(count / passed_s, count / cpu_s)


def wrk(url: str, seconds: float, core: int) -> Speed:
    """wrk, in C, one thread."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA)
        script.flush()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", "-s", script.name]
        command += [f"-d{seconds:.0f}s", f"{url}/v1/embeddings"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    total, passed = re.search(r"(\d+) requests in ([\d.]+)s", said).groups()  # type: ignore[union-attr]
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Speed(int(total) / float(passed), int(total) / spent)


def open_loop(url: str, seconds: float, core: int, rate_rps: int) -> Timing:
    """An open loop of slokit; the first second, when connections are opened, is left out."""
    due_ns, end_ns, lag_ns, outcome, cpu = slokit_load(
        url, seconds + 1, core, rate=f"{rate_rps}rps"
    )
    late = due_ns >= 1e9
    span_s = (end_ns[late].max() - 1e9) / 1e9
    return Timing(
        rps=late.sum() / span_s,
        lag_p99_ms=float(np.nanpercentile(lag_ns[late].astype(float), 99) / 1e6),
        dropped=int((outcome == "dropped").sum()),
        bad=int((outcome != "ok").sum()),
        cpu_ratio=float(cpu[1:-1].mean()),
    )


def noise_ms(core: int, wakes: int = 1000) -> float:
    """P99 of how late this core wakes a process that does nothing but sleep."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    late_ms = []
    with Alarm() as alarm:
        for _ in range(wakes):
            moment_ns = time.monotonic_ns() + 2_000_000
            alarm.sleep_until(moment_ns)
            late_ms.append((time.monotonic_ns() - moment_ns) / 1e6)
    os.sched_setaffinity(0, usual)
    return float(np.percentile(late_ms, 99))


def recording_us(rows: int = 200_000) -> float:
    """Microseconds of CPU to pack and journal one sample."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(rate="1rps", duration="1s")
        plan = LoadPlan.of(
            scenario, name="b", run_id="b", run_dir=folder, url="http://[::1]:1", seed=1
        )
        recorder = Recorder(plan)
        row = [1] * len(SAMPLE_COLUMNS)
        row[list(SAMPLE_COLUMNS).index("outcome")] = recorder.names["ok"]
        row[list(SAMPLE_COLUMNS).index("text_class")] = recorder.names["short"]
        row[list(SAMPLE_COLUMNS).index("trace_id")] = b"0" * 32  # type: ignore[call-overload]
        before_s = time.process_time()
        for _ in range(rows):
            recorder.add(tuple(row))
        recorder.close(1.0)
        return (time.process_time() - before_s) / rows * 1e6


def spread(values: list[float], digits: int = 0) -> str:
    """Median, smallest and largest."""
    low, middle, high = (f"{f(values):.{digits}f}" for f in (min, median, max))
    return f"median {middle}, from {low} to {high}, n = {len(values)}"


def closed_loops(url: str, seconds: float, repeats: int, core: int) -> None:
    """Measure the clients in turns and print their ratios."""
    clients = {"wire": wire, "FastHttpUser": fast_http_user, "wrk": wrk}
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian package wrk): left out")
        del clients["wrk"]
    found: dict[str, list[Speed]] = {name: [] for name in clients}
    for _ in range(repeats):
        for name, client in clients.items():
            found[name].append(client(url, seconds, core))
    for name, speeds in found.items():
        print(f"{name:>14} rps: {spread([one.rps for one in speeds])}")
        print(f"{name:>14} requests a CPU second: {spread([one.rps_of_cpu for one in speeds])}")
    for other in list(clients)[1:]:
        pairs = list(zip(found["wire"], found[other], strict=True))
        print(f"wire / {other}, rps: {spread([a.rps / b.rps for a, b in pairs], 2)}")
        ratios = [a.rps_of_cpu / b.rps_of_cpu for a, b in pairs]
        print(f"wire / {other}, requests a CPU second: {spread(ratios, 2)}")


def open_loops(url: str, seconds: float, repeats: int, core: int, rates: list[int]) -> None:
    """Measure slokit at each rate and print what the machine's own noise is."""
    for rate_rps in rates:
        noise, runs = [], []
        for _ in range(repeats):
            noise.append(noise_ms(core))
            runs.append(open_loop(url, seconds, core, rate_rps))
        print(f"wire, open loop, Poisson {rate_rps} rps:")
        print(f"    rps {spread([run.rps for run in runs])}")
        print(f"    lag P99 ms {spread([run.lag_p99_ms for run in runs], 3)}")
        print(f"    a process that only sleeps, ms {spread(noise, 3)}")
        print(f"    share of a core {spread([run.cpu_ratio for run in runs], 2)}")
        print(f"    dropped {max(run.dropped for run in runs)}, bad {max(r.bad for r in runs)}")


def main() -> None:
    """Run the three parts."""
    parser = argparse.ArgumentParser(description="what one core can send")
    parser.add_argument("--rates", default="5000,20000")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    print(f"server on core {cores[0]}, client on core {cores[-1]}")
    with null_server({cores[0]}) as url:
        settings = url, options.seconds, options.repeats, cores[-1]
        closed_loops(*settings)
        open_loops(*settings, [int(rate) for rate in options.rates.split(",")])
    recording = [recording_us() for _ in range(options.repeats)]
    print(f"recording and journalling, us CPU a sample: {spread(recording, 2)}")


if __name__ == "__main__":
    main()
