"""Text classes of a scenario: how often each is sent, and where its texts come from.

texts={"short": 60, "long": 40}                      weights of the classes there are
texts={"unique": {"like": "medium"},                 classes of one's own
       "repeated": {"like": "medium", "weight": 2, "pool": 20}}
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slokit.core.objective import ALL_CLASSES
from slokit.errors import UsageError

TEXT_CLASSES: Final = ("short", "medium", "long")
CUSTOM_CLASS: Final = "custom"  # the text class of `--texts FILE`
SUPPLIES: Final = (*TEXT_CLASSES, CUSTOM_CLASS)
MAX_CLASSES: Final = 50
_NAME: Final = re.compile(r"[A-Za-z][\w.-]{0,63}")  # what an objective can name in brackets
_KEYS: Final = ("like", "weight", "pool")


@dataclass(frozen=True, slots=True)
class TextKind:
    """Where the texts of a class come from: those of class `like`, none that another class sends.

    `pool` is how many different ones there are before they start over; None: all.
    """

    like: str
    pool: int | None = None


def check_class_name(name: object) -> str:
    """The name of a text class. Raises UsageError for one that no objective could name."""
    if isinstance(name, str) and _NAME.fullmatch(name) and name != ALL_CLASSES:
        return name
    raise UsageError(
        f"text class {name!r} cannot be named in an objective: write letters, digits, _ . or -, "
        f"a letter first, not {ALL_CLASSES}"
    )


def read_texts(texts: object) -> tuple[dict[str, float], dict[str, TextKind]]:
    """Weights, and the kinds of those classes that are not `short`, `medium` or `long` as is.

    Raises UsageError for what cannot be meant.

    >>> read_texts({"short": 3, "again": {"like": "short", "pool": 5}})
    ({'short': 3.0, 'again': 1.0}, {'again': TextKind(like='short', pool=5)})
    """
    if not isinstance(texts, Mapping) or not texts:
        raise UsageError(f"texts is {texts!r}: write weights of {', '.join(SUPPLIES)}")
    if len(texts) > MAX_CLASSES:
        raise UsageError(f"texts holds {len(texts)} classes: at most {MAX_CLASSES} are judged")
    mix, kinds = {}, {}
    for name, value in texts.items():
        if isinstance(value, Mapping):
            kinds[check_class_name(name)] = _kind(name, value)
            value = value.get("weight", 1)  # noqa: PLW2901 - the weight is what is left of it
        elif name not in SUPPLIES:
            allowed = ", ".join(SUPPLIES)
            raise UsageError(
                f"text class {name!r} is unknown: write one of {allowed}, or what it is like: "
                f'{{"like": "medium"}}'
            )
        if not is_number(value) or not 0 < value < math.inf:
            raise UsageError(f"the weight of {name} is {value!r}: write a number > 0")
        mix[name] = float(value)
    return mix, kinds


def _kind(name: str, value: Mapping[Any, Any]) -> TextKind:
    unknown = [key for key in value if key not in _KEYS]
    if unknown:
        raise UsageError(f"text class {name}: {unknown[0]!r} is unknown: write {', '.join(_KEYS)}")
    like, pool = value.get("like"), value.get("pool")
    if like not in SUPPLIES:
        raise UsageError(f"text class {name} is like {like!r}: write one of {', '.join(SUPPLIES)}")
    if pool is not None and not is_count(pool):
        raise UsageError(f"the pool of {name} is {pool!r}: write how many texts, >= 1")
    return TextKind(like, pool)


def is_count(value: object) -> bool:
    """A whole number >= 1, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_number(value: object) -> bool:
    """A number, and no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)
