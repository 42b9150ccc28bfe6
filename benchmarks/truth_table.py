"""P95 as slokit and stock Locust report it, beside the truth: writes docs/truth.md.

The service shares no code with slokit: asyncio, one queue, first come first served, service
times of a known law. It logs at its own socket when each request was read and when its
answer was written.

The truth is what users who do not wait for each other would see at the offered rate: by
formula for the memoryless queue, P95 = ln 20 / (mu - lambda), and for the stalling service;
by Lindley's recursion over a million arrivals for the others. A run of seconds scatters
around it, so slokit is also compared with the service's log of the very same run. Stock
Locust offers the same mean rate with `constant_throughput`, as its manual advises; its P95 is
the one that it writes into its own statistics. All services are measured at the same time.

    python benchmarks/truth_table.py [--seconds 20] [--repeats 3] [--write]
"""

import argparse
import asyncio
import csv
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from slokit.load.launcher import launch
from slokit.load.plan import LoadPlan
from slokit.load.scenario import PACKAGED_FOLDER, Scenario
from slokit.runs.journal import read_samples

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "truth.md"
RATE_RPS, USERS = 50.0, 25
STALL_S, PERIOD_S, QUICK_S = 2.0, 10.0, 0.005
BODY: Final = b'{"object": "list", "data": [{"index": 0, "embedding": [0.6, 0.8]}]}'
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
STALL: Final = "stall"
LAWS: Final[dict[str, Callable[[random.Random], float]]] = {  # service times in seconds
    "M/M/1": lambda source: source.expovariate(100.0),
    "M/D/1": lambda _: 0.010,
    "log-normal": lambda source: 0.008 * source.lognormvariate(0.0, 0.6),
    "bimodal": lambda source: 0.040 if source.random() < 0.1 else 0.006,
    STALL: lambda _: QUICK_S,
}
TITLES: Final = {
    "M/M/1": "exponential, mean 10 ms",
    "M/D/1": "always 10 ms",
    "log-normal": "log-normal, median 8 ms, sigma 0.6",
    "bimodal": "6 ms, one in ten 40 ms",
    STALL: "5 ms, frozen for 2 s in every 10 s",
}
STOCK: Final = """
import random
import time

import gevent
from locust import FastHttpUser, constant_throughput, task


class Stock(FastHttpUser):
    wait_time = constant_throughput(%g)

    def on_start(self):  # or all users would send at the same moments, for ever
        gevent.sleep(random.uniform(0, 1 / %g))
        self._cp_last_run = time.perf_counter()  # its rhythm counts from its construction

    @task
    def embed(self):
        self.client.post("/v1/embeddings", json={"model": "m", "input": "x"})
"""


def true_p95_s(law: str, arrivals: int = 1_000_000) -> float:
    """P95 of the time in the system at `RATE_RPS` Poisson arrivals a second."""
    if law == "M/M/1":
        return math.log(20) / (100.0 - RATE_RPS)
    if law == STALL:  # a share STALL_S / PERIOD_S waits, for uniform(0, STALL_S)
        return STALL_S - 0.05 * PERIOD_S + QUICK_S
    source = random.Random(1)  # noqa: S311 - a simulation
    waits_s, times_s = 0.0, np.empty(arrivals)
    for i in range(arrivals):
        service_s = LAWS[law](source)
        times_s[i] = waits_s + service_s
        waits_s = max(0.0, times_s[i] - source.expovariate(RATE_RPS))
    return float(np.percentile(times_s, 95))


class Queue:
    """The one server behind all connections, and its log."""

    def __init__(self, law: str) -> None:
        self.law, self.free_s, self.first_s = law, 0.0, 0.0
        self.source = random.Random(time.monotonic_ns())  # noqa: S311 - a simulation
        self.seen_s: list[float] = []

    def done_s(self, arrived_s: float) -> float:
        """When a request that arrives now will be done."""
        if self.law == STALL:
            self.first_s = self.first_s or arrived_s
            phase_s = (arrived_s - self.first_s) % PERIOD_S
            frozen = phase_s >= PERIOD_S - STALL_S
            return arrived_s + QUICK_S + (PERIOD_S - phase_s if frozen else 0.0)
        self.free_s = max(self.free_s, arrived_s) + LAWS[self.law](self.source)
        return self.free_s


class Connection(asyncio.Protocol):
    """Reads requests, waits as the queue says, answers and logs."""

    def __init__(self, queue: Queue) -> None:
        self.queue, self.data, self.arrived_s = queue, b"", 0.0

    def connection_made(self, transport: Any) -> None:
        """Remember where to answer."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Queue a request once it is complete, from its first byte on."""
        self.arrived_s = self.arrived_s if self.data else time.monotonic()
        self.data += data
        head, separator, body = self.data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if separator and len(body) >= int(fields[b"content-length"]):
            self.data = b""
            done_s = self.queue.done_s(self.arrived_s)
            asyncio.get_running_loop().call_at(done_s, self.answer, self.arrived_s)

    def answer(self, arrived_s: float) -> None:
        """Write the answer and log how long it took."""
        self.transport.write(ANSWER)
        self.queue.seen_s.append(time.monotonic() - arrived_s)


