"""A small grammar of Chinese: sentences of exactly 4, 20 and 50 characters, by number.

Each text is a pattern whose slots are filled from word lists. All words of one slot have
the same length, so every text of a class has the same number of characters and different
fillings give different texts: a number in `[0, size)` and a text are the same thing.

Texts of 4 characters are search words (Han characters only); those of 20 and 50 are
sentences whose punctuation (，。？) counts as characters, as it does for a tokeniser.
"""

import re
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Final

from slokit.load.chinese_words import PATTERNS, WORDS

LENGTHS: Final = {"short": 4, "medium": 20, "long": 50}
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Pattern:
    """One sentence with slots; `size` is how many different texts it makes."""

    template: str
    slots: tuple[tuple[str, ...], ...]
    size: int

    @classmethod
    def of(cls, text: str) -> "Pattern":
        """Read `请问{city}...`; a slot names a list of chinese_words.WORDS."""
        slots = tuple(tuple(WORDS[name].split()) for name in _SLOT.findall(text))
        return cls(_SLOT.sub("{}", text), slots, prod(len(words) for words in slots))

    def text(self, index: int) -> str:
        """Text number `index`: the index in mixed radix, one digit a slot."""
        chosen = []
        for words in self.slots:
            index, digit = divmod(index, len(words))
            chosen.append(words[digit])
        return self.template.format(*chosen)


class Grammar:
    """All patterns of one text class, numbered through."""

    def __init__(self, patterns: tuple[Pattern, ...]) -> None:
        self.patterns = patterns
        self.size = sum(pattern.size for pattern in patterns)

    def text(self, index: int) -> str:
        """Text number `index`. Raises IndexError outside [0, size)."""
        rest = index
        for pattern in self.patterns:
            if 0 <= rest < pattern.size:
                return pattern.text(rest)
            rest -= pattern.size
        raise IndexError(f"text {index} of {self.size}")


@cache
def grammar(text_class: str) -> Grammar:
    """The grammar of `short`, `medium` or `long`.

    >>> len(grammar("medium").text(12_345))
    20
    """
    return Grammar(tuple(Pattern.of(text) for text in PATTERNS[text_class]))


def supply_for(length: int) -> str:
    """The class whose texts begin a text of `length` characters: the longest that fits.

    >>> [supply_for(length) for length in (1, 4, 30, 500)]
    ['short', 'short', 'medium', 'long']
    """
    fitting = [name for name, characters in LENGTHS.items() if characters <= length]
    return fitting[-1] if fitting else "short"


def text_of_length(index: int, length: int) -> str:
    """A text of exactly `length` characters >= 1: one text of `supply_for`, then further ones.

    Different indexes give different texts from 4 characters on.

    >>> len(text_of_length(7, 333))
    333
    """
    supply = grammar(supply_for(length))
    text = supply.text(index % supply.size)
    more = grammar("long")
    while len(text) < length:
        index += 1
        text += more.text(index % more.size)
    return text[:length]
