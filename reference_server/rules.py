"""What a setting may be, and how it is read from a command line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from reference_server.errors import SetupError

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Rule:
    """What one setting accepts: a list of words, text of a form, or a number within bounds.

    Text may be empty, which is "off"; `form` describes it to people, `pattern` decides.
    """

    profiles: Mapping[str, Value]
    help: str
    unit: str = ""
    choices: tuple[str, ...] = ()
    form: str = ""
    pattern: str = ".*"
    bounds: tuple[float, float] = (0, 0)

    @property
    def allowed(self) -> str:
        """The accepted values, for people."""
        if self.choices:
            return "|".join(self.choices)
        if self.form:
            return self.form
        return f"{self.bounds[0]}..{self.bounds[1]}"

    def parse(self, key: str, text: str) -> Value:
        """Read a value from the command line; SetupError if it is not allowed."""
        if self.choices:
            if text in self.choices:
                return text
        elif self.form:
            if not text or re.fullmatch(self.pattern, text):
                return text
        else:
            number = _number(text, whole=isinstance(self.profiles["baseline"], int))
            if number is not None and self.bounds[0] <= number <= self.bounds[1]:
                return number
        unit = f" {self.unit}" if self.unit else ""
        raise SetupError(f"setting {key}={text!r} is not allowed; allowed: {self.allowed}{unit}")


def _number(text: str, *, whole: bool) -> int | float | None:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        return None
