"""`slokit doctor`: what this machine can measure, and whether a service can be measured."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from slokit.cli._emit import people, print_json, progress

if TYPE_CHECKING:
    from slokit.load.calibration import Machine, Step

HEAD = ("what", "measured", "advice")
FEW_FILES = 4096
COARSE_S = 1e-3


@click.command(
    epilog="\b\nExamples:\n  slokit doctor\n  slokit doctor --host http://localhost:8000 --json"
)
@click.option("--host", metavar="URL", help="Look at this service too: http://localhost:8000.")
@click.option(
    "--protocol",
    type=click.Choice(["openai", "plain", "tei"]),
    default="openai",
    show_default=True,
    help="How to ask the service.",
)
@click.option("--path", metavar="P", help="Route, instead of the protocol's own.")
@click.option("--model", metavar="NAME", help="Model name; asked of /v1/models when not given.")
@click.option("--api-key-env", metavar="VAR", help="Environment variable that holds the API key.")
@click.option(
    "--ca-cert",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Authority to trust for https.",
)
@click.option("--insecure", is_flag=True, help="Do not check the certificate.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(*, host: str | None, as_json: bool, **target: Any) -> None:
    """Measure this machine against a server that takes no time; about 20 seconds.

    Prints the floor of latency, how late requests leave at each rate, the highest rate
    that is offered honestly (lag P99 within 2 ms, nothing dropped), and what limits it.
    With --host a service is looked at as `slokit run` would before its load.
    """
    from slokit.load.calibration import calibrate, look_at_machine

    service = None if host is None else look_at_service(host, **target)
    say = progress()
    say.print("looking at the machine")
    machine = look_at_machine()
    floor, steps = calibrate(say.print)
    if as_json:
        print_json(document_of(machine, floor, steps, service))
        return
    from slokit.report.terminal import render_list

    out = people()
    rows = [*advise(machine), *advise_on_load(floor, steps)]
    out.print(render_list("This machine", HEAD, rows, empty=""))
    ladder = [
        (
            f"{step.rate_rps:g} rps",
            f"{step.lag_p99_s * 1e3:.3f} ms",
            f"{step.latency_p99_s * 1e3:.3f} ms",
            step.dropped,
            "yes" if step.honest else "no",
        )
        for step in steps
    ]
    head = ("rate", "lag P99", "latency P99", "dropped", "honest")
    out.print(render_list("Rates offered to a server that takes no time", head, ladder, empty=""))
    for line in service["said"] if service else ():
        out.print(line, markup=False)


def best_of(steps: "list[Step]") -> float | None:
    """The highest rate that was offered honestly; None when not even the lowest was."""
    return max((step.rate_rps for step in steps if step.honest), default=None)


def document_of(
    machine: "Machine", floor: "Step", steps: "list[Step]", service: dict[str, Any] | None
) -> dict[str, Any]:
    """The JSON document: seconds and requests a second, unrounded."""
    return {
        "schema": 1,
        "machine": asdict(machine),
        "floor": asdict(floor),
        "rates": [asdict(step) | {"honest": step.honest} for step in steps],
        "highest_honest_rps": best_of(steps),
        "service": service,
    }


def advise(machine: "Machine") -> list[tuple[str, str, str]]:
    """The machine's facts, one row each with what to do about it."""
    files = f"{machine.files_soft} (at most {machine.files_hard})"
    clock = f"{machine.clock_source}, {machine.clock_resolution_s * 1e9:.0f} ns"
    late = f"P50 {machine.late_p50_s * 1e3:.3f}, P99 {machine.late_p99_s * 1e3:.3f} ms late"
    return [
        (
            "cores",
            str(machine.cores),
            "the service should have its own"
            if machine.cores > 1
            else "generator and service share it: use another machine for one of them",
        ),
        (
            "open files",
            files,
            "enough" if machine.files_hard >= FEW_FILES else f"raise it: ulimit -n {FEW_FILES}",
        ),
        (
            "clock",
            clock,
            "good"
            if machine.clock_source in ("tsc", "kvm-clock", "arch_sys_counter")
            else "reading it may take long: prefer tsc or kvm-clock",
        ),
        (
            "waking up",
            late,
            "good"
            if machine.late_p99_s < COARSE_S
            else "other programs keep the cores busy: stop them, or read P99 with care",
        ),
    ]


def advise_on_load(floor: "Step", steps: "list[Step]") -> list[tuple[str, str, str]]:
    """What was measured under load, one row each."""
    least_ms = max(1.0, 10 * floor.latency_p99_s * 1e3)
    latency = f"P50 {floor.latency_p50_s * 1e3:.3f}, P99 {floor.latency_p99_s * 1e3:.3f} ms"
    best = best_of(steps)
    advice = "stay below it; for more: --processes N or more machines"
    return [
        (
            "floor of latency",
            latency,
            f"a limit below {least_ms:.0f} ms would judge the machine",
        ),
        (
            "highest honest rate",
            "none" if best is None else f"{best:g} rps",
            advice if best else "not even the lowest rate left on time: free the cores first",
        ),
    ]


def look_at_service(host: str, **target: Any) -> dict[str, Any]:
    """Preflight and likeness of a service, in words and numbers. Raises TargetError."""
    from dataclasses import replace

    from slokit.load.likeness import likeness
    from slokit.load.plan import LoadPlan
    from slokit.load.preflight import preflight
    from slokit.load.scenario import Scenario

    scenario = Scenario(rate="1rps", duration="1s")
    plan = LoadPlan.of(
        scenario, name="doctor", run_id="doctor", run_dir="", url=host, seed=1, **target
    )
    found = preflight(plan)
    near, far = likeness(replace(plan, model=found.model))
    greeting = (
        f"{host} answers: model {found.model or 'not named'}, {found.dim} dimensions, "
        f"{found.latency_s * 1e3:.1f} ms for one text"
    )
    said = [greeting, *found.warnings, _on_likeness(near, far)]
    return {
        "url": host,
        "model": found.model,
        "dim": found.dim,
        "latency_s": found.latency_s,
        "near_cosine": near,
        "far_cosine": far,
        "said": said,
    }


def _on_likeness(near: float, far: float) -> str:
    numbers = f"(cosine {near:.3f} of two near texts, {far:.3f} of two far ones)"
    if near > far:
        return f"near texts are nearer than far ones {numbers}"
    return f"near texts are not nearer than far ones {numbers}: is the model trained?"
