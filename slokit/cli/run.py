"""`slokit run`: offer a scenario's load, judge the service, end with a code CI can use."""

import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from slokit.cli._dry_run import print_plan, warn_of_the_impossible
from slokit.cli._emit import check_reports, people, print_json, progress, write_reports
from slokit.cli._options import Options, run_options
from slokit.cli._signals import interrupts
from slokit.core.objective import ALL_CLASSES, Metric, Objective, parse_objective
from slokit.core.units import parse_duration
from slokit.errors import UsageError

if TYPE_CHECKING:
    from slokit.measure import Measured, Order


@click.command(
    epilog="""\b
Examples:
  slokit run short --host http://localhost:8000
  slokit run medium --host http://gpu-1:9997 --rate 80rps --duration 2m --yes
  slokit run mixed --host http://localhost:8000 --slo "p99[long] <= 300ms" --report out.md
  slokit run long --host http://localhost:8000 --users 10 --json > verdict.json
  slokit run short --host http://localhost:8000 --until-conclusive --max-duration 10m
"""
)
@run_options
def command(**values: Any) -> None:
    """Offer the load of SCENARIO and judge the service against its SLO.

    SCENARIO is a name from `slokit scenarios`, or a Python file of your own.
    """
    options = Options(**values)
    check_reports(options.report)
    order = build_order(options)
    if options.dry_run:
        print_plan(order, as_json=options.as_json)
        return
    warn_of_the_impossible(order)
    confirm_target(order, yes=options.yes)
    measured = run_order(order, options)
    document = measured.document
    write_reports(document, options.report, on_inconclusive=options.on_inconclusive)
    if options.as_json:
        print_json(document)
    show(document, as_json=options.as_json, quiet=options.quiet)
    sys.exit(measured.exit_code)


def build_order(options: Options) -> "Order":
    """Turn options into an order, refusing all that cannot be meant before any load."""
    from slokit.judging import Terms
    from slokit.load.plan import LoadPlan, api_key, proxy_for
    from slokit.load.scenario import find_scenario, read_scenario
    from slokit.measure import Order
    from slokit.report.environment import repeat_command
    from slokit.runs.store import RunStore

    file = read_scenario(find_scenario(options.scenario))
    scenario = options.apply_to(file.scenario)
    slo, source = options.slo_of(file.scenario.slo, file.name)
    _check_reachable(slo, scenario.rate_rps)
    base = RunStore.locate(options.runs).find(options.baseline) if options.baseline else None
    terms = Terms.read(
        slo,
        warmup_s=scenario.warmup_s if options.warmup is None else options.warmup_s,
        on_inconclusive=options.on_inconclusive,
        baseline=base.samples() if base else None,
    )
    plan = LoadPlan.of(
        scenario,
        name=file.name,
        texts_file=options.texts,
        run_id="",
        run_dir="",
        **options.plan_settings(),
    )
    _check_classes(terms.objectives, plan.mix)
    if terms.warmup_s is not None and terms.warmup_s >= plan.duration_s:
        raise UsageError(
            f"a warm-up of {terms.warmup_s:g} s leaves nothing of {plan.duration_s:g} s to judge"
        )
    api_key(plan)  # a variable that is not set is refused here, not in the load process
    plan = options.with_proxy(plan, proxy_for(plan.endpoint))
    return Order(
        plan=plan,
        scenario_path=file.path,
        terms=terms,
        slo={"source": source, "objectives": list(slo), "baseline": base and base.run_id},
        command=shlex.split(repeat_command(["slokit", *sys.argv[1:]])),
        labels=options.labels(),
        wait_ready_s=parse_duration(options.wait_ready) if options.wait_ready else 0.0,
        until_conclusive=options.until_conclusive,
    )


def _check_classes(objectives: Iterable[Objective], mix: Mapping[str, float]) -> None:
    """An objective on a text class that is never sent could only be inconclusive."""
    known = (*mix, ALL_CLASSES)
    for objective in objectives:
        if mix and objective.text_class is not None and objective.text_class not in known:
            raise UsageError(
                f"{objective.expr!r} is about a text class that is not sent: "
                f"write one of {', '.join(known)}"
            )


def _check_reachable(slo: tuple[str, ...], rate_rps: float | None) -> None:
    """An open loop cannot deliver more than it offers: such an objective is a mistake."""
    for expression in slo:
        objective = parse_objective(expression)
        if objective.metric is Metric.RPS and rate_rps is not None:
            wanted = objective.min_rps or 0.0
            if wanted > rate_rps:
                raise UsageError(
                    f"{expression!r} can never hold: {rate_rps:g} requests/s are offered "
                    f"(--rate {wanted:g}rps or more)"
                )


def confirm_target(order: "Order", *, yes: bool) -> None:
    """Name a host that is not this machine, and ask on a terminal."""
    endpoint = order.plan.endpoint
    if endpoint.is_loopback:
        return
    amount = f"{order.plan.rate_rps:g} requests/s" if order.plan.rate_rps else "a closed loop"
    told = f"load goes to {endpoint.origin}: {amount} for {order.plan.duration_s:g} s"
    click.echo(told, err=True)
    if not yes and sys.stdin.isatty() and not click.confirm("send it?", err=True):
        raise click.Abort


def run_order(order: "Order", options: Options) -> "Measured":
    """Carry an order out with the live view on stderr."""
    from slokit.measure import measure
    from slokit.report.live import LiveView
    from slokit.runs.store import RunStore

    console = progress(quiet=options.quiet)
    title = f"{order.plan.scenario} → {order.plan.endpoint.origin}"
    console.print(f"checking {order.plan.endpoint.origin} ...", soft_wrap=True)
    store = RunStore.locate(options.runs)

    def tell(sentence: str) -> None:
        console.print(sentence, soft_wrap=True, markup=False)

    with interrupts() as stopped, LiveView(console, order.plan.duration_s, title) as view:
        return measure(order, store, observe=view.update, stopped=stopped, tell=tell)


def show(document: Mapping[str, Any], *, as_json: bool, quiet: bool) -> None:
    """The result for people."""
    from slokit.report.terminal import render_run

    console = people(as_json=as_json, quiet=False)
    if quiet:
        word = document["verdict"] or "no verdict"
        reasons = "; ".join(document["reasons"]) or "every objective holds"
        console.print(f"{word}: {reasons}", soft_wrap=True, markup=False)
        return
    console.print(render_run(document))
