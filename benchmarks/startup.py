"""How long a user waits for `slokit --help`, beside an interpreter that does nothing.

    python benchmarks/startup.py [--repeat 20]

The two are run in turn, so that a machine that changes its speed changes both.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path


def seconds(words: list[str]) -> float:
    """Wall time of one command, output thrown away."""
    began = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=20)
    repeat = parser.parse_args().repeat
    slokit = shutil.which("slokit", path=str(Path(sys.executable).parent)) or "slokit"
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "slokit --help": [slokit, "--help"],
        "slokit scenarios --json": [slokit, "scenarios", "--json"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeat + 1):
        for name, words in commands.items():
            times[name].append(seconds(words))
    bare = statistics.median(times["python -c pass"][1:])
    print(f"wall time, n = {repeat} each after one warm-up: median [min, max]")
    for name, values in times.items():
        kept = values[1:]
        middle = statistics.median(kept)
        print(
            f"  {name:24} {1e3 * middle:6.1f} ms [{1e3 * min(kept):.1f}, {1e3 * max(kept):.1f}]"
            f"   {middle / bare:.1f}x"
        )


if __name__ == "__main__":
    main()
