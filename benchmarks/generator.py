"""How fast can one core send on time? slokit's wire client beside Locust's FastHttpUser.

Both run in real Locust, one process on one core, and follow the same Poisson schedule
against a server on another core that answers at once with the same 9.3 KB. A rate counts
as held when P99 of the lag (sent - due) is within 2 ms, all answers are good and nothing
was dropped, in one of two attempts; how late this machine wakes a process that only
sleeps is printed first, for nothing can be better than that. slokit records every sample
to disk while it does so; Locust keeps its own statistics. Printed are the highest rates
held, the CPU time a request costs each client, and the ratios; the latter is the steadier
figure where others use the machine at the same time.

    python benchmarks/generator.py [--rates 500,1000,2000,...] [--seconds 4] [--repeats 3]
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from slokit.core.arrivals import Arrivals, due_times
from slokit.load.launcher import launch
from slokit.load.plan import LoadPlan
from slokit.load.precise import Alarm
from slokit.load.scenario import PACKAGED_FOLDER, Scenario
from slokit.runs.journal import read_samples

LAG_LIMIT_MS: Final = 2.0
BODY: Final = json.dumps(
    {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.03125] * 1024}]}
).encode()
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY

FAST_USER: Final = """
import json, sys, time
import gevent
from locust import FastHttpUser, task

ORDERS = json.load(open("orders.json"))


class Fast(FastHttpUser):
    concurrency = 1000

    @task
    def offer(self):
        lags_ms, flights = [], []
        body = {"model": "m", "input": "\\u5317\\u4eac\\u5929\\u6c14", "encoding_format": "float"}

        def send(due):
            lags_ms.append((time.monotonic() - due) * 1000)
            with self.client.post("/v1/embeddings", json=body, catch_response=True) as answer:
                if answer.status_code == 200 and answer.content:
                    answer.success()

        start, cpu_s = time.monotonic() + 0.05, time.process_time()
        for due_s in ORDERS["due_s"]:
            pause_s = start + due_s - time.monotonic()
            gevent.sleep(max(0.0, pause_s))
            flights.append(gevent.spawn(send, start + due_s))
        gevent.joinall(flights)
        failures = self.environment.stats.total.num_failures
        result = {"lags_ms": lags_ms, "bad": failures, "cpu_s": time.process_time() - cpu_s}
        json.dump(result, open("result.json", "w"))
        self.environment.runner.quit()
"""


class NullServer(asyncio.Protocol):
    """Answers each request at once; what was asked is not looked at beyond its length."""

    def __init__(self) -> None:
        self.data = b""

    def connection_made(self, transport: Any) -> None:
        """Remember where to answer."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer as soon as head and body are in."""
        self.data += data
        head, separator, body = self.data.partition(b"\r\n\r\n")
        at = head.lower().find(b"content-length: ")
        if separator and len(body) >= int(head[at + 16 :].split(b"\r\n", 1)[0]):
            self.data = b""
            self.transport.write(ANSWER)


