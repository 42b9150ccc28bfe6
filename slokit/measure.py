"""One load test, from what was asked for to a judged run on disk.

    preflight -> launch -> watch ticks (-> look) -> close the store -> judge -> verdict.json

Nothing that was measured is lost: a run that is interrupted, or whose load process
dies, is closed and stored like any other.
"""

import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from os import cpu_count
from pathlib import Path
from typing import Any, Final, Protocol

from slokit.core.evidence import Offer, rarest_rps
from slokit.core.sequential import look_times
from slokit.errors import ExitCode, SlokitError
from slokit.judging import Terms, document_of, weigh_run
from slokit.load.launcher import STOP_GRACE_S, LoadProcess, launch
from slokit.load.plan import LoadPlan
from slokit.load.preflight import preflight
from slokit.load.schedule import judged_stages
from slokit.looks import Lookout
from slokit.report.document import build_document
from slokit.runs.store import Run, RunStore

POLL_S: Final = 0.2
HANG_GRACE_S: Final = 60.0  # beyond duration and time-out the load process is stuck

Ticks = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Order:
    """Everything a load test is: what to offer to whom, judged against what, told as what."""

    plan: LoadPlan  # its run_id and run_dir are set when the run exists
    scenario_path: Path
    terms: Terms
    slo: Mapping[str, Any]  # {"source": where it came from, "objectives": [str]}
    command: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    wait_ready_s: float = 0.0
    cpus: Sequence[int] | None = None  # where the load process may run
    until_conclusive: bool = False  # stop at the first planned look that decides

    @property
    def offer(self) -> Offer:
        """The whole load as far as it bears on what can be decided."""
        plan = self.plan
        return Offer(plan.rate_rps, plan.duration_s, plan.mix, self.terms.warmup_s)

    @property
    def stage_offers(self) -> tuple[tuple[str, Offer], ...]:
        """Label and load of each stage that is judged by itself; none where there is one load."""
        return tuple(
            (
                stage.label,
                replace(
                    self.offer, rate_rps=stage.rate_rps, duration_s=stage.end_s - stage.start_s
                ),
            )
            for stage in judged_stages(self.plan)
            if stage.constant
        )

    @property
    def look_times_s(self) -> tuple[float, ...]:
        """When the run is judged; the last time is its end."""
        if not self.until_conclusive:
            return (self.plan.duration_s,)
        rate_rps = rarest_rps(self.terms.objectives, self.offer)
        return look_times(self.plan.duration_s, self.offer.cut_s, rate_rps)


class Stopping(Protocol):
    """Whether a signal asked for the end: 130 or 143, None while none did."""

    def __call__(self) -> ExitCode | None:
        """The exit code of the signal."""

    def patiently(self) -> AbstractContextManager[None]:
        """Signals within do not raise; this is asked instead."""


@dataclass(frozen=True)
class Measured:
    """A run that is over, with its document (see report.document) and exit code."""

    run: Run
    document: dict[str, Any]

    @property
    def exit_code(self) -> ExitCode:
        """What the command ends with."""
        return ExitCode(self.document["exit_code"])


def measure(
    order: Order,
    store: RunStore,
    *,
    observe: Callable[[Ticks], None],
    stopped: Stopping,
    tell: Callable[[str], None] | None = None,
) -> Measured:
    """Do it. `observe` gets the ticks as they come; `stopped` says when to end early.

    `tell` gets a sentence for each look at a run that stops when it is conclusive.

    Failures of target or generator come back as a document without a verdict, stored with
    the run. Raises StoreError when there is no place to store anything.
    """
    run = store.create(order.plan.scenario, datetime.now(UTC), manifest_of(order))
    try:
        _check_target(run, order, stopped)
        lookout = Lookout(run, order.terms, tell or _silent) if order.until_conclusive else None
        with stopped.patiently():
            interrupted = _offer(run, order, lookout, observe, stopped)
    except KeyboardInterrupt:
        run.update(status="interrupted", ended_at=_now())
        raise
    except _StoppedEarlyError as stop:
        return _failed(run, stop, "interrupted")
    except SlokitError as error:
        return _failed(run, error, "failed")
    finding = weigh_run(run, order.terms, interrupted=interrupted)
    document = document_of(run, finding)
    run.write_verdict(document)
    return Measured(run, document)


class _StoppedEarlyError(SlokitError):
    """A signal came before any load was sent."""

    def __init__(self, code: ExitCode) -> None:
        self.exit_code = code
        super().__init__("interrupted before any load was sent")


