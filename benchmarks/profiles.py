"""Baseline against optimized: how much of the P95 goes, at the same offered load.

    python benchmarks/profiles.py [--repeat 3] [--duration 40]

Each repetition is one `slokit demo`: every text class is offered 0.7 of the baseline's
probed capacity, the same before and after, server and generator on a core each. Beside it
stands the latency one request at a time. Printed: each repetition, median and spread.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from slokit.cli._server import reference_server

SLOKIT = [sys.executable, "-m", "slokit"]
PROFILES = ("baseline", "optimized")
CLASSES = ("short", "medium", "long")
GOALS = {"short": 0.548, "medium": 0.571, "long": 0.586}  # the cut of P95 to be beaten


def demo_p95s(duration_s: float) -> dict[tuple[str, str], tuple[float, float, int]]:
    """(profile, class) -> P95 in s, offered requests/s, judged requests of one demo."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*SLOKIT, "demo", "--runs", folder, "--duration", str(duration_s)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        found = {}
        for path in Path(folder).glob("*/verdict.json"):
            document = json.loads(path.read_text())
            labels, summary = document["environment"]["labels"], document["summary"]["all"]
            rate = document["environment"]["rate_rps"]
            key = (labels["profile"], document["scenario"])
            found[key] = (summary["latency_s"]["p95"], rate, summary["count"])
        return found


def one_at_a_time(profile: str, cpus: list[int]) -> dict[str, tuple[float, float, int]]:
    """Class -> P50 and P95 of the service time in s of one user, and how many requests."""
    found = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        reference_server(["--profile", profile, "--threads", "1"], cpus=cpus[:1]) as url,
    ):
        for name in CLASSES:
            words = [*SLOKIT, "run", name, "--host", url, "--users", "1", "--duration", "8s"]
            words += ["--warmup", "1s", "--runs", folder, "--json", "--slo", "p95 <= 10s"]
            done = subprocess.run(words, check=False, capture_output=True, text=True)
            summary = json.loads(done.stdout)["summary"]["all"]
            service = summary["service_s"]
            found[name] = (service["p50"], service["p95"], summary["count"])
    return found


def spread(values: list[float], form: str) -> str:
    """Median with minimum and maximum."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} [{low:{form}}, {high:{form}}]"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--duration", type=float, default=40.0)
    arguments = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    demos = []
    for number in range(arguments.repeat):
        print(f"repetition {number + 1} of {arguments.repeat} ...", file=sys.stderr)
        demos.append(demo_p95s(arguments.duration))
    os.sched_setaffinity(0, cpus[-1:])
    alone = {profile: one_at_a_time(profile, cpus) for profile in PROFILES}
    print(f"cut of P95, optimized against baseline, n = {len(demos)}: median [min, max]")
    for name in CLASSES:
        cuts = [1 - d["optimized", name][0] / d["baseline", name][0] for d in demos]
        p95s = {p: spread([1e3 * d[p, name][0] for d in demos], ".1f") for p in PROFILES}
        rates = spread([d["baseline", name][1] for d in demos], ".1f")
        count = min(d["baseline", name][2] for d in demos)
        print(f"  {name:7} {spread(cuts, '.1%')}  (goal: more than {GOALS[name]:.1%})")
        print(f"          P95 {p95s['baseline']} -> {p95s['optimized']} ms")
        print(f"          at {rates} requests/s, at least {count} requests a run")
    print("one at a time, service time in ms: P50 (P95), requests")
    for name in CLASSES:
        texts = [
            f"{profile} {1e3 * alone[profile][name][0]:.2f} ({1e3 * alone[profile][name][1]:.2f}), "
            f"n = {alone[profile][name][2]}"
            for profile in PROFILES
        ]
        ratio = alone["baseline"][name][0] / alone["optimized"][name][0]
        print(f"  {name:7} {'; '.join(texts)}; ratio of P50 {ratio:.2f}")


if __name__ == "__main__":
    main()
