"""The Locust side: a user class whose first user starts the dispatcher of its process.

Under `slokit run` a plan file says what to do. Under plain `locust -f FILE --host URL` the
scenario of the class does, and Locust's own statistics show latency from due. In both
the number of Locust users changes nothing: one dispatcher a process offers the load, the
other users stand by. Locust's statistics round and decide nothing.

Run as a program it is Locust for a file whose users have Locust's own clients: they are as
many as the plan says, and each of their requests is recorded.
"""

import inspect
import os
import random
import resource
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

import gevent
import gevent.socket
from locust import User, events, task
from locust.main import main as locust_main

from slokit.conventions import PLAN_ENV
from slokit.core.sample import Outcome
from slokit.errors import SlokitError, UsageError
from slokit.load.engine import Engine
from slokit.load.plan import LoadPlan
from slokit.load.preflight import preflight
from slokit.load.scenario import Scenario
from slokit.load.stock import StockRun

_STAND_BY_S: Final = 1.0
_FAILED: Final = 70


class EmbeddingUser(User):  # type: ignore[misc]
    """Derive from it and set `scenario`; see the packaged scenarios."""

    abstract = True
    scenario: ClassVar[Scenario]
    _dispatcher: ClassVar["_Dispatcher | None"] = None

    @task  # type: ignore[untyped-decorator]
    def offer_load(self) -> None:
        """Start the dispatcher if this process has none; then stand by until Locust stops."""
        if EmbeddingUser._dispatcher is None:
            folder = Path(inspect.getfile(type(self))).parent
            scenario = type(self).scenario.beside(folder)
            EmbeddingUser._dispatcher = _Dispatcher(self.environment, scenario)
        gevent.sleep(_STAND_BY_S)

    @classmethod
    def release(cls) -> None:
        """Let the next start of Locust have a dispatcher of its own."""
        EmbeddingUser._dispatcher = None


class _Dispatcher:
    """Runs one engine beside Locust's users, and ends Locust's run when the load is over."""

    def __init__(self, environment: Any, scenario: Scenario) -> None:
        self._environment = environment
        self._scenario = scenario
        self._engine: Engine | None = None
        self._stopped = False
        self._plan_path = os.environ.get(PLAN_ENV)
        environment.events.test_stopping.add_listener(self._stop)
        environment.events.quitting.add_listener(self._stop)
        if self._plan_path is not None:
            gevent.spawn(_end_with_parent)
        gevent.spawn(self._work)

    def _work(self) -> None:
        try:
            if self._plan_path is None:
                self._engine = Engine(self._plain_plan(), observe=self._tell_locust)
            else:
                plan = LoadPlan.from_json(Path(self._plan_path).read_text(encoding="utf-8"))
                _allow_files(2 * plan.max_in_flight)  # a connection and an alarm each
                self._engine = Engine(plan)
            if self._stopped:  # while the plan was made
                self._engine.stop()
            self._engine.run()
        except BaseException:
            self._environment.process_exit_code = _FAILED
            raise
        finally:
            self._finish()

    def _finish(self) -> None:
        """Headless, Locust ends with the load; with its web page it waits for another start."""
        if self._stopped:  # Locust stopped us, not we it, and may have started anew since
            return
        runner = self._environment.runner
        gevent.spawn(runner.quit if self._environment.web_ui is None else runner.stop)

    def _stop(self, **_: Any) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._environment.events.test_stopping.remove_listener(self._stop)
        self._environment.events.quitting.remove_listener(self._stop)
        EmbeddingUser.release()
        if self._engine is not None:
            self._engine.stop()

    def _plain_plan(self) -> LoadPlan:
        """The plan of the scenario itself, for a Locust that was started by hand."""
        host = self._environment.host
        if not host:
            raise UsageError("no target: start Locust with --host URL")
        plan = LoadPlan.of(
            self._scenario,
            name="locust",
            run_id="locust",
            run_dir="",
            url=host,
            seed=random.SystemRandom().getrandbits(32),
        )
        target = preflight(plan)
        return replace(plan, model=target.model, dim=target.dim)

    def _tell_locust(self, text_class: str, latency_s: float, size: int, outcome: Outcome) -> None:
        """One request into Locust's statistics: milliseconds from due, failed or not."""
        self._environment.events.request.fire(
            request_type="POST",
            name=text_class,
            response_time=latency_s * 1000,
            response_length=size,
            exception=None if outcome is Outcome.OK else SlokitError(outcome.value),
            context={},
        )


def _end_with_parent() -> None:
    """Stop in order when whoever started us is gone: our standard input ends then."""
    gevent.socket.wait_read(0)
    os.kill(os.getpid(), signal.SIGTERM)


def _allow_files(count: int) -> None:
    """Raise the limit of open files, as far as the system lets us, to `count` and some more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def main() -> None:
    """Run Locust with its own users under the plan of the environment."""
    plan = LoadPlan.from_json(Path(os.environ[PLAN_ENV]).read_text(encoding="utf-8"))
    _allow_files(2 * plan.max_in_flight)
    run = StockRun(plan)
    events.init.add_listener(run.listen)
    gevent.spawn(_end_with_parent)
    locust_main()


if __name__ == "__main__":
    main()
