"""Is the recorded service time true? A server that logs at its own sockets is the witness.

The server shares no code with slokit: asyncio, one core, random service times
(log-normal). It logs, per request, the moment its first byte was read and the moment the
last byte of the answer was handed to the kernel, on the machine's monotonic clock. The
load is slokit's own: real Locust with the wire client, on another core. Requests are
matched by trace id. Aim: recorded P95 within 1 % + 1 ms of the server's.

    python benchmarks/recorder_truth.py [--rates 100,400] [--seconds 10] [--repeats 3]
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from slokit.load.launcher import launch
from slokit.load.plan import LoadPlan
from slokit.load.scenario import PACKAGED_FOLDER, Scenario
from slokit.runs.journal import read_samples

MEDIAN_S: Final = 0.030
SIGMA: Final = 0.6
BODY: Final = json.dumps(
    {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5] * 768}]}
).encode()
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


class Witness(asyncio.Protocol):
    """One connection: reads a request, waits, answers, and logs both moments."""

    def __init__(self, log: dict[str, tuple[int, int]], source: random.Random) -> None:
        self.log, self.source = log, source
        self.data, self.arrived_ns = b"", 0

    def connection_made(self, transport: Any) -> None:
        """Remember where to answer."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Log the arrival with the first byte; answer later, once the request is complete."""
        if not self.data:
            self.arrived_ns = time.monotonic_ns()
        self.data += data
        head, separator, body = self.data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if separator and len(body) >= int(fields[b"content-length"]):
            trace_id = fields[b"traceparent"].decode().split("-")[1]
            self.data = b""
            delay_s = MEDIAN_S * self.source.lognormvariate(0, SIGMA)
            asyncio.get_running_loop().call_later(delay_s, self.answer, trace_id, self.arrived_ns)

    def answer(self, trace_id: str, arrived_ns: int) -> None:
        """Write the answer and log the departure."""
        self.transport.write(ANSWER)
        self.log[trace_id] = (arrived_ns, time.monotonic_ns())


async def serve(log: dict[str, tuple[int, int]]) -> None:
    """Serve and log until standard input ends."""
    loop = asyncio.get_running_loop()
    source = random.Random(7)  # noqa: S311 - repeatable service times
    server = await loop.create_server(lambda: Witness(log, source), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def measure(rate_rps: float, seconds: float, seed: int, cores: tuple[int, int]) -> dict[str, float]:
    """One run: recorded and true P95 of the service time in milliseconds, and their n."""
    with tempfile.TemporaryDirectory() as folder:
        log_path = Path(folder, "log.json")
        command = [sys.executable, __file__, "--serve", str(log_path)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            os.sched_setaffinity(server.pid, {cores[0]})
            port = int(server.stdout.readline()) if server.stdout else 0
            scenario = Scenario(rate=f"{rate_rps}rps", duration=f"{seconds}s")
            plan = LoadPlan.of(
                scenario,
                name="short",
                run_id="truth",
                run_dir=folder,
                url=f"http://127.0.0.1:{port}",
                seed=seed,
            )
            with launch(plan, PACKAGED_FOLDER / "short.py", cpus={cores[1]}) as load:
                load.wait()
                if load.failure is not None:
                    raise load.failure
            server.communicate()
        log = json.loads(log_path.read_text())
        samples = read_samples(Path(folder)).to_pandas()
    truth_ms = np.array([np.subtract(*log[trace][::-1]) / 1e6 for trace in samples.trace_id])
    recorded_ms = ((samples.end_ns - samples.sent_ns) / 1e6).to_numpy()
    return {
        "n": len(samples),
        "truth_p95": float(np.percentile(truth_ms, 95)),
        "recorded_p95": float(np.percentile(recorded_ms, 95)),
        "median_gap": float(np.median(recorded_ms - truth_ms)),
        "lag_p99": float(np.percentile(samples.lag_ns / 1e6, 99)),
    }


def main() -> None:
    """Print every run, then the worst difference against the aim."""
    parser = argparse.ArgumentParser(description="recorded service time against the server's log")
    parser.add_argument("--rates", default="100,400")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        log: dict[str, tuple[int, int]] = {}
        asyncio.run(serve(log))
        options.serve.write_text(json.dumps(log))
        return
    allowed = sorted(os.sched_getaffinity(0))
    cores = (allowed[0], allowed[-1])
    print(f"server on core {cores[0]}, generator on core {cores[1]}; times in ms")
    print("rate_rps  run     n  recorded_p95  truth_p95   ratio  difference  median_gap  lag_p99")
    for rate in options.rates.split(","):
        runs = [
            measure(float(rate), options.seconds, seed, cores) for seed in range(options.repeats)
        ]
        for number, run in enumerate(runs):
            gap = run["recorded_p95"] - run["truth_p95"]
            print(
                f"{rate:>8} {number:>4} {run['n']:>5} {run['recorded_p95']:>13.3f}"
                f" {run['truth_p95']:>10.3f} {run['recorded_p95'] / run['truth_p95']:>7.4f}"
                f" {gap:>11.3f} {run['median_gap']:>11.3f} {run['lag_p99']:>8.3f}"
            )
        ratios = [run["recorded_p95"] / run["truth_p95"] for run in runs]
        within = sum(
            abs(r["recorded_p95"] - r["truth_p95"]) <= 0.01 * r["truth_p95"] + 1 for r in runs
        )
        print(
            f"{rate:>8} rps: ratio median {median(ratios):.4f}, from {min(ratios):.4f} to"
            f" {max(ratios):.4f}; within 1 % + 1 ms: {within} of {len(runs)} runs"
        )


if __name__ == "__main__":
    main()
