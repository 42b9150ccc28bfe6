"""`slokit demo`: the reference server before and after optimisation, at the same load.

baseline server -> capacity of each text class -> a run a class at 0.7 of it
optimized server -> the same rates and texts
-> a verdict a run, and the before/after table
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import click

from slokit.cli._emit import people, progress
from slokit.cli._server import reference_server
from slokit.cli._signals import Interrupts, interrupts
from slokit.errors import ExitCode, SlokitError

if TYPE_CHECKING:
    from rich.console import Console

    from slokit.core.sample import Samples
    from slokit.measure import Measured
    from slokit.runs.store import RunStore

PROFILES: Final = ("baseline", "optimized")
SCENARIOS: Final = ("short", "medium", "long")
SLO: Final = ("p95 <= 150ms", "errors <= 1%")
UTILISATION: Final = 0.7
DURATION_S: Final = 40.0
PROBE_S: Final = 6.0
PROBE_USERS: Final = 4
SEED: Final = 20


@dataclass(frozen=True)
class Bench:
    """Where a demo stores its runs, what it talks to, and which core is whose."""

    store: "RunStore"
    console: "Console"
    stopped: Interrupts
    stamp: str
    duration_s: float
    server_cpus: tuple[int, ...] | None
    load_cpus: tuple[int, ...] | None


@click.command(epilog="\b\nExample:\n  slokit demo")
@click.option("--runs", metavar="DIR", help="The run store [default: $SLOKIT_RUNS or ./runs].")
@click.option(
    "--duration",
    type=click.FloatRange(10, 600),
    default=DURATION_S,
    show_default=True,
    help="Seconds of load a run.",
)
@click.option(
    "--server-option",
    "server_options",
    multiple=True,
    metavar="WORD",
    help="A word more for the server's command line; repeatable: --server-option=--seeded-shape.",
)
def command(*, runs: str | None, duration: float, server_options: tuple[str, ...]) -> None:
    """Measure the reference server before and after optimisation; about five minutes.

    Each text class is offered 0.7 of what the baseline can do, the same before and after.
    Exits 0 whatever the verdicts are: they are the demo's result, not its success.
    """
    from slokit.runs.store import RunStore

    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    with interrupts() as stopped, _cores() as (server_cpus, load_cpus):
        bench = Bench(
            RunStore.locate(runs),
            progress(),
            stopped,
            stamp,
            duration,
            server_cpus,
            load_cpus,
        )
        results = _measure_all(bench, server_options)
        path = _report(bench, results)
    people().print(f"report: {path}", soft_wrap=True)
    sys.exit(stopped.code or ExitCode.PASS)


@contextmanager
def _cores() -> Iterator[tuple[tuple[int, ...] | None, tuple[int, ...] | None]]:
    """One core for the server, another for everything else, put back afterwards."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        progress().print("one core only: server and load generator share it, expect lag")
        yield None, None
        return
    os.sched_setaffinity(0, usable[1:2])
    try:
        yield tuple(usable[:1]), tuple(usable[1:2])
    finally:
        os.sched_setaffinity(0, usable)


Results = dict[tuple[str, str], "Measured"]


def _measure_all(bench: Bench, server_options: tuple[str, ...]) -> Results:
    """Every profile and scenario; what is done when a signal comes is kept."""
    results: Results = {}
    try:
        _measure_profiles(bench, server_options, results)
    except KeyboardInterrupt:
        bench.console.print("interrupted: what was measured is reported")
    return results


def _measure_profiles(bench: Bench, server_options: tuple[str, ...], results: Results) -> None:
    rates: dict[str, float] = {}
    for profile in PROFILES:
        words = ["--profile", profile, "--threads", "1", *server_options]
        bench.console.rule(f"{profile} server")
        with reference_server(
            words, cpus=bench.server_cpus, waiting=_waiting(bench.console)
        ) as url:
            bench.console.print(f"ready: {url}")
            for scenario in SCENARIOS:
                if bench.stopped():
                    return
                if scenario not in rates:
                    rates[scenario] = UTILISATION * _capacity(bench, scenario, url)
                if bench.stopped():
                    return
                results[profile, scenario] = _run(bench, profile, scenario, url, rates[scenario])


def _waiting(console: "Console") -> Callable[[float], None]:
    """Say every two seconds that the server is still loading."""
    told = [0.0]

    def tell(seconds: float) -> None:
        if seconds - told[0] >= 2:
            told[0] = seconds
            console.print(f"loading the model and warming up ... {seconds:.0f} s")

    return tell