async def serve() -> None:
    """Serve until killed; the port goes to standard output."""
    server = await asyncio.get_running_loop().create_server(NullServer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def null_server(core: int) -> Iterator[str]:
    """The null server in a process of its own, pinned; gives its address."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        os.sched_setaffinity(server.pid, {core})
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline()) if server.stdout else 0}"
        finally:
            server.kill()


@dataclass(frozen=True)
class Attempt:
    """One run: P99 of the lag, bad answers, and CPU microseconds a request."""

    lag_p99_ms: float
    bad: int
    cpu_us: float

    @property
    def held(self) -> bool:
        """Everything left on time and came back well."""
        return self.lag_p99_ms <= LAG_LIMIT_MS and self.bad == 0


def wire(url: str, rate_rps: int, seconds: float, core: int) -> Attempt:
    """The client of slokit itself."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(rate=f"{rate_rps}rps", duration=f"{seconds}s")
        plan = LoadPlan.of(scenario, name="short", run_id="b", run_dir=folder, url=url, seed=1)
        with launch(plan, PACKAGED_FOLDER / "short.py", cpus={core}) as load:
            load.wait()
            if load.failure is not None:
                raise load.failure
            ticks = load.ticks()
        table = read_samples(Path(folder))
        lags_ms = table["lag_ns"].drop_null().to_numpy() / 1e6
        bad = sum(outcome != "ok" for outcome in table["outcome"].to_pylist())
        ends_s = [0.0, *(tick["t_s"] for tick in ticks)]
        spent_s = sum(
            tick["cpu_ratio"] * (end_s - start_s)
            for tick, start_s, end_s in zip(ticks, ends_s, ends_s[1:], strict=False)
        )
        return Attempt(float(np.percentile(lags_ms, 99)), bad, spent_s / len(lags_ms) * 1e6)


def fast_http_user(url: str, rate_rps: int, seconds: float, core: int) -> Attempt:
    """Locust's FastHttpUser, which sends on the same schedule."""
    schedule = due_times(Arrivals.parse("poisson"), rate_rps=rate_rps, duration_s=seconds, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "fast.py").write_text(FAST_USER)
        Path(folder, "orders.json").write_text(json.dumps({"due_s": schedule.tolist()}))
        command = [sys.executable, "-m", "locust", "-f", "fast.py", "--host", url, "--headless"]
        with subprocess.Popen(
            [*command, "--only-summary"], cwd=folder, stderr=-3, stdout=-3
        ) as run:
            os.sched_setaffinity(run.pid, {core})
        result = json.loads(Path(folder, "result.json").read_text())
        lags_ms = result["lags_ms"]
        cpu_us = result["cpu_s"] / len(lags_ms) * 1e6
        return Attempt(float(np.percentile(lags_ms, 99)), int(result["bad"]), cpu_us)


def climb(
    name: str, client: Callable[..., Attempt], rates: list[int], **settings: Any
) -> tuple[int, float]:
    """The highest rate held, and the CPU a request cost at the lowest; two misses end it."""
    held, missed, cpu_us = 0, 0, float("inf")
    for rate_rps in rates:
        best = min((client(rate_rps=rate_rps, **settings) for _ in range(2)), key=_lag)
        print(
            f"  {name:>14} {rate_rps:>6} rps: lag P99 {best.lag_p99_ms:8.3f} ms, {best.bad} bad,"
            f" {best.cpu_us:6.0f} us CPU a request -> {'held' if best.held else 'not held'}",
            flush=True,
        )
        if rate_rps == rates[0]:
            cpu_us = best.cpu_us
        held, missed = (rate_rps, 0) if best.held else (held, missed + 1)
        if missed == 2:
            break
    return held, cpu_us


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


def _lag(attempt: Attempt) -> float:
    return attempt.lag_p99_ms


def main() -> None:
    """Climb with both clients, interleaved, and print ratios."""
    parser = argparse.ArgumentParser(description="highest rate that one core sends on time")
    parser.add_argument("--rates", default="250,500,1000,1500,2000,3000,4000,5000,6000,8000")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    cores = sorted(os.sched_getaffinity(0))
    rates = [int(rate) for rate in options.rates.split(",")]
    print(f"server on core {cores[0]}, client on core {cores[-1]}; {len(BODY)} bytes an answer")
    print(f"a process that only sleeps is woken late by {noise_ms(cores[-1]):.3f} ms (P99)")
    results: dict[str, list[tuple[int, float]]] = {"wire": [], "FastHttpUser": []}
    with null_server(cores[0]) as url:
        settings = {"url": url, "seconds": options.seconds, "core": cores[-1]}
        for _ in range(options.repeats):
            results["wire"].append(climb("wire", wire, rates, **settings))
            results["FastHttpUser"].append(climb("FastHttpUser", fast_http_user, rates, **settings))
    for name, found in results.items():
        held = [rate for rate, _ in found]
        print(f"{name:>14}: holds median {median(held)} rps, from {min(held)} to {max(held)}")
    pairs = list(zip(results["wire"], results["FastHttpUser"], strict=True))
    cpu = [theirs[1] / mine[1] for mine, theirs in pairs]
    rate = [mine[0] / theirs[0] for mine, theirs in pairs if theirs[0]]
    print(
        f"CPU of FastHttpUser / wire at {rates[0]} rps: median {median(cpu):.2f},"
        f" from {min(cpu):.2f} to {max(cpu):.2f}, n = {len(cpu)}"
    )
    if rate:
        print(f"rate held by wire / FastHttpUser: median {median(rate):.2f}, n = {len(rate)}")


if __name__ == "__main__":
    main()
