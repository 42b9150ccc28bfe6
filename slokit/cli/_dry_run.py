"""What a run would offer and judge, and whether that can decide anything; nothing is sent."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

import click

from slokit.cli._emit import print_json

if TYPE_CHECKING:
    from slokit.core.evidence import Prospect
    from slokit.measure import Order

DEFAULT_WARMUP_TOLD: Final = "automatic: at least 5 s and 50 requests"


def print_plan(order: "Order", *, as_json: bool) -> None:
    """The dry run: on stdout, for people or as one JSON document."""
    from slokit.measure import manifest_of

    facts = manifest_of(order)
    expected = _prospects(order)
    if as_json:
        found = [{"stage": stage, **_facts(prospect)} for stage, prospect in expected]
        print_json(facts | {"prospects": found})
        return
    for line in plan_lines(facts):
        click.echo(line)
    for stage, prospect in expected:
        mark = "  " if prospect.can_pass else "! "
        click.echo(mark + _sentence(stage, prospect))
    click.echo("no load was sent (--dry-run)")


def warn_of_the_impossible(order: "Order") -> None:
    """One line on stderr for each objective that no service could pass with this load."""
    for stage, prospect in _prospects(order):
        if not prospect.can_pass:
            click.echo(f"warning: {_sentence(stage, prospect)}", err=True)


def plan_lines(facts: Mapping[str, Any]) -> list[str]:
    """The dry run in words."""
    load = facts["load"]
    expected = load["rate_rps"] and load["rate_rps"] * load["duration_s"]
    mix = ", ".join(f"{name} {weight:g}" for name, weight in load["mix"].items())
    texts = f"{mix}; {load['batch']} a request, repeated share {load['repeat_ratio']:g}"
    warmup_s = facts["warmup_s"]
    amount = (
        f"open loop, {load['arrivals']} arrivals at {load['rate_rps']:g} requests/s, "
        f"about {expected:.0f} requests"
        if expected
        else f"closed loop, up to {load['users']} users"
    )
    lines = [
        f"scenario   {facts['scenario']} ({facts['scenario_path']})",
        f"target     {urljoin(facts['target']['url'], facts['target']['path'])}",
        f"load       {amount}, {load['duration_s']:g} s",
        f"texts      {texts if mix else 'what the file itself sends'}",
        f"warm-up    {DEFAULT_WARMUP_TOLD if warmup_s is None else f'{warmup_s:g} s'}",
        *(
            f"stage {i:<4} {s['label'] or ''}, from {s['start_s']:g} to {s['end_s']:g} s"
            for i, s in enumerate(load["stages"], start=1)
        ),
        f"SLO        {'; '.join(facts['slo']['objectives'])} ({facts['slo']['source']})",
    ]
    if "until_conclusive" in facts:
        times = facts["until_conclusive"]["look_times_s"]
        at = ", ".join(f"{time_s:.0f}" for time_s in times)
        lines.append(f"looks      {len(times)}, at {at} s; stops at the first that decides")
    lines.append("what this load can decide:")
    return lines


def _prospects(order: "Order") -> "list[tuple[str | None, Prospect]]":
    """What can be decided, with the label of the stage where the load has several."""
    from slokit.core.evidence import prospects
    from slokit.core.sequential import Look

    planned = len(order.look_times_s)
    last = Look(planned, planned)
    return [
        (stage, prospect)
        for stage, offer in order.stage_offers or ((None, order.offer),)
        for prospect in prospects(order.terms.objectives, offer, last)
    ]


def _sentence(stage: str | None, prospect: "Prospect") -> str:
    from slokit.core.wording import forecast

    if stage is None:
        return forecast(prospect)
    return f"{stage}: {forecast(prospect, longer='a stage of ')}"


def _facts(prospect: "Prospect") -> dict[str, Any]:
    """A prospect as plain JSON."""
    return {
        "expr": prospect.objective.expr,
        "class": prospect.text_class,
        "requests": prospect.requests,
        "needed": prospect.needed,
        "can_pass": prospect.can_pass,
        "most_bad": prospect.most_bad,
        "most_inflation": prospect.most_inflation,
        "wide_inflation": prospect.wide_inflation,
        "duration_s": prospect.duration_s,
        "usual_s": prospect.usual_s,
    }