def _failed(run: Run, error: SlokitError, status: str) -> Measured:
    run.update(status=status, ended_at=_now())
    document = build_document(
        run.manifest,
        None,
        {},
        exit_code=error.exit_code,
        paths={"run": str(run.folder)},
        reasons=[str(error)],
    )
    document["warnings"] = list(run.manifest["warnings"])
    run.write_verdict(document)
    return Measured(run, document)


def _check_target(run: Run, order: Order, stopped: Stopping) -> None:
    try:
        target = preflight(order.plan, wait_ready_s=order.wait_ready_s)
    except KeyboardInterrupt:
        raise _StoppedEarlyError(stopped() or ExitCode.INTERRUPTED) from None
    run.update(
        target={**run.manifest["target"], "model": target.model, "info": target.info},
        dim=target.dim,
        warnings=list(target.warnings),
    )


def _silent(_: str) -> None:
    """Nobody asked."""


def _offer(
    run: Run,
    order: Order,
    lookout: Lookout | None,
    observe: Callable[[Ticks], None],
    stopped: Stopping,
) -> ExitCode | None:
    """Send the load and close the run; the exit code of an interruption, if there was one."""
    plan = replace(
        order.plan,
        run_id=run.run_id,
        run_dir=str(run.folder.resolve()),
        model=run.manifest["target"]["model"],
        dim=run.manifest["dim"],
    )
    with launch(plan, order.scenario_path, cpus=order.cpus) as load:
        interrupted = _watch(load, lookout, observe, stopped)
    failure = load.failure
    warnings = [*run.manifest["warnings"], *(load.end or {}).get("warnings", ())]
    run.update(ended_at=_now(), warnings=warnings)
    run.close("failed" if failure else "interrupted" if interrupted else "complete")
    if failure and not interrupted:
        raise failure
    return interrupted


def _watch(
    load: LoadProcess,
    lookout: Lookout | None,
    observe: Callable[[Ticks], None],
    stopped: Stopping,
) -> ExitCode | None:
    patience_s = load.plan.duration_s + load.plan.timeout_s + HANG_GRACE_S
    polls = int(patience_s / POLL_S)
    for _ in range(polls):
        if load.wait(POLL_S) or stopped():
            break
        ticks = load.ticks()
        observe(ticks)
        if lookout and lookout.decided(ticks):
            break
    if load.running:
        load.stop()
        load.wait(STOP_GRACE_S)
    observe(load.ticks())
    return stopped()


def manifest_of(order: Order) -> dict[str, Any]:
    """What is written down about a run before it begins; secrets are not in it."""
    plan = order.plan
    looks = {"look_times_s": list(order.look_times_s), "looks": [], "stopped_at_s": None}
    return {
        "scenario": plan.scenario,
        "scenario_path": str(order.scenario_path),
        "command": list(order.command),
        "loop": plan.loop,
        "load": {
            "loop": plan.loop,
            "arrivals": plan.arrivals if plan.loop == "open" else None,
            "rate_rps": plan.rate_rps,
            "users": max((stage.users for stage in plan.stages), default=None),
            "duration_s": plan.duration_s,
            "stages": [stage._asdict() for stage in judged_stages(plan)],
            "pacing_s": plan.pacing_s,
            "batch": plan.batch,
            "mix": dict(plan.mix),
            "texts_file": plan.texts_file,
            "repeat_ratio": plan.repeat_ratio,
            "timeout_s": plan.timeout_s,
            "max_in_flight": plan.max_in_flight,
            "client": plan.client,
            "replay": plan.replay,
            "speed": plan.speed,
        },
        "seed": plan.seed,
        "slo": dict(order.slo),
        "warmup_s": order.terms.warmup_s,
        **({"until_conclusive": looks} if order.until_conclusive else {}),
        "labels": dict(order.labels),
        "target": {
            "url": plan.url,
            "protocol": plan.protocol,
            "path": plan.target_path,
            "model": plan.model,
        },
        "warnings": [],
        "versions": {
            "slokit": version("slokit"),
            "python": platform.python_version(),
            "locust": version("locust"),
        },
        "git_commit": _git_commit(),
        "machine": f"{platform.machine()}, {cpu_count()} CPUs, {platform.system()}",
    }


def _git_commit() -> str | None:
    """The commit of the working directory; None outside a repository or without git."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def _now() -> str:
    return datetime.now(UTC).isoformat()
