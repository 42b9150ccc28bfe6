"""How often is the gate wrong, and how often does it decide? Measured on simulated queues.

    python benchmarks/gate_calibration.py                       everything, several minutes
    python benchmarks/gate_calibration.py --systems M/M/1 --n 600 --e 0.05 --runs 200
    python benchmarks/gate_calibration.py --table looks         stopping at planned looks
    python benchmarks/gate_calibration.py --table verdict       warm-up, trend and gate together
    python benchmarks/gate_calibration.py --table overload      the overload rule
    python benchmarks/gate_calibration.py --table compare       two runs of one service

Virtual time, no server. "false PASS" and "false FAIL" are shares of runs at a time limit
that exactly the share e of all requests exceeds: each verdict but inconclusive is wrong
there. "PASS e/2" is the share of right passes where half of the allowed share is slow,
"PASS L/3" where the quantile is a third of its limit; "FAIL 2e" and "FAIL 2L" those of
right fails where twice the allowed share is slow, and where the quantile is twice its limit.
A standard error follows the number of runs.
"""

import argparse
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from queues import SYSTEMS, Floats, limits, simulate, warm_up

from slokit.core.comparison import ChangeVerdict, compare
from slokit.core.gate import latency_inflation, weigh, with_margin
from slokit.core.objective import parse_objective
from slokit.core.sample import Samples
from slokit.core.sequential import FIRST_REQUESTS, ONLY, Look
from slokit.core.steady import State, in_flight, trend
from slokit.core.verdict import Load, Verdict, judge

ALPHA = 0.05
UTILISATIONS = (0.3, 0.5, 0.7, 0.85, 0.93)
SIZES = (200, 320, 600, 1000, 3000)
SHARES = (0.05, 0.013, 0.01, 0.002)
PATHS_AT_ONCE = 100  # runs of 16 000 requests in memory


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
    pass_third: float
    fail_double: float
    fail_twice_the_limit: float


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
        runs_of_n = [(d[:n], x[:n]) for d, x in zip(due, end, strict=True)]
        for e in shares:
            at, half, third, double, twice = (
                _shares_decided(runs_of_n, limit_s, e)
                for limit_s in (limit[e], limit[e / 2], 3 * limit[e], limit[2 * e], limit[e] / 2)
            )
            yield Row(
                system, utilisation, n, e, at[2], at[0], at[1], half[0], third[0], double[1],
                twice[1],
            )  # fmt: skip


def _shares_decided(
    runs: list[tuple[Floats, Floats]], limit_s: float, e: float
) -> tuple[float, float, float]:
    """The shares of runs that pass and that fail a limit, and their median inflation."""
    passes, fails, inflations = 0, 0, []
    for due, end in runs:
        verdict, inflation = _decided(due, end, limit_s, e)
        passes += verdict is Verdict.PASS
        fails += verdict is Verdict.FAIL
        inflations.append(inflation)
    return passes / len(runs), fails / len(runs), float(np.median(inflations))


def _decided(
    due: Floats, end: Floats, limit_s: float, e: float, look: Look = ONLY
) -> tuple[Verdict, float]:
    """What the gate says of one run, and the inflation."""
    latency = np.round(end - due, 9)  # as the verdict does: no float dust
    bad = latency > limit_s
    inflated = latency_inflation(latency, bad, e, in_flight(due, due, end), look)
    evidence = weigh(bad, e, inflated)
    margin = with_margin(latency, bad, evidence, limit_s, look)
    verdict = Verdict.INCONCLUSIVE
    if min(evidence.pass_p, margin.pass_p) <= look.alpha:
        verdict = Verdict.PASS
    elif evidence.fail_p <= look.alpha:
        verdict = Verdict.FAIL
    return verdict, evidence.inflation


def paths(
    system: str, utilisation: float, *, e: float, looks: int, runs: int, study: int, seed: int
) -> dict[str, list[tuple[Verdict, int]]]:
    """The first decided look of each run and its requests, for each limit.

    Looks come at 500 requests and at each doubling; a run that none of them decides is
    inconclusive at the last.
    """
    rng = np.random.default_rng([seed, SYSTEMS.index(system), int(100 * utilisation), looks])
    limit = limits(system, utilisation, [e / 2, e, 2 * e], study, rng)
    most = FIRST_REQUESTS * 2 ** (looks - 1)
    tried = {
        "L": limit[e],
        "PASS e/2": limit[e / 2],
        "PASS L/3": 3 * limit[e],
        "FAIL 2e": limit[2 * e],
        "FAIL 2L": limit[e] / 2,
    }
    found: dict[str, list[tuple[Verdict, int]]] = {name: [] for name in tried}
    for start in range(0, runs, PATHS_AT_ONCE):
        count = min(PATHS_AT_ONCE, runs - start)
        due, end = simulate(system, utilisation, count, most, rng, warm_up(utilisation))
        for name, limit_s in tried.items():
            found[name] += [_path(d, x, limit_s, e, looks) for d, x in zip(due, end, strict=True)]
    return found


