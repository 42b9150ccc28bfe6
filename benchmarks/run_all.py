"""Run the benchmarks and put what they print into docs/performance.md: `make bench`.

    python benchmarks/run_all.py [NAME ...]      all, or only those named

About 25 minutes on two cores that nobody else uses. Nothing here gates anything.
"""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
BENCHMARKS = {
    "startup": "How long `slokit --help` takes",
    "recorder_truth": "Recorded service time against the server's own log at the socket",
    "generator": "What the load generator can send",
    "truth_table": "P95 against services whose P95 is known, slokit beside stock Locust",
    "profiles": "The reference server: optimized against baseline at the same load",
}


def machine() -> str:
    """The processor, cores, system and Python that the figures belong to."""
    cpu = platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0))
    return f"{cpu}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def main() -> None:
    """Run, print as it comes, write the page."""
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}")
    parts = [
        "# Performance\n",
        "Every block is the output of the command above it, pasted by `make bench`.\n",
        f"Machine: {machine()}; measured on {datetime.now(UTC):%Y-%m-%d}.\n",
    ]
    for name in names:
        script = f"benchmarks/{name}.py"
        print(f"-- {script}", flush=True)
        done = subprocess.run(
            [sys.executable, script], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        )
        print(done.stdout, flush=True)
        parts.append(f"## {BENCHMARKS[name]}\n")
        parts.append(f"    python {script}\n\n```text\n{done.stdout.rstrip()}\n```\n")
    PAGE.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
