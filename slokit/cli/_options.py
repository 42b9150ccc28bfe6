"""The options of `slokit run`, which measurements of any kind share."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from secrets import randbelow
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from slokit.core.objective import parse_objective
from slokit.core.units import parse_duration, parse_ratio
from slokit.errors import UsageError

if TYPE_CHECKING:
    from slokit.load.plan import LoadPlan
    from slokit.load.scenario import Scenario

SEED_LIMIT: Final = 2**31
PATIENCE: Final = 5.0  # --until-conclusive takes at most so many times the duration

_LOAD = (
    click.option("--host", metavar="URL", help="Address of the service: http://localhost:8000."),
    click.option(
        "--rate", metavar="RPS", help="Requests a second, open loop: 50rps, 10rps to 100rps."
    ),
    click.option(
        "--users",
        type=click.IntRange(1),
        metavar="N",
        help="Users who wait for answers: closed loop.",
    ),
    click.option("--arrivals", metavar="HOW", help="constant, poisson or gamma:CV."),
    click.option("--duration", metavar="TIME", help="How long the load lasts: 40s, 5m."),
    click.option(
        "--warmup",
        metavar="TIME",
        help="Cut this much instead of the automatic warm-up; 0s: nothing.",
    ),
    click.option(
        "--timeout",
        metavar="TIME",
        default="10s",
        show_default=True,
        help="When a request is given up.",
    ),
    click.option(
        "--max-in-flight",
        type=click.IntRange(1),
        metavar="N",
        help="Slots; far more than rate x timeout by default.",
    ),
    click.option(
        "--texts",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False),
        help="Your own texts, one a line, UTF-8.",
    ),
    click.option(
        "--repeat-ratio", metavar="R", help="Share of texts that were sent before: 30% or 0.3."
    ),
    click.option("--batch", type=click.IntRange(1, 2048), metavar="N", help="Texts a request."),
    click.option(
        "--until-conclusive",
        is_flag=True,
        help="Stop as soon as the evidence decides, at planned looks.",
    ),
    click.option(
        "--max-duration",
        metavar="TIME",
        help="When --until-conclusive gives up [default: 5 times the duration].",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        metavar="N",
        help="Seed of arrivals and texts; drawn when not given.",
    ),
)
_TARGET = (
    click.option(
        "--protocol",
        type=click.Choice(["openai", "plain", "tei"]),
        default="openai",
        show_default=True,
        help="How to ask.",
    ),
    click.option("--path", metavar="P", help="Route, instead of the protocol's own."),
    click.option("--model", metavar="NAME", help="Model name; asked of /v1/models when not given."),
    click.option(
        "--api-key-env", metavar="VAR", help="Environment variable that holds the API key."
    ),
    click.option("--header", multiple=True, metavar="K:V", help="A header to send; repeatable."),
    click.option(
        "--ca-cert",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False),
        help="Authority to trust for https.",
    ),
    click.option("--insecure", is_flag=True, help="Do not check the certificate."),
    click.option(
        "--wait-ready", metavar="TIME", help="Wait this long for the service to become ready."
    ),
)
_SLO = (
    click.option(
        "--slo", multiple=True, metavar="EXPR", help='An objective: "p95 <= 150ms"; repeatable.'
    ),
    click.option("--baseline", metavar="RUN", help="The stored run that relative objectives mean."),
    click.option(
        "--on-inconclusive",
        type=click.Choice(["fail", "warn"]),
        default="fail",
        show_default=True,
        help="Exit 3, or 0 with a warning, without enough evidence.",
    ),
)
_OUTPUT = (
    click.option("--label", multiple=True, metavar="K=V", help="A label for the run; repeatable."),
    click.option("--runs", metavar="DIR", help="The run store [default: $SLOKIT_RUNS or ./runs]."),
    click.option(
        "--report",
        multiple=True,
        metavar="PATH",
        help="Write a report: .md, .json or .xml (JUnit).",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the verdict document on stdout."),
    click.option("--quiet", is_flag=True, help="One line as the result, no progress."),
    click.option(
        "--yes", is_flag=True, help="Do not ask (on a terminal) before load leaves this machine."
    ),
    click.option("--dry-run", is_flag=True, help="Say what would be done; send nothing."),
)


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The SCENARIO argument and every option of `run`."""
    for option in reversed((*_LOAD, *_TARGET, *_SLO, *_OUTPUT)):
        function = option(function)
    return click.argument("scenario")(function)