async def serve(law: str) -> None:
    """Serve until standard input ends; then print what was logged."""
    queue, loop = Queue(law), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(queue), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps(queue.seen_s))


@contextmanager
def service(law: str) -> Iterator[tuple[str, list[float]]]:
    """A service in a process of its own: its address, and its log once it has ended."""
    command = [sys.executable, __file__, "--serve", law]
    log: list[float] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        port = int(process.stdout.readline()) if process.stdout else 0
        yield f"http://127.0.0.1:{port}", log
        log += json.loads(process.communicate()[0])


def with_slokit(law: str, seconds: float, seed: int) -> tuple[float, float, int]:
    """P95 of latency from due as slokit records it, of the service's log, and n."""
    with tempfile.TemporaryDirectory() as folder:
        with service(law) as (url, log):
            scenario = Scenario(rate=f"{RATE_RPS:g}rps", duration=f"{seconds:g}s")
            plan = LoadPlan.of(
                scenario, name="short", run_id="t", run_dir=folder, url=url, seed=seed
            )
            with launch(plan, PACKAGED_FOLDER / "short.py") as load:
                load.wait()
                if load.failure is not None:
                    raise load.failure
        samples = read_samples(Path(folder)).to_pandas()
    latency_s = (samples.end_ns - samples.due_ns) / 1e9
    return float(np.percentile(latency_s, 95)), float(np.percentile(log, 95)), len(samples)


def with_locust(law: str, seconds: float) -> tuple[float, int]:
    """P95 as stock Locust writes it into its statistics, and n."""
    with tempfile.TemporaryDirectory() as folder, service(law) as (url, _):
        Path(folder, "stock.py").write_text(STOCK % ((RATE_RPS / USERS,) * 2))
        command = [sys.executable, "-m", "locust", "-f", "stock.py", "--host", url, "--headless"]
        command += ["-u", str(USERS), "-r", str(USERS), "--run-time", f"{seconds:g}s"]
        command += ["--csv", "out", "--only-summary", "--exit-code-on-error", "0"]
        subprocess.run(
            command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with Path(folder, "out_stats.csv").open() as source:
            (row,) = (row for row in csv.DictReader(source) if row["Name"] == "Aggregated")
        return float(row["95%"]) / 1000, int(row["Request Count"])


def measure(law: str, seconds: float, repeats: int) -> str:
    """One row of the table."""
    ours = [with_slokit(law, seconds, seed) for seed in range(repeats)]
    stock = [with_locust(law, seconds) for _ in range(repeats)]
    ratios = [recorded / logged for recorded, logged, _ in ours]
    cells = [
        law,
        TITLES[law],
        f"{true_p95_s(law) * 1e3:.1f}",
        _spread([logged * 1e3 for _, logged, _ in ours]),
        _spread([recorded * 1e3 for recorded, _, _ in ours]),
        _spread(ratios, 3),
        _spread([p95_s * 1e3 for p95_s, _ in stock]),
        f"{sum(n for _, _, n in ours)} / {sum(n for _, n in stock)}",
    ]
    return "| " + " | ".join(cells) + " |"


def _spread(values: list[float], digits: int = 1) -> str:
    """Median, and smallest to largest in brackets."""
    low, middle, high = (f"{f(values):.{digits}f}" for f in (min, median, max))
    return f"{middle} ({low} to {high})"


def page(rows: list[str], seconds: float, repeats: int) -> str:
    """The document."""
    return f"""# P95 against a known truth

Written by `python benchmarks/truth_table.py --write`. Each service answers one request at a
time, first come first served (the stalling one: all at once, but not while frozen), and is
offered {RATE_RPS:g} requests/s. Times in ms. n = {repeats} runs of {seconds:g} s each: median
(smallest to largest), on {len(os.sched_getaffinity(0))} cores that all services shared.

- **true**: what users who do not wait for each other see in the long run, by formula or from a
  million simulated arrivals.
- **service's log**: P95 at the service's own socket in slokit's runs. It scatters around the
  truth because a run of seconds is short; slokit has to agree with it run by run.
- **slokit**: P95 of latency from due, as recorded. **slokit / log**: the ratio within each run.
- **stock Locust**: P95 in the statistics of {USERS} `FastHttpUser` with `constant_throughput` at
  the same mean rate, started at random moments. They send in a fixed rhythm, not at random, and
  wait for their answers, so requests that would have queued are never sent; and P95 is rounded
  to 10 ms from 100 ms on.

| service | service time | true | service's log | slokit | slokit / log | stock Locust | requests |
|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def main() -> None:
    """Measure all services at once, print the page, and write it when asked."""
    parser = argparse.ArgumentParser(description="slokit and stock Locust beside the truth")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--serve", choices=list(LAWS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve))
        return
    with ThreadPoolExecutor(len(LAWS)) as pool:
        rows = pool.map(lambda law: measure(law, options.seconds, options.repeats), LAWS)
        text = page(list(rows), options.seconds, options.repeats)
    print(text)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