def _capacity(bench: Bench, scenario: str, url: str) -> float:
    """Good answers a second with a few users who never pause: the server's saturation."""
    from slokit.runs.store import RunStore

    bench.console.print(f"{scenario}: probing capacity with {PROBE_USERS} users, {PROBE_S:g} s")
    settings = {"users": PROBE_USERS, "duration": f"{PROBE_S}s"}
    with TemporaryDirectory(prefix="slokit-probe-") as folder:
        aside = replace(bench, store=RunStore(Path(folder)))
        measured = _order(aside, scenario, url, settings, {"kind": "probe"}, warmup_s=1.0)
    rps = measured.document["summary"].get("all", {}).get("rps", 0.0)
    if not rps and not bench.stopped():
        raise SlokitError(f"the probe of {scenario} got no answer: {measured.document['reasons']}")
    bench.console.print(f"{scenario}: {rps:.1f} requests/s at saturation")
    return float(rps)


def _run(bench: Bench, profile: str, scenario: str, url: str, rate: float) -> "Measured":
    bench.console.print(f"{scenario}: {rate:.1f} requests/s for {bench.duration_s:g} s ({profile})")
    settings = {"rate": f"{rate:.3f}rps", "duration": f"{bench.duration_s}s"}
    labels = {"kind": "demo", "profile": profile}
    measured = _order(bench, scenario, url, settings, labels)
    bench.console.print(_one_line(profile, scenario, measured.document))
    return measured


def _order(
    bench: Bench,
    scenario: str,
    url: str,
    settings: Mapping[str, Any],
    labels: Mapping[str, str],
    warmup_s: float | None = None,
) -> "Measured":
    from slokit.judging import Terms
    from slokit.load.plan import LoadPlan
    from slokit.load.scenario import find_scenario, read_scenario
    from slokit.measure import Order, measure
    from slokit.report.live import LiveView

    file = read_scenario(find_scenario(scenario))
    changed = file.scenario.with_load(**settings)
    plan = LoadPlan.of(changed, name=file.name, run_id="", run_dir="", url=url, seed=SEED)
    order = Order(
        plan=plan,
        scenario_path=file.path,
        terms=Terms.read(SLO, warmup_s=warmup_s),
        slo={"source": "demo", "objectives": list(SLO)},
        command=["slokit", "demo"],
        labels={"demo": bench.stamp, **labels},
        cpus=bench.load_cpus,
    )
    with LiveView(bench.console, plan.duration_s, f"{scenario} → {url}") as view:
        return measure(order, bench.store, observe=view.update, stopped=bench.stopped)


def _one_line(profile: str, scenario: str, document: Mapping[str, Any]) -> str:
    from slokit.report.format import verdict_word

    reasons = "; ".join(document["reasons"]) or "every objective holds"
    return f"{scenario} ({profile}): {verdict_word(document['verdict'])} {reasons}"


def _report(bench: Bench, results: Results) -> Path:
    """Print verdicts and the before/after table; write both, with a picture, beside the runs."""
    from slokit.report import before_after
    from slokit.runs.store import write_text

    change, chart = _before_after(results)
    documents = {key: measured.document for key, measured in results.items()}
    people().print(before_after.render_terminal(documents, change))
    picture = bench.store.root / f"demo-{bench.stamp}.svg"
    if chart:
        write_text(picture, chart)
    path = picture.with_suffix(".md")
    text = before_after.render_markdown(
        "Baseline against optimized", _setting(bench, results), documents, change, picture.name
    )
    write_text(path, text)
    return path


def _setting(bench: Bench, results: Results) -> list[str]:
    """Under which circumstances the figures were measured, a line each."""
    share, length = f"{UTILISATION:g} of the baseline's capacity", f"{bench.duration_s:g} s"
    facts = [
        f"Each class is offered {share} for {length}.",
        "Arrivals are Poisson; arrivals and texts are the same before and after.",
        "The server runs one thread on one core, the load generator on another."
        if bench.server_cpus
        else "Server and load generator share one core.",
    ]
    for measured in list(results.values())[:1]:
        info = measured.run.manifest["target"].get("info") or {}
        facts.append(f"Model weights: {info.get('weights', 'not known')}.")
        facts.append(f"Machine: {measured.run.manifest['machine']}.")
    return facts


def _before_after(results: Results) -> tuple[dict[str, Any], str]:
    """The comparison of all pairs that are complete, and its picture."""
    from slokit.core.comparison import compare
    from slokit.core.sample import merge
    from slokit.report.charts import ecdf
    from slokit.report.document import build_comparison

    pairs = [name for name in SCENARIOS if all((profile, name) in results for profile in PROFILES)]
    sides = [
        merge([_judged(results[profile, name]) for name in pairs]) for profile in PROFILES if pairs
    ]
    if not sides or not all(len(side) for side in sides):
        return {"classes": {}}, ""
    change = build_comparison(*PROFILES, compare(*sides))
    change["classes"] = {name: change["classes"][name] for name in pairs}  # no mixed load: no "all"
    return change, ecdf(*sides, limits_s=dict.fromkeys(pairs, 0.150), names=PROFILES)


def _judged(measured: "Measured") -> "Samples":
    from slokit.judging import Terms, weigh_run

    return weigh_run(measured.run, Terms(())).judgement.samples(measured.run.samples())
