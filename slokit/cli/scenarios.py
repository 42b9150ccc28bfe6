"""`slokit scenarios`: what `run` knows."""

from dataclasses import asdict

import click

from slokit.cli._emit import people, print_json

HEAD = ("scenario", "what it offers", "load", "lasts", "SLO")


@click.command(epilog="\b\nExample:\n  slokit scenarios")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(*, as_json: bool) -> None:
    """List the scenarios: those in ./scenarios and those that slokit brings."""
    from slokit.load.scenario import all_scenarios
    from slokit.report.terminal import render_list

    files = all_scenarios()
    if as_json:
        print_json(
            {
                "scenarios": [
                    {"name": f.name, "path": str(f.path), "docstring": f.docstring}
                    | asdict(f.scenario)
                    for f in files
                ]
            }
        )
        return
    rows = [
        (
            f.name,
            f.summary,
            f.scenario.amount.words,
            f.scenario.duration or f"{f.scenario.duration_s:g}s",
            "; ".join(f.scenario.slo),
        )
        for f in files
    ]
    people().print(render_list("Scenarios", HEAD, rows, empty="no scenarios"))
