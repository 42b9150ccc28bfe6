"""Start a load process: real Locust, on its own, with nothing of the user's surroundings in it.

Locust reads `locust.conf` and `~/.locust.conf`, LOCUST_* variables and the current
directory; any of them can change the load unseen. So it runs in an empty directory that
is its home too, with those variables removed. This module imports neither Locust nor
gevent: both replace the sockets of the process that imports them.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from slokit.conventions import PLAN_ENV, TICKS_PREFIX
from slokit.errors import SlokitError, StoreError, TargetError, UsageError
from slokit.load.plan import END_PREFIX, LOG_PREFIX, LoadPlan, api_key
from slokit.load.scenario import LOCUST

STOP_GRACE_S: Final = 10.0
_PLAN_FILE: Final = "plan.json"
_OURS: Final = "slokit.errors."
_KINDS: Final = {kind.__name__: kind for kind in (UsageError, TargetError, StoreError)}
_LOG_TAIL: Final = 4000  # bytes of the log in which the reason of a failure is looked for


def launch(
    plan: LoadPlan, scenario_path: Path, *, cpus: Iterable[int] | None = None
) -> "LoadProcess":
    """Start the load of `plan` with the Locust file `scenario_path`; returns at once.

    `cpus` pins the process. Raises UsageError when the API key's variable is not set and
    StoreError when the run folder cannot be written.
    """
    api_key(plan)
    home = tempfile.TemporaryDirectory(prefix="slokit-load-")
    plan_path = Path(home.name, _PLAN_FILE)
    plan_path.write_text(plan.to_json(), encoding="utf-8")
    try:
        with plan.file(LOG_PREFIX, ".log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                _command(plan, scenario_path),
                cwd=home.name,
                env=_environment(os.environ, home.name, plan_path),
                stdin=subprocess.PIPE,  # closes when we die: then the load ends by itself
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the command line to pass on
            )
    except OSError as error:
        home.cleanup()
        raise StoreError(f"cannot start the load in {plan.run_dir}: {error}") from error
    if cpus is not None:
        os.sched_setaffinity(process.pid, cpus)
    return LoadProcess(plan, process, home)


def _command(plan: LoadPlan, scenario_path: Path) -> list[str]:
    """Locust with our dispatcher as its one user, or with the file's own users, listened to."""
    stock = plan.client == LOCUST
    users = str(max(stage.users for stage in plan.stages)) if stock else "1"
    options = ["--headless", "--users", users, "--spawn-rate", users, "--exit-code-on-error", "0"]
    options += ["--only-summary", "--host", plan.url]
    if stock:
        options += ["--stop-timeout", f"{plan.timeout_s:g}"]
    # -P keeps the working directory out of sys.path
    module = "slokit.load.users" if stock else "locust"
    return [sys.executable, "-P", "-m", module, "-f", str(scenario_path), *options]


def _environment(outer: Mapping[str, str], home: str, plan_path: Path) -> dict[str, str]:
    """The user's environment without what would steer Locust or reroute the load.

    >>> sorted(_environment({"LOCUST_USERS": "9", "LANG": "C"}, "/h", Path("/p")))
    ['HOME', 'LANG', 'PYTHONUNBUFFERED', 'SLOKIT_PLAN', 'XDG_CONFIG_HOME']
    """
    kept = {
        name: value
        for name, value in outer.items()
        if not name.startswith("LOCUST") and not name.lower().endswith("_proxy")
    }
    ours = {"HOME": home, "XDG_CONFIG_HOME": home, PLAN_ENV: str(plan_path)}
    return kept | ours | {"PYTHONUNBUFFERED": "1"}


class LoadProcess:
    """A running load. Use it as a context manager: leaving it ends the process for certain."""

    def __init__(
        self,
        plan: LoadPlan,
        process: "subprocess.Popen[bytes]",
        home: "tempfile.TemporaryDirectory[str]",
    ) -> None:
        self.plan = plan
        self._process = process
        self._home = home
        self._ticks_read = 0

    def __enter__(self) -> Self:
        """The running load itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs and remove the temporary directory."""
        self.kill()

    @property
    def pid(self) -> int:
        """Process id, for measurements and tests."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """True until the process has ended."""
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit status of the process (negative: the signal that ended it); None while it runs."""
        return self._process.poll()

    def ticks(self) -> list[dict[str, Any]]:
        """The one-second rows (conventions.TICK_COLUMNS) written since the last call."""
        try:
            with self.plan.file(TICKS_PREFIX, ".jsonl").open("rb") as source:
                source.seek(self._ticks_read)
                complete, newline, _ = source.read().rpartition(b"\n")
        except FileNotFoundError:
            return []  # the load is still starting
        self._ticks_read += len(complete) + len(newline)
        return [json.loads(line) for line in complete.splitlines()]

    def stop(self) -> None:
        """Ask for an orderly end: no new requests, those in flight become `interrupted`."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; False when it still runs after `timeout_s`."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self._release()
        return True

    def kill(self) -> None:
        """End the process at once; at most the last second of samples is lost."""
        if self.running:
            self._process.kill()
        self._process.wait()
        self._release()

    def _release(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._home.cleanup()

    @property
    def end(self) -> dict[str, Any] | None:
        """How the load ended, as its own last words tell it; None when it had none.

        Keys: status (`complete`, `interrupted`, `failed`), error, warnings and the
        counters of recorder.Totals.
        """
        path = self.plan.file(END_PREFIX, ".json")
        if not path.exists():
            return None
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return document

    @property
    def failure(self) -> SlokitError | None:
        """Why the load died before its end; None while it runs or when it ended in order."""
        end = self.end
        if self.running or (end is not None and end["status"] != "failed"):
            return None
        if end is not None:
            return _error(end["error_kind"], end["error"])
        log = self.plan.file(LOG_PREFIX, ".log")
        last = _last_words(log)
        name, _, said = last.partition(": ")
        if name.removeprefix(_OURS) in _KINDS:
            return _error(name.removeprefix(_OURS), said)
        ending = _ending(self.returncode)
        return SlokitError(f"the load process ended early ({ending}): {last} (log: {log})")


def _error(name: str, said: str) -> SlokitError:
    """An error of the load process, as the error it would have been in this one."""
    return _KINDS.get(name, SlokitError)(f"the load process failed: {said}")


def _ending(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit status {returncode}"


def _last_words(log: Path) -> str:
    """The last exception in the log, else its last line."""
    lines = log.read_bytes()[-_LOG_TAIL:].decode(errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip()]
    errors = [line for line in said if line.partition(":")[0].endswith(("Error", "Exception"))]
    return (errors or said or ["it said nothing"])[-1]
