"""Put the demo's real output and picture into README.md: `make readme`.

Runs `slokit demo` in a temporary store; nothing in the pasted block is written by hand.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- demo:begin -->\n).*?(<!-- demo:end -->)", re.DOTALL)


def main() -> None:
    """Measure, then rewrite the block between the two marks."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "slokit", "demo", "--runs", folder],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"COLUMNS": "80"},
        )
        picture = next(Path(folder).glob("demo-*.svg")).read_text(encoding="utf-8")
    output = re.sub(r"report: .*\n", "", done.stdout)
    lines = "\n".join(line.rstrip() for line in output.splitlines()).strip()
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    if not BLOCK.search(text):
        sys.exit("README.md has lost its demo:begin and demo:end marks")
    block = f"```text\n{lines}\n```\n"
    readme.write_text(BLOCK.sub(lambda m: m[1] + block + m[2], text), encoding="utf-8")
    (ROOT / "docs" / "demo.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
