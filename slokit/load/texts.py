"""Which texts are sent: a seeded sequence that never repeats unless it is asked to.

A service with a cache answers a repeated text at once, so a load test that repeats its
texts by accident measures the cache. Each worker draws numbers of its own from a
permutation of all texts of a class; the permutation is computed, not stored.
"""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

from slokit.errors import UsageError
from slokit.load.chinese import grammar
from slokit.load.scenario import CUSTOM_CLASS

if TYPE_CHECKING:
    from slokit.load.plan import LoadPlan

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_CHARS: Final = 100_000
_ROUNDS: Final = 4  # of the Feistel network; three already look random here


class Text(NamedTuple):
    """One text. `text_id` is its number within its class, the same under every seed."""

    text_id: int
    text_class: str
    text: str


class Supply(Protocol):
    """Numbered texts of one class."""

    size: int

    def text(self, index: int) -> str:
        """Text number `index` of `size`."""


class FileTexts:
    """The lines of a UTF-8 file, one text each; blank lines are left out."""

    def __init__(self, path: Path) -> None:
        self._lines = _read_lines(path)
        self.size = len(self._lines)

    def text(self, index: int) -> str:
        """Text number `index` of the file, counted from 0 without blank lines."""
        return self._lines[index]


def _read_lines(path: Path) -> list[str]:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise UsageError(f"{path} holds {size} bytes: at most {MAX_FILE_BYTES} are read")
        content = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read the texts {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: no UTF-8: {error.reason}") from error
    lines = content.split("\n")
    for number, text in enumerate(lines, start=1):
        if len(text) > MAX_CHARS:
            raise UsageError(f"{path}:{number}: {len(text)} characters, at most {MAX_CHARS}")
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise UsageError(f"{path} holds no text: write one a line, in UTF-8")
    return texts


def permuted(index: int, size: int, seed: int) -> int:
    """The place of `index` in a permutation of range(size), chosen by `seed`.

    A Feistel network on the smallest even number of bits that holds `size`, applied
    again while the result lies outside (cycle walking): a bijection without a table.

    >>> sorted(permuted(i, 10, seed=7) for i in range(10)) == list(range(10))
    True
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    value = index
    while True:
        left, right = value >> half, value & mask
        for round_key in range(_ROUNDS):
            mixed = (right + seed + round_key * 0x9E3779B97F4A7C15) * 0xD6E8FEB86659FD93
            mixed = (mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93
            left, right = right, left ^ (mixed >> 29 & mask)
        value = left << half | right
        if value < size:
            return value


class _Sequence:
    """The seeded order of one class for one of `workers` processes that share it."""

    def __init__(self, supply: Supply, *, seed: int, worker: int, workers: int) -> None:
        self._supply, self._seed = supply, seed
        self._worker, self._workers = worker, workers
        self.taken = 0

    def fresh(self) -> tuple[int, str]:
        """The next text; after the last one the sequence starts over."""
        self.taken += 1
        return self.at(self.taken - 1)

    def at(self, position: int) -> tuple[int, str]:
        """Number and text at a position of this worker's sequence."""
        index = (position * self._workers + self._worker) % self._supply.size
        number = permuted(index, self._supply.size, self._seed)
        return number, self._supply.text(number)

    @property
    def reused(self) -> int:
        """How many texts were sent again because there were no more."""
        own = -(-(self._supply.size - self._worker) // self._workers)
        return max(0, self.taken - own)


class TextSource:
    """Texts in the order they are sent: a pure function of seed, worker and what was taken.

    Classes follow the weights of `mix`. A share of `repeat_ratio` (0-1) of the texts was
    sent by this worker before, each earlier text of the class equally likely. When a
    class is exhausted its sequence starts over, and `warnings` says so.
    """

    def __init__(
        self,
        mix: Mapping[str, float],
        *,
        seed: int,
        repeat_ratio: float = 0.0,
        texts_file: str | None = None,
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        supplies: dict[str, Supply] = {name: _supply(name, texts_file) for name in mix}
        self._names, self._weights = list(mix), list(mix.values())
        self._sizes = {name: supply.size for name, supply in supplies.items()}
        self._sequences = {
            name: _Sequence(supply, seed=seed, worker=worker, workers=workers)
            for name, supply in supplies.items()
        }
        self._repeat_ratio = repeat_ratio
        self._random = random.Random(f"{seed}/{worker}")  # noqa: S311 - repeatable, not secret

    @classmethod
    def of(cls, plan: "LoadPlan") -> Self:
        """The texts of a load plan."""
        return cls(
            plan.mix,
            seed=plan.seed_for("texts"),
            repeat_ratio=plan.repeat_ratio,
            texts_file=plan.texts_file,
            worker=plan.worker,
            workers=plan.workers,
        )

    def take(self, count: int) -> list[Text]:
        """The next `count` texts, all of one class: the texts of one request."""
        (name,) = self._random.choices(self._names, self._weights)
        sequence = self._sequences[name]
        taken = []
        for _ in range(count):
            if sequence.taken and self._random.random() < self._repeat_ratio:
                number, text = sequence.at(self._random.randrange(sequence.taken))
            else:
                number, text = sequence.fresh()
            taken.append(Text(number, name, text))
        return taken

    def examples(self, text_class: str, count: int) -> list[str]:
        """Texts of one class to try a service with; the sequence is not moved on.

        They come from the far end of the sequence, so that trying does not warm a cache
        for the load.
        """
        sequence, size = self._sequences[text_class], self._sizes[text_class]
        return [sequence.at(max(0, size - 1 - i))[1] for i in range(count)]

    def warnings(self) -> list[str]:
        """Which classes ran out of new texts, one line each."""
        counts = {name: sequence.reused for name, sequence in self._sequences.items()}
        return [
            f"{count} {name} texts were sent again: there were no new ones left"
            for name, count in counts.items()
            if count
        ]

    def shortages(self, requests: float | None) -> list[str]:
        """What will run out when about `requests` texts are sent; None: cannot be known."""
        if requests is None:
            return []
        fresh = requests * (1 - self._repeat_ratio) / sum(self._weights)
        return [
            f"about {fresh * weight:.0f} different {name} texts are needed and there are "
            f"{self._sizes[name]}: some will be sent again, which a cache makes faster"
            for name, weight in zip(self._names, self._weights, strict=True)
            if fresh * weight > self._sizes[name]
        ]


def _supply(name: str, texts_file: str | None) -> Supply:
    if name != CUSTOM_CLASS:
        return grammar(name)
    if texts_file is None:
        raise UsageError("texts of class custom need a file: --texts FILE, one text a line")
    return FileTexts(Path(texts_file))
