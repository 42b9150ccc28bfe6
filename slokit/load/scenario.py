"""A scenario: what load to offer, written in the words people write.

    SCENARIO = Scenario(texts={"short": 1}, rate="50rps", duration="60s", slo=("p95 <= 150ms",))

A scenario lives in a Locust file. To list or plan it nothing of that file is executed:
`read_scenario` takes the docstring and the literal arguments from its syntax tree.
"""

import ast
import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

from slokit.core.arrivals import Arrivals
from slokit.core.objective import parse_objective
from slokit.core.rates import mean_rps
from slokit.core.units import parse_duration
from slokit.errors import UsageError
from slokit.load.amount import Amount, read_amount
from slokit.load.kinds import is_count, is_number, read_texts

LOCAL_FOLDER: Final = "scenarios"
PACKAGED_FOLDER: Final = Path(__file__).resolve().parents[2] / LOCAL_FOLDER  # beside `slokit`
WIRE, LOCUST = CLIENTS = ("slokit", "locust")  # who sends: our wire client, or Locust's own
STOCK_DURATION: Final = "60s"  # of a Locust file without SCENARIO; `--duration` sets another
MAX_BATCH: Final = 2048  # what the OpenAI API takes in one request
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Scenario:
    """What load to offer. Exactly one of `rate`, `users`, `stages` and `replay` says how much.

    `texts` are weights of text classes, or classes of one's own (slokit.load.kinds); `slo`
    is judged when nobody asks for another. `rate` is an open loop, constant or one of the
    forms of slokit.core.rates, whose gaps follow `arrivals`. `users` is a closed loop: each
    user sends, waits for the answer and sends again, at the earliest `pacing` after the
    last intended start. `stages` are steps of (users, duration) or (rate, duration), each
    with a label as a third if it has one; constant ones are judged alone. `replay` is a
    trace file (slokit.load.trace) beside the scenario, played `speed` times as fast.
    `batch` is texts a request; a share of `repeat_ratio` (0-1) of them was sent before.
    `warmup` is left out of the verdict, "0s" for nothing; None: found by itself. With client
    "locust" the users are those of the file, with Locust's own clients.
    """

    texts: Mapping[str, Any] = field(default_factory=lambda: {"short": 1.0})
    rate: str | None = None
    duration: str | None = None
    slo: tuple[str, ...] = ()
    arrivals: str = "poisson"
    users: int | None = None
    stages: tuple[tuple[Any, ...], ...] = ()
    replay: str | None = None
    speed: float = 1.0
    pacing: str | None = None
    batch: int = 1
    repeat_ratio: float = 0.0
    warmup: str | None = None
    client: str = WIRE

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, before any load is sent."""
        read_texts(self.texts)
        stages = self.amount.stages
        Arrivals.parse(self.arrivals)
        if isinstance(self.slo, str):
            raise UsageError(f"slo is {self.slo!r}: write a tuple of objectives, (..., )")
        for expression in self.slo:
            parse_objective(expression)
        for text in (self.pacing, self.warmup):
            if text is not None and text != "0s":
                parse_duration(text)
        if not is_number(self.speed) or not 0 < self.speed < math.inf:
            raise UsageError(f"speed is {self.speed!r}: write a number > 0, 2 for twice as fast")
        if not is_count(self.batch) or self.batch > MAX_BATCH:
            raise UsageError(f"batch is {self.batch!r}: write 1 to {MAX_BATCH} texts a request")
        if not is_number(self.repeat_ratio) or not 0 <= self.repeat_ratio < 1:
            raise UsageError(f"repeat_ratio is {self.repeat_ratio!r}: write a share from 0 to < 1")
        if self.client not in CLIENTS:
            raise UsageError(f"client is {self.client!r}: write one of {', '.join(CLIENTS)}")
        if self.client == LOCUST and (
            len(stages) != 1 or self.pacing is not None or self.batch > 1 or self.repeat_ratio
        ):
            raise UsageError(
                "Locust's own users send what their tasks say and wait for answers: "
                "write users and duration only"
            )

    @cached_property
    def amount(self) -> Amount:
        """How much load, over time."""
        return read_amount(
            rate=self.rate,
            users=self.users,
            stages=self.stages,
            replay=self.replay,
            duration=self.duration,
        )

    @property
    def loop(self) -> str:
        """`open` (a schedule that does not wait) or `closed` (users who do)."""
        return self.amount.loop

    @property
    def rate_rps(self) -> float | None:
        """Mean requests a second of an open loop; None for a closed one, and for a replay."""
        return mean_rps(self.amount.pieces) if self.amount.pieces else None

    @property
    def duration_s(self) -> float:
        """Seconds of load, the sum of all stages; of a replay at most."""
        return self.amount.duration_s

    @property
    def pacing_s(self) -> float:
        """Seconds between two intended starts of one user; 0: as soon as the answer is in."""
        return 0.0 if self.pacing in (None, "0s") else parse_duration(self.pacing or "")

    @property
    def warmup_s(self) -> float | None:
        """Seconds that the verdict leaves out; None: found by itself."""
        if self.warmup is None:
            return None
        return 0.0 if self.warmup == "0s" else parse_duration(self.warmup)

    @property
    def steps(self) -> tuple[tuple[int, float], ...]:
        """A closed loop as (users, seconds) a stage; empty for an open one."""
        return tuple((stage.users, stage.duration_s) for stage in self.amount.stages)

    def beside(self, folder: Path) -> Self:
        """The same scenario with its trace found from `folder`."""
        if self.replay is None:
            return self
        return replace(self, replay=str(folder / self.replay))

    def with_load(
        self, *, rate: str | None = None, users: int | None = None, duration: str | None = None
    ) -> Self:
        """The same scenario at another rate, with other users or for another time.

        A rate makes it an open loop, a number of users a closed one. A new duration is
        the whole one, so it makes no sense on stages that keep theirs.
        """
        if rate is not None and users is not None:
            raise UsageError(f"got both a rate ({rate}) and users ({users}): give one of them")
        if rate is None and users is None:
            if duration is not None and self.stages:
                raise UsageError(
                    f"got duration {duration} for a scenario in stages: give --rate or --users too"
                )
            return replace(self, duration=duration or self.duration)
        length = duration or self.duration or f"{self.duration_s:.6f}s"
        return replace(self, rate=rate, users=users, stages=(), replay=None, duration=length)


@dataclass(frozen=True)
class ScenarioFile:
    """A scenario with the file it was read from; the docstring's first line is its summary."""

    name: str
    path: Path
    docstring: str
    scenario: Scenario

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.docstring.strip().partition("\n")[0]