@dataclass(frozen=True)
class Options:
    """The options as they were typed; methods give what they mean or refuse them."""

    scenario: str
    host: str | None
    rate: str | None
    users: int | None
    arrivals: str | None
    duration: str | None
    warmup: str | None
    timeout: str
    max_in_flight: int | None
    texts: str | None
    repeat_ratio: str | None
    batch: int | None
    until_conclusive: bool
    max_duration: str | None
    seed: int | None
    protocol: str
    path: str | None
    model: str | None
    api_key_env: str | None
    header: tuple[str, ...]
    ca_cert: str | None
    insecure: bool
    wait_ready: str | None
    slo: tuple[str, ...]
    baseline: str | None
    on_inconclusive: Literal["fail", "warn"]
    label: tuple[str, ...]
    runs: str | None
    report: tuple[str, ...]
    as_json: bool
    quiet: bool
    yes: bool
    dry_run: bool

    def apply_to(self, scenario: "Scenario") -> "Scenario":
        """The scenario with what was typed in place of its own settings."""
        changed = scenario.with_load(rate=self.rate, users=self.users, duration=self.duration)
        settings: dict[str, Any] = {}
        if self.arrivals is not None:
            if changed.loop == "closed":
                raise UsageError(f"--arrivals {self.arrivals}: a closed loop has no arrivals")
            settings["arrivals"] = self.arrivals
        if self.batch is not None:
            settings["batch"] = self.batch
        if self.repeat_ratio is not None:
            settings["repeat_ratio"] = _share(self.repeat_ratio)
        return replace(self._lasting(changed), **settings)

    def _lasting(self, scenario: "Scenario") -> "Scenario":
        """The scenario laid out for the longest that `--until-conclusive` may take."""
        from slokit.load.scenario import LOCUST

        if not self.until_conclusive:
            if self.max_duration is not None:
                raise UsageError(f"--max-duration {self.max_duration}: give --until-conclusive too")
            return scenario
        amount = scenario.amount
        if len(amount.pieces + amount.stages) != 1 or not all(p.is_constant for p in amount.pieces):
            raise UsageError(
                "--until-conclusive: a load that changes is judged at its end only "
                "(give --rate or --users for one constant load)"
            )
        if scenario.client == LOCUST:
            raise UsageError(
                "--until-conclusive: what Locust's own clients have in flight is not known"
            )
        longest_s = PATIENCE * scenario.duration_s
        if self.max_duration is not None:
            longest_s = parse_duration(self.max_duration)
        return scenario.with_load(duration=f"{longest_s:.6f}s")

    def slo_of(self, default: tuple[str, ...], scenario: str) -> tuple[tuple[str, ...], str]:
        """The objectives and where they come from: --slo, else the scenario's own."""
        for expression in self.slo:
            parse_objective(expression)
        if self.slo:
            return self.slo, "--slo"
        if default:
            return default, f"scenario {scenario}"
        raise UsageError(f'scenario {scenario} has no SLO of its own: give --slo "p95 <= 150ms"')

    @property
    def warmup_s(self) -> float | None:
        """Seconds to cut; None for the automatic cut."""
        return warmup_seconds(self.warmup)

    def labels(self) -> dict[str, str]:
        """`--label K=V` as a mapping."""
        pairs = {}
        for text in self.label:
            key, equals, value = text.partition("=")
            if not (key and equals):
                raise UsageError(f"--label {text!r}: write KEY=VALUE")
            pairs[key] = value
        return pairs

    def plan_settings(self) -> dict[str, Any]:
        """The fields of a LoadPlan that options set."""
        if self.host is None:
            raise UsageError(
                "no service to measure: give --host URL "
                "(no service at hand? `slokit serve` starts one on http://127.0.0.1:8000)"
            )
        settings = {
            "url": self.host,
            "seed": randbelow(SEED_LIMIT) if self.seed is None else self.seed,
            "timeout_s": parse_duration(self.timeout),
            "protocol": self.protocol,
            "path": self.path,
            "model": self.model,
            "api_key_env": self.api_key_env,
            "headers": tuple(_header(text) for text in self.header),
            "ca_cert": self.ca_cert,
            "insecure": self.insecure,
        }
        if self.max_in_flight is not None:
            settings["max_in_flight"] = self.max_in_flight
        return settings

    def with_proxy(self, plan: "LoadPlan", proxy: str | None) -> "LoadPlan":
        """The plan with the environment's proxy, if one applies."""
        return replace(plan, proxy=proxy) if proxy else plan


def warmup_seconds(text: str | None) -> float | None:
    """Seconds of `--warmup`, where a plain zero is allowed; None when not given."""
    if text is None:
        return None
    return 0.0 if text in ("0", "0s", "0ms") else parse_duration(text)


def _share(text: str) -> float:
    """A ratio 0-1, written as a percentage or as a plain number."""
    try:
        return float(text)
    except ValueError:
        return parse_ratio(text)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise UsageError(f"--header {name!r} has no value: write NAME:VALUE")
    return name.strip(), value.strip()
