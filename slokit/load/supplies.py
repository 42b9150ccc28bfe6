"""Where texts come from: numbered supplies, drawn in a seeded order that is never stored.

Each worker draws numbers of its own from a permutation of all texts of a supply; the
permutation is computed, so that it costs no memory however many texts there are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from slokit.errors import UsageError
from slokit.load.chinese import grammar
from slokit.load.kinds import CUSTOM_CLASS

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_CHARS: Final = 100_000
_ROUNDS: Final = 4  # of the Feistel network; three already look random here


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


@dataclass(frozen=True, slots=True)
class Share:
    """Which numbers of a sequence are ours.

    They are those of one of `workers` processes that share it, and of one of `owners` text
    classes that are like each other.
    """

    worker: int = 0
    workers: int = 1
    owner: int = 0
    owners: int = 1


class Sequence:
    """The seeded order of one class, or of our share of it; `pool`: how many before it repeats."""

    def __init__(self, supply: Supply, *, seed: int, share: Share, pool: int | None = None) -> None:
        self._supply, self._seed = supply, seed
        self._worker, self._workers = share.worker, share.workers
        self._owner, self._owners = share.owner, share.owners
        self.size = max(1, supply.size // share.owners)  # of all workers
        if pool is not None:
            self.size = min(self.size, pool)
        self.pooled = pool is not None
        self.taken = 0

    def fresh(self) -> tuple[int, str]:
        """The next text; after the last one the sequence starts over."""
        self.taken += 1
        return self.at(self.taken - 1)

    def at(self, position: int) -> tuple[int, str]:
        """Number and text at a position of this worker's sequence."""
        supply = self._supply
        place = (position * self._workers + self._worker) % self.size
        index = (place * self._owners + self._owner) % supply.size
        number = permuted(index, supply.size, self._seed)
        return number, supply.text(number)

    @property
    def reused(self) -> int:
        """How many texts were sent again because there were no more."""
        own = -(-(self.size - self._worker) // self._workers)
        return 0 if self.pooled else max(0, self.taken - own)


def supply_of(name: str, texts_file: str | None) -> Supply:
    """The texts of `short`, `medium`, `long`, or of the file of `custom` ones."""
    if name != CUSTOM_CLASS:
        return grammar(name)
    if texts_file is None:
        raise UsageError("texts of class custom need a file: --texts FILE, one text a line")
    return FileTexts(Path(texts_file))