def _path(due: Floats, end: Floats, limit_s: float, e: float, looks: int) -> tuple[Verdict, int]:
    verdict, n = Verdict.INCONCLUSIVE, 0
    for number in range(1, looks + 1):
        n = FIRST_REQUESTS * 2 ** (number - 1)
        verdict, _ = _decided(due[:n], end[:n], limit_s, e, Look(number, looks))
        if verdict is not Verdict.INCONCLUSIVE:
            break
    return verdict, n


def verdict_shares(
    system: str, utilisation: float, *, n: int, runs: int, study: int, seed: int
) -> list[Counter[Verdict]]:
    """Whole verdicts on `p95 <= L` of runs from an empty queue, 30 requests a second.

    One count for each of three limits: the true P95, half of it, and 1.3 times it.
    """
    rng = np.random.default_rng([seed, SYSTEMS.index(system), int(100 * utilisation)])
    true_p95 = limits(system, utilisation, [0.05], study, rng)[0.05]
    due, end = simulate(system, utilisation, runs, n, rng, 0)
    unit_s = n / 30 / float(np.mean(due[:, -1] - due[:, 0]))
    counts = []
    for scale in (1.0, 0.5, 1.3):
        objective = replace(parse_objective("p95 <= 1s"), limit_s=scale * true_p95 * unit_s)
        counts.append(
            Counter(
                judge(
                    _samples(d * unit_s, x * unit_s),
                    [objective],
                    Load("open", 30.0, n, n, end_s=float(d[-1]) * unit_s),
                ).verdict
                for d, x in zip(due, end, strict=True)
            )
        )
    return counts


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
        [due], [end] = simulate("M/M/1", utilisation, 1, n, rng, warm)
        [due_other], [end_other] = simulate("M/M/1", utilisation * factor, 1, n, rng, warm)
        other = _samples(due_other * factor, end_other * factor)
        result = compare(_samples(due, end), other, seed=seed)
        verdict = result.classes["all"]["p95"].verdict
        changed += verdict in {ChangeVerdict.REGRESSED, ChangeVerdict.IMPROVED}
    return changed / runs


def _samples(due: Floats, end: Floats) -> Samples:
    n = len(due)
    return Samples(
        due, due, end, np.zeros(n), np.full(n, "ok"), np.full(n, "all"), np.zeros(n, int)
    )


