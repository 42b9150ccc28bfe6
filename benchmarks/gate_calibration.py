"""How often is the gate wrong, and how often does it decide? Measured on simulated queues.

    python benchmarks/gate_calibration.py                       everything, several minutes
    python benchmarks/gate_calibration.py --systems M/M/1 --n 600 --e 0.05 --runs 200
    python benchmarks/gate_calibration.py --table overload      the overload rule
    python benchmarks/gate_calibration.py --table compare       two runs of one service

Virtual time, no server. "false PASS" and "false FAIL" are shares of runs at a time limit
that exactly the share e of all requests exceeds: each verdict but inconclusive is wrong
there. "PASS e/2" is the share of right passes where half of the allowed share is slow;
"FAIL 2e" and "FAIL 2L" those of right fails where twice the allowed share is slow, and
where the quantile is twice its limit. A standard error follows the number of runs.
"""

import argparse
import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slokit.core.comparison import ChangeVerdict, compare
from slokit.core.gate import latency_inflation, weigh
from slokit.core.sample import Samples
from slokit.core.steady import State, in_flight, trend

Floats = NDArray[np.float64]

ALPHA = 0.05
SYSTEMS = ("M/M/1", "M/D/1", "log-normal", "M/M/4", "batch", "freeze")
UTILISATIONS = (0.3, 0.5, 0.7, 0.85, 0.93)
SIZES = (200, 600, 1000, 3000)
SHARES = (0.05, 0.013, 0.01, 0.002)
FREEZE_EVERY, FREEZE_FOR = 600.0, 30.0  # mean service times: 0.3 s in 6 s at 10 ms


@dataclass(frozen=True)
class Row:
    """The measured shares of one cell of the table."""

    system: str
    utilisation: float
    n: int
    e: float
    inflation: float
    false_pass: float
    false_fail: float
    pass_half: float
    fail_double: float
    fail_twice_the_limit: float


def simulate(
    system: str, utilisation: float, runs: int, n: int, rng: np.random.Generator, warm: int
) -> tuple[Floats, Floats]:
    """Due and end times of steady runs, shape (runs, n); the unit is a mean service time."""
    shape = (runs, warm + n)
    if system == "batch":
        rate = utilisation * 32 / (10 + 1.5 * 32) * 11.5  # a unit is one single-text batch
        due = np.cumsum(rng.exponential(1 / rate, shape), axis=1)
        end = np.array([_batch_server(row) for row in due.tolist()])
    elif system == "M/M/4":
        due = np.cumsum(rng.exponential(1 / (4 * utilisation), shape), axis=1)
        end = _many_servers(due, rng.exponential(1, shape), servers=4)
    else:
        awake = 1 - FREEZE_FOR / FREEZE_EVERY if system == "freeze" else 1.0
        due = np.cumsum(rng.exponential(1 / (utilisation * awake), shape), axis=1)
        service = {
            "M/M/1": lambda: rng.exponential(1, shape),
            "M/D/1": lambda: np.ones(shape),
            "log-normal": lambda: rng.lognormal(-0.125, 0.5, shape),
            "freeze": lambda: rng.exponential(1, shape),
        }[system]()
        if system == "freeze":
            due = due + rng.uniform(0, FREEZE_EVERY, (runs, 1))
            end = _thawed(_one_server(_awake(due), service))
        else:
            end = _one_server(due, service)
    return due[:, warm:], np.asarray(end)[:, warm:]


def _one_server(due: Floats, service: Floats) -> Floats:
    """Lindley's recursion, first come first served, by running minima."""
    gaps = np.diff(due, axis=1, prepend=due[:, :1])
    steps = np.concatenate([np.zeros_like(due[:, :1]), service[:, :-1]], axis=1) - gaps
    walk = np.cumsum(steps, axis=1)
    return due + walk - np.minimum.accumulate(walk, axis=1) + service


def _many_servers(due: Floats, service: Floats, servers: int) -> Floats:
    free = np.zeros((len(due), servers))
    end = np.empty_like(due)
    rows = np.arange(len(due))
    for i in range(due.shape[1]):
        first = free.argmin(axis=1)
        end[:, i] = np.maximum(free[rows, first], due[:, i]) + service[:, i]
        free[rows, first] = end[:, i]
    return end


