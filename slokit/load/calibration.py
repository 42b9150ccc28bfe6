"""What this machine can measure, found by measuring a server that takes no time.

Against the null server every microsecond is the generator's own or the machine's: the
latency seen is the floor under every measurement here, and the rate at which requests
still leave on time is the highest that can be offered honestly.
"""

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Final

import numpy as np

from slokit.core.sample import Outcome
from slokit.load.launcher import launch
from slokit.load.null_server import null_server
from slokit.load.plan import LoadPlan
from slokit.load.scenario import PACKAGED_FOLDER, Scenario
from slokit.runs.journal import read_samples

LAG_LIMIT_S: Final = 2e-3  # P99 of sent - due up to which a rate is offered honestly
FLOOR_RPS: Final = 100
LADDER_RPS: Final = (200, 500, 1000, 2000, 5000, 10_000, 20_000, 40_000)
STEP_S: Final = 1.5
SETTLE_S: Final = 0.5  # of each step: connections are opened, caches fill
BUDGET_S: Final = 18.0  # no step begins later: the whole stays below half a minute
TIMEOUT_S: Final = 2.0
_CLOCK: Final = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one rate. Times are seconds; latency is counted from due."""

    rate_rps: float
    lag_p99_s: float
    latency_p50_s: float
    latency_p99_s: float
    dropped: int
    failed: int

    @property
    def honest(self) -> bool:
        """Everything left on time and came back."""
        return self.lag_p99_s <= LAG_LIMIT_S and self.dropped == self.failed == 0


@dataclass(frozen=True, slots=True)
class Machine:
    """What does not need load to be known. `late_*_s`: how late a sleeping process wakes."""

    cores: int
    files_soft: int
    files_hard: int
    clock_source: str
    clock_resolution_s: float
    late_p50_s: float
    late_p99_s: float


def look_at_machine(sleeps: int = 500, sleep_s: float = 1e-3) -> Machine:
    """Facts of this process's surroundings; takes `sleeps` x `sleep_s` seconds."""
    late_s = []
    for _ in range(sleeps):
        began_ns = time.monotonic_ns()
        time.sleep(sleep_s)
        late_s.append((time.monotonic_ns() - began_ns) / 1e9 - sleep_s)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        files_soft=soft,
        files_hard=hard,
        clock_source=_CLOCK.read_text(encoding="ascii").strip() if _CLOCK.exists() else "unknown",
        clock_resolution_s=time.get_clock_info("monotonic").resolution,
        late_p50_s=float(np.percentile(late_s, 50)),
        late_p99_s=float(np.percentile(late_s, 99)),
    )


def measure_rate(url: str, rate_rps: float, seconds: float, cores: Sequence[int]) -> Step:
    """Offer a Poisson load to `url` and look at it from `SETTLE_S` on."""
    with tempfile.TemporaryDirectory(prefix="slokit-doctor-") as folder:
        scenario = Scenario(rate=f"{rate_rps}rps", duration=f"{seconds}s")
        plan = LoadPlan.of(
            scenario,
            name="short",
            run_id="doctor",
            run_dir=folder,
            url=url,
            seed=1,
            timeout_s=TIMEOUT_S,
            max_in_flight=1000,  # far more than a server without service time can fill
        )
        with launch(plan, PACKAGED_FOLDER / "short.py", cpus=cores) as load:
            load.wait()
            if load.failure is not None:
                raise load.failure
        table = read_samples(Path(folder)).select(["due_ns", "end_ns", "lag_ns", "outcome"])
    return summarise(rate_rps, *(c.to_numpy(zero_copy_only=False) for c in table.itercolumns()))


def summarise(rate_rps: float, due_ns: Any, end_ns: Any, lag_ns: Any, outcome: Any) -> Step:
    """One step from its samples; dropped requests have no lag (NaN)."""
    settled = due_ns >= SETTLE_S * 1e9
    latency_s = (end_ns - due_ns)[settled] / 1e9
    return Step(
        rate_rps=rate_rps,
        lag_p99_s=float(np.nanpercentile(lag_ns[settled].astype(float), 99)) / 1e9,
        latency_p50_s=float(np.percentile(latency_s, 50)),
        latency_p99_s=float(np.percentile(latency_s, 99)),
        dropped=int((outcome == Outcome.DROPPED).sum()),
        failed=int(((outcome != Outcome.OK) & (outcome != Outcome.DROPPED)).sum()),
    )


def climb(
    measure: Callable[[float], Step], rates_rps: Sequence[float], *, enough: Callable[[], bool]
) -> Iterator[Step]:
    """Measure ever higher rates until one misses twice, then one between the last two.

    One miss may be another program's doing. `enough` ends it early.
    """
    best_rps = 0.0
    for rate_rps in rates_rps:
        for _ in range(2):
            if enough():
                return
            step = measure(rate_rps)
            yield step
            if step.honest:
                best_rps = rate_rps
                break
        else:
            if best_rps and not enough():
                yield measure(round(sqrt(best_rps * rate_rps)))
            return


def calibrate(say: Callable[[str], None]) -> tuple[Step, list[Step]]:
    """The floor of latency at a low rate, and the steps of the climb; says what it does."""
    began_s = time.monotonic()
    cores = sorted(os.sched_getaffinity(0))
    with null_server({cores[0]}) as url:
        client = cores[1:] or cores  # where there is one core, both share it
        say(f"floor of latency: {FLOOR_RPS} requests/s to a server that takes no time")
        floor = measure_rate(url, FLOOR_RPS, 3.0, client)

        def measure(rate_rps: float) -> Step:
            say(f"offering {rate_rps:g} requests/s")
            return measure_rate(url, rate_rps, STEP_S, client[:1])

        steps = climb(measure, LADDER_RPS, enough=lambda: time.monotonic() - began_s > BUDGET_S)
        return floor, list(steps)
