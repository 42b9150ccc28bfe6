"""What a scenario means in numbers: the fields of a load plan that come from it."""

from pathlib import Path
from typing import Any

from slokit.core.rates import mean_rps
from slokit.errors import UsageError
from slokit.load.kinds import CUSTOM_CLASS, TextKind, read_texts
from slokit.load.scenario import LOCUST, Scenario
from slokit.load.trace import read_trace


def offer_of(scenario: Scenario, texts_file: str | None) -> tuple[dict[str, Any], float]:
    """Fields of slokit.load.plan.LoadPlan, and the highest rate of an open loop (else 0).

    A file of texts takes the place of all supplies.

    Raises UsageError for a trace that cannot be read, or texts that nobody would send.
    """
    amount = scenario.amount
    mix, kinds = _texts(scenario, texts_file)
    offer = {
        "loop": amount.loop,
        "client": scenario.client,
        "duration_s": amount.duration_s,
        "pieces": amount.pieces,
        "stages": amount.stages,
        "pacing_s": scenario.pacing_s,
        "arrivals": scenario.arrivals,
        "batch": scenario.batch,
        "repeat_ratio": scenario.repeat_ratio,
        "mix": mix,
        "kinds": kinds,
        "texts_file": texts_file,
    }
    if scenario.replay is not None:
        replayed, peak_rps = _replayed(scenario, mix)
        return offer | replayed, peak_rps
    if amount.pieces:
        offer["rate_rps"] = mean_rps(amount.pieces)
    return offer, max((piece.peak_rps for piece in amount.pieces), default=0.0)


def _texts(
    scenario: Scenario, texts_file: str | None
) -> tuple[dict[str, float], dict[str, TextKind]]:
    if scenario.client == LOCUST:
        if texts_file is not None:
            raise UsageError(f"{texts_file}: Locust's own users choose their texts themselves")
        return {}, {}
    mix, kinds = read_texts(scenario.texts)
    if texts_file is None:
        return mix, kinds
    if not kinds:
        return {CUSTOM_CLASS: 1.0}, {}
    return mix, {
        name: TextKind(CUSTOM_CLASS, kinds[name].pool if name in kinds else None) for name in mix
    }


def _replayed(scenario: Scenario, mix: dict[str, float]) -> tuple[dict[str, Any], float]:
    """A trace lasts until it ends, if that is sooner than the scenario does."""
    path = Path(scenario.replay or "").resolve()
    trace = read_trace(path)
    played_s = trace.duration_s / scenario.speed
    duration_s = min(scenario.duration_s, played_s)
    count = trace.count_before(duration_s * scenario.speed)
    fields = {
        "arrivals": "replay",
        "replay": str(path),
        "speed": scenario.speed,
        "duration_s": duration_s,
        "rate_rps": count / duration_s,
        "mix": trace.mix(mix),
    }
    return fields, trace.most_within(scenario.speed)  # a second of the run