def _batch_server(due: list[float]) -> list[float]:
    """Takes what waits, at most 32 texts, for 10 ms and 1.5 ms a text."""
    end: list[float] = []
    free = 0.0
    while len(end) < len(due):
        at = len(end)
        start = max(free, due[at])
        size = min(bisect_right(due, start, lo=at), at + 32) - at
        free = start + (10 + 1.5 * size) / 11.5
        end += [free] * size
    return end


def _awake(time: Floats) -> Floats:
    """Time without the freezes; what comes in during one waits at its end."""
    cycles, rest = np.divmod(time, FREEZE_EVERY)
    return cycles * (FREEZE_EVERY - FREEZE_FOR) + np.maximum(rest - FREEZE_FOR, 0)


def _thawed(awake: Floats) -> Floats:
    cycles, rest = np.divmod(awake, FREEZE_EVERY - FREEZE_FOR)
    return cycles * FREEZE_EVERY + rest + FREEZE_FOR


def warm_up(utilisation: float) -> int:
    """Requests until an empty queue has forgotten that it was."""
    return min(int(20 / (1 - utilisation) ** 2) + 100, 5000)


def limits(
    system: str, utilisation: float, tails: list[float], total: int, rng: np.random.Generator
) -> dict[float, float]:
    """The latency that a share of all requests exceeds, for each share, from one long study."""
    if system == "M/M/1":  # the sojourn time is exponential with rate 1 - utilisation
        return {e: -math.log(e) / (1 - utilisation) for e in tails}
    chunk, found = 10_000, []
    for _ in range(max(total // (100 * chunk), 1)):
        due, end = simulate(system, utilisation, 100, chunk, rng, warm_up(utilisation))
        found.append((end - due).ravel())
    latency = np.concatenate(found)
    return {e: float(np.quantile(latency, 1 - e)) for e in tails}


def calibrate(
    system: str,
    utilisation: float,
    *,
    sizes: tuple[int, ...],
    shares: tuple[float, ...],
    runs: int,
    study: int,
    seed: int,
) -> Iterator[Row]:
    """Measure one queue; the shorter runs are the beginnings of the longer ones."""
    rng = np.random.default_rng([seed, SYSTEMS.index(system), int(100 * utilisation)])
    tails = sorted({scale * e for e in shares for scale in (0.5, 1, 2)})
    limit = limits(system, utilisation, tails, study, rng)
    due, end = simulate(system, utilisation, runs, max(sizes), rng, warm_up(utilisation))
    for n in sizes:
        counts = [in_flight(d[:n], d[:n], x[:n]) for d, x in zip(due, end, strict=True)]
        latencies = (end - due)[:, :n]
        for e in shares:
            tried = {
                "at": limit[e],
                "half": limit[0.5 * e],
                "double": limit[2 * e],
                "twice": limit[e] / 2,
            }
            passes, fails = dict.fromkeys(tried, 0), dict.fromkeys(tried, 0)
            inflations = []
            for latency, count in zip(latencies, counts, strict=True):
                for name, limit_s in tried.items():
                    bad = latency > limit_s
                    evidence = weigh(bad, e, latency_inflation(latency, bad, e, count))
                    passes[name] += evidence.pass_p <= ALPHA
                    fails[name] += evidence.fail_p <= ALPHA
                    if name == "at":
                        inflations.append(evidence.inflation)
            yield Row(
                system,
                utilisation,
                n,
                e,
                float(np.median(inflations)),
                passes["at"] / runs,
                fails["at"] / runs,
                passes["half"] / runs,
                fails["double"] / runs,
                fails["twice"] / runs,
            )


def overload_share(
    system: str, utilisation: float, *, n: int, runs: int, seed: int, warm: int = 50
) -> float:
    """The share of runs whose in-flight trend is called overload; they start nearly empty."""
    rng = np.random.default_rng([seed, int(100 * utilisation), n])
    due, end = simulate(system, utilisation, runs, n, rng, warm)
    called = [trend(in_flight(d, d, x)).state for d, x in zip(due, end, strict=True)]
    return called.count(State.OVERLOADED) / runs


def changed_share(utilisation: float, factor: float, *, n: int, runs: int, seed: int) -> float:
    """The share of pairs of M/M/1 runs, one with `factor` x service time, called changed."""
    rng = np.random.default_rng([seed, int(100 * utilisation), n])
    warm = warm_up(utilisation)
    changed = 0
    for _ in range(runs):
        base = simulate("M/M/1", utilisation, 1, n, rng, warm)
        other = simulate("M/M/1", utilisation * factor, 1, n, rng, warm)
        result = compare(
            _samples(*base), _samples(other[0] * factor, other[1] * factor), seed=seed
        )
        verdict = result.classes["all"]["p95"].verdict
        changed += verdict in {ChangeVerdict.REGRESSED, ChangeVerdict.IMPROVED}
    return changed / runs


def _samples(due: Floats, end: Floats) -> Samples:
    n = due.shape[1]
    return Samples(
        due[0], due[0], end[0], np.zeros(n), np.full(n, "ok"), np.full(n, "all"), np.zeros(n, int)
    )


def _print_gate(options: argparse.Namespace) -> None:
    worst = math.sqrt(0.05 * 0.95 / options.runs)
    print(f"{options.runs} runs a cell; standard error {worst:.3f} at a share of 0.05")
    print("| system | util. | n | e | D | false PASS | false FAIL | PASS e/2 | FAIL 2e | FAIL 2L |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for system in options.systems:
        for utilisation in options.utilisations:
            for row in calibrate(
                system,
                utilisation,
                sizes=tuple(options.n),
                shares=tuple(options.e),
                runs=options.runs,
                study=options.study,
                seed=options.seed,
            ):
                print(
                    f"| {row.system} | {row.utilisation:g} | {row.n} | {row.e:g} "
                    f"| {row.inflation:.3g} | {row.false_pass:.3f} | {row.false_fail:.3f} "
                    f"| {row.pass_half:.2f} | {row.fail_double:.2f} "
                    f"| {row.fail_twice_the_limit:.2f} |",
                    flush=True,
                )


def _print_overload(options: argparse.Namespace) -> None:
    print(f"share of {options.runs} runs called overloaded")
    print("| system | offered / capacity | " + " | ".join(f"n = {n}" for n in options.n) + " |")
    print("|---|---|" + "---|" * len(options.n))
    for system in options.systems:
        for utilisation in (0.5, 0.85, 0.93, 1.05, 1.1, 1.2, 1.3, 1.5, 2.0):
            shares = [
                overload_share(system, utilisation, n=n, runs=options.runs, seed=options.seed)
                for n in options.n
            ]
            print(f"| {system} | {utilisation:g} | " + " | ".join(f"{s:.3f}" for s in shares), "|")


def _print_compare(options: argparse.Namespace) -> None:
    print(f"share of {options.runs} pairs of M/M/1 runs of 1500 whose P95 is called changed")
    print("| utilisation | same service | 20 % slower |")
    print("|---|---|---|")
    for utilisation in (0.3, 0.5, 0.7):
        same, slower = (
            changed_share(utilisation, factor, n=1500, runs=options.runs, seed=options.seed)
            for factor in (1.0, 1.2)
        )
        print(f"| {utilisation:g} | {same:.3f} | {slower:.3f} |", flush=True)


def main() -> None:
    """Print one of the tables of docs/verdict.md."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--table", choices=("gate", "overload", "compare"), default="gate")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--utilisations", nargs="+", type=float, default=UTILISATIONS)
    parser.add_argument("--n", nargs="+", type=int, default=SIZES)
    parser.add_argument("--e", nargs="+", type=float, default=SHARES)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--study", type=int, default=4_000_000, help="requests behind each limit")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tables = {"gate": _print_gate, "overload": _print_overload, "compare": _print_compare}
    tables[options.table](options)


if __name__ == "__main__":
    main()