def find_scenario(name: str) -> Path:
    """The file of a scenario: a path ending in `.py`, `./scenarios/NAME.py`, or a packaged one.

    Raises UsageError with the known names and the nearest one.
    """
    if name.endswith(".py"):
        if Path(name).is_file():
            return Path(name).resolve()
        raise UsageError(f"there is no scenario file {name!r}")
    known = _known()
    if name in known:
        return known[name]
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f", did you mean {nearest[0]!r}?" if nearest else ""
    raise UsageError(f"unknown scenario {name!r}{hint} (known: {', '.join(sorted(known))})")


def all_scenarios() -> list[ScenarioFile]:
    """Every scenario there is, sorted by name; a local file hides a packaged one."""
    return [read_scenario(path) for _, path in sorted(_known().items())]


def _known() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in (PACKAGED_FOLDER, Path(LOCAL_FOLDER).resolve()):
        for path in sorted(folder.glob("*.py")):
            if _NAME.fullmatch(path.stem):
                found[path.stem] = path
    return found


def read_scenario(path: Path) -> ScenarioFile:
    """Read a scenario file without importing it.

    A file without SCENARIO whose users have Locust's own clients is one user for a minute.
    Raises UsageError with file and line when there is no `SCENARIO = Scenario(...)` with
    literal keyword arguments, or when they cannot be meant.
    """
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise UsageError(f"{path}:{line}: no valid Python: {error}") from error
    call = _scenario_call(tree)
    if call is None and _has_stock_users(tree):
        scenario = Scenario(users=1, duration=STOCK_DURATION, client=LOCUST)
        return ScenarioFile(path.stem, path, ast.get_docstring(tree) or "", scenario)
    if not isinstance(call, ast.Call) or _called_name(call) != "Scenario":
        line = 1 if call is None else call.lineno
        problem = "no SCENARIO found: write" if call is None else "expected"
        raise UsageError(f"{path}:{line}: {problem} SCENARIO = Scenario(...)")
    try:
        scenario = Scenario(**_literal_arguments(call, path)).beside(path.parent)
    except UsageError as error:
        raise UsageError(f"{path}:{call.lineno}: {error}") from error
    return ScenarioFile(path.stem, path, ast.get_docstring(tree) or "", scenario)


def _scenario_call(tree: ast.Module) -> ast.expr | ast.stmt | None:
    """What SCENARIO is set to; the statement where that is nothing; None without one."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if any(isinstance(target, ast.Name) and target.id == "SCENARIO" for target in targets):
            return getattr(node, "value", None) or node
    return None


def _has_stock_users(tree: ast.Module) -> bool:
    """True for a file with users of Locust's own kinds, such as HttpUser, and none of ours."""
    bases = [base for node in tree.body if isinstance(node, ast.ClassDef) for base in node.bases]
    names = [getattr(base, "attr", getattr(base, "id", "")) for base in bases]
    return any(name.endswith("User") for name in names) and "EmbeddingUser" not in names


def _called_name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _literal_arguments(call: ast.Call, path: Path) -> dict[str, Any]:
    allowed = [f.name for f in fields(Scenario)]
    arguments: dict[str, Any] = {}
    if call.args:
        raise UsageError(f"arguments must be named: {', '.join(allowed)}")
    for keyword in call.keywords:
        if keyword.arg not in allowed:
            got = "**" if keyword.arg is None else repr(keyword.arg)
            raise UsageError(f"unknown argument {got}: write {', '.join(allowed)}")
        try:
            arguments[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError) as error:
            source = ast.unparse(keyword.value)
            raise UsageError(
                f"{keyword.arg} is {source!r} (line {keyword.value.lineno}): write a plain value, "
                f"because {path.name} is read without running it"
            ) from error
    return arguments
