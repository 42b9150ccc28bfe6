"""Start the reference server beside a measurement, and stop it whatever happens."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from slokit.cli.serve import SERVER_MODULE, check_installed
from slokit.errors import SlokitError

LISTENING: Final = "listening on "
READY: Final = "ready"
READY_TIMEOUT_S: Final = 180.0
STOP_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.1


@contextmanager
def reference_server(
    arguments: Sequence[str],
    *,
    cpus: Sequence[int] | None = None,
    waiting: Callable[[float], None] = lambda _: None,
) -> Iterator[str]:
    """A warm server on a free loopback port; gives its URL.

    `cpus` pins it; `waiting` is called with the seconds waited so far. Leaving the context
    stops it; should this process be killed, its end of the pipe closes and the server stops
    by itself. Raises SlokitError with the server's own last words when it does not start.
    """
    check_installed()
    words = [sys.executable, "-P", "-m", SERVER_MODULE, "--port", "0", "--stop-on-stdin-close"]
    with tempfile.TemporaryDirectory(prefix="slokit-server-") as folder:
        said, log = Path(folder, "out"), Path(folder, "log")
        with said.open("wb") as out, log.open("wb") as err:
            process = subprocess.Popen(  # noqa: S603 - our own module
                [*words, *arguments],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                start_new_session=True,  # Ctrl-C is for us; we stop the server in order
            )
        try:
            if cpus is not None:
                os.sched_setaffinity(process.pid, cpus)
            yield _await_ready(process, said, log, waiting)
        finally:
            _stop(process)


def _await_ready(
    process: "subprocess.Popen[bytes]", said: Path, log: Path, waiting: Callable[[float], None]
) -> str:
    started = time.monotonic()
    while (waited := time.monotonic() - started) < READY_TIMEOUT_S:
        lines = said.read_text(encoding="utf-8").splitlines()
        if READY in lines:
            return next(line for line in lines if line.startswith(LISTENING)).removeprefix(
                LISTENING
            )
        if process.poll() is not None:
            break
        waiting(waited)
        time.sleep(POLL_S)
    words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
    state = "is not ready" if process.poll() is None else f"ended with {process.returncode}"
    raise SlokitError(f"the reference server {state} after {waited:.0f} s; it said: {words[-1]}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    pipe: IO[bytes] | None = process.stdin
    if pipe is not None:
        pipe.close()
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
