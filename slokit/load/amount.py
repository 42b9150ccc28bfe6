"""How much load a scenario means: rates of an open loop or users of a closed one, over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from slokit.core.rates import Piece, parse_pieces
from slokit.core.units import parse_duration
from slokit.errors import UsageError
from slokit.load.kinds import is_count

_FORM: Final = '(users, duration): (10, "30s"), or (rate, duration): ("20rps", "30s")'


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of a closed loop: `users` for `duration_s` seconds."""

    duration_s: float
    users: int
    label: str = ""

    @property
    def told(self) -> str:
        """The label, or how many users there are."""
        return self.label or ("1 user" if self.users == 1 else f"{self.users} users")


@dataclass(frozen=True, slots=True)
class Amount:
    """Pieces of an open loop or stages of a closed one; a replay has neither, but a trace."""

    loop: str  # open | closed
    duration_s: float
    words: str  # for a list
    pieces: tuple[Piece, ...] = ()
    stages: tuple[Stage, ...] = ()


def read_amount(
    *,
    rate: str | None,
    users: int | None,
    stages: Sequence[Sequence[Any]],
    replay: str | None,
    duration: str | None,
) -> Amount:
    """What exactly one of `rate`, `users`, `stages` and `replay` says.

    Raises UsageError for none or several of them, or for one that cannot be meant.
    """
    for name, value in (("rate", rate), ("replay", replay), ("duration", duration)):
        if not isinstance(value, str | None):
            raise UsageError(f"{name} is {value!r}: write it in quotes")
    choices = {"rate": rate, "users": users, "stages": stages or None, "replay": replay}
    given = [name for name, value in choices.items() if value is not None]
    if len(given) != 1:
        allowed = ", ".join(choices)
        raise UsageError(f"got {' and '.join(given) or 'none'} of {allowed}: write one")
    if stages:
        if duration is not None:
            raise UsageError("stages have their own durations: leave duration out")
        return _staged(stages)
    if duration is None:
        raise UsageError("duration is missing: write how long the load lasts: 60s")
    length_s = parse_duration(duration)
    if rate is not None:
        return Amount("open", length_s, rate, pieces=parse_pieces(rate, length_s))
    if replay is not None:
        return Amount("open", length_s, "a trace")
    if not is_count(users) or users is None:
        raise UsageError(f"users is {users!r}: write a whole number >= 1")
    stage = Stage(length_s, users)
    return Amount("closed", length_s, stage.told, stages=(stage,))


def _staged(stages: Sequence[Sequence[Any]]) -> Amount:
    steps = [_step(step) for step in stages]
    length_s = sum(step_s for _, step_s, _ in steps)
    kinds = {type(what) for what, _, _ in steps}
    if len(kinds) > 1:
        raise UsageError("stages hold both users and rates: write one of them in all")
    if kinds == {str}:
        pieces = tuple(piece for what, s, label in steps for piece in parse_pieces(what, s, label))
        return Amount("open", length_s, _span([p.peak_rps for p in pieces], "rps"), pieces=pieces)
    counts = tuple(Stage(step_s, what, label) for what, step_s, label in steps)
    words = counts[0].told if len(counts) == 1 else _span([s.users for s in counts], " users")
    return Amount("closed", length_s, words, stages=counts)


def _step(step: Any) -> tuple[Any, float, str]:
    label = step[2] if isinstance(step, tuple) and len(step) == 3 else ""
    if (
        not isinstance(step, tuple)
        or len(step) not in (2, 3)
        or not (isinstance(step[0], str) or is_count(step[0]))
        or not isinstance(step[1], str)
        or not isinstance(label, str)
    ):
        raise UsageError(f"stage {step!r} cannot be read: write {_FORM}")
    return step[0], parse_duration(step[1]), label


def _span(values: Sequence[float], unit: str) -> str:
    low, high = min(values), max(values)
    return f"{low:g}{unit}" if low == high else f"{low:g} to {high:g}{unit}"