def _print_gate(options: argparse.Namespace) -> None:
    error = math.sqrt(ALPHA * (1 - ALPHA) / options.runs)
    print(f"{options.runs} runs a cell; standard error {error:.3f} at a share of 0.05")
    print(
        "| system | util. | n | e | D | false PASS | false FAIL "
        "| PASS e/2 | PASS L/3 | FAIL 2e | FAIL 2L |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    rows = []
    for system, utilisation in product(options.systems, options.utilisations):
        for row in calibrate(
            system,
            utilisation,
            sizes=tuple(options.n),
            shares=tuple(options.e),
            runs=options.runs,
            study=options.study,
            seed=options.seed,
        ):
            rows.append(row)
            print(
                f"| {row.system} | {row.utilisation:g} | {row.n} | {row.e:g} "
                f"| {row.inflation:.3g} | {row.false_pass:.3f} | {row.false_fail:.3f} "
                f"| {row.pass_half:.2f} | {row.pass_third:.2f} | {row.fail_double:.2f} "
                f"| {row.fail_twice_the_limit:.2f} |",
                flush=True,
            )
    _print_gate_summary(rows)


def _print_gate_summary(rows: list[Row]) -> None:
    """Largest and mean shares over all systems and utilisations, by n and e."""
    print(
        "\n| n | e | false PASS max, mean | false FAIL max, mean "
        "| PASS e/2 | PASS L/3 | FAIL 2e | FAIL 2L |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for n, e in sorted({(row.n, row.e) for row in rows}, key=lambda cell: (cell[0], -cell[1])):
        cells = [row for row in rows if (row.n, row.e) == (n, e)]
        wrong_pass = [row.false_pass for row in cells]
        wrong_fail = [row.false_fail for row in cells]
        print(
            f"| {n} | {e:g} | {max(wrong_pass):.3f}, {np.mean(wrong_pass):.3f} "
            f"| {max(wrong_fail):.3f}, {np.mean(wrong_fail):.3f} "
            f"| {np.mean([row.pass_half for row in cells]):.2f} "
            f"| {np.mean([row.pass_third for row in cells]):.2f} "
            f"| {np.mean([row.fail_double for row in cells]):.2f} "
            f"| {np.mean([row.fail_twice_the_limit for row in cells]):.2f} |"
        )


def _print_looks(options: argparse.Namespace) -> None:
    """Error and power over the whole path, and how many requests the decided runs took."""
    error = math.sqrt(ALPHA * (1 - ALPHA) / options.runs)
    print(f"{options.runs} runs a queue; standard error {error:.3f} at a share of 0.05")
    print("each cell of power: share decided rightly, median n of all runs")
    print(
        "| looks | e | false PASS max, mean | false FAIL max, mean "
        "| PASS e/2 | PASS L/3 | FAIL 2e | FAIL 2L |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for looks, e in product(options.looks, options.e):
        queues = [
            paths(s, u, e=e, looks=looks, runs=options.runs, study=options.study, seed=options.seed)
            for s, u in product(options.systems, options.utilisations)
        ]
        wrong = [
            [_share(queue["L"], verdict) for queue in queues]
            for verdict in (Verdict.PASS, Verdict.FAIL)
        ]
        cells = [f"{max(shares):.3f}, {np.mean(shares):.3f}" for shares in wrong]
        for name in ("PASS e/2", "PASS L/3", "FAIL 2e", "FAIL 2L"):
            every = [path for queue in queues for path in queue[name]]
            right = _share(every, Verdict.PASS if "PASS" in name else Verdict.FAIL)
            cells.append(f"{right:.2f}, {np.median([n for _, n in every]):.0f}")
        print(f"| {looks} | {e:g} | {' | '.join(cells)} |", flush=True)


def _share(decided: list[tuple[Verdict, int]], verdict: Verdict) -> float:
    return sum(found is verdict for found, _ in decided) / len(decided)


def _print_verdict(options: argparse.Namespace) -> None:
    print(f"{options.runs} runs a cell from an empty queue, the whole verdict on its P95")
    print("| system | util. | n | false PASS | false FAIL | FAIL at 2 L | PASS at L / 1.3 |")
    print("|---|---|---|---|---|---|---|")
    for system, utilisation, n in product(options.systems, options.utilisations, options.n):
        at, twice, below = verdict_shares(
            system, utilisation, n=n, runs=options.runs, study=options.study, seed=options.seed
        )
        print(
            f"| {system} | {utilisation:g} | {n} | {at[Verdict.PASS] / options.runs:.3f} "
            f"| {at[Verdict.FAIL] / options.runs:.3f} | {twice[Verdict.FAIL] / options.runs:.2f} "
            f"| {below[Verdict.PASS] / options.runs:.2f} |",
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
    for utilisation in (0.3, 0.5, 0.7, 0.85):
        same, slower = (
            changed_share(utilisation, factor, n=1500, runs=options.runs, seed=options.seed)
            for factor in (1.0, 1.2)
        )
        print(f"| {utilisation:g} | {same:.3f} | {slower:.3f} |", flush=True)


def main() -> None:
    """Print one of the tables of docs/verdict.md."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--table", choices=("gate", "looks", "verdict", "overload", "compare"), default="gate"
    )
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--utilisations", nargs="+", type=float, default=UTILISATIONS)
    parser.add_argument("--n", nargs="+", type=int, default=SIZES)
    parser.add_argument("--e", nargs="+", type=float, default=SHARES)
    parser.add_argument("--looks", nargs="+", type=int, default=(3, 4, 5, 6))
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--study", type=int, default=4_000_000, help="requests behind each limit")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tables = {
        "gate": _print_gate,
        "looks": _print_looks,
        "verdict": _print_verdict,
        "overload": _print_overload,
        "compare": _print_compare,
    }
    tables[options.table](options)


if __name__ == "__main__":
    main()
