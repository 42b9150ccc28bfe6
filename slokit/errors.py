"""Every error slokit raises on purpose, with the exit code it ends in.

    SlokitError                  70   a bug of slokit's own, if raised bare
    ├── UsageError                2   what was typed or configured is wrong
    │   └── ExpressionError       2   ... at a position inside one expression
    ├── TargetError               5   the service cannot be reached, or every answer is broken
    └── StoreError               74   the run store could not be read or written

A message is one line that names what was got, where, and what is allowed. The
command line prints it and exits with the code; nothing else maps errors to codes.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the command line. They are an API: CI systems branch on them."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    INCONCLUSIVE = 3
    INVALID = 4
    TARGET = 5
    INTERNAL = 70
    STORE = 74
    INTERRUPTED = 130
    TERMINATED = 143


class SlokitError(Exception):
    """Base of all deliberate errors; `exit_code` is what the process ends with."""

    exit_code: ExitCode = ExitCode.INTERNAL


class UsageError(SlokitError):
    """Arguments, scenario or configuration that cannot be meant; found before any load."""

    exit_code = ExitCode.USAGE


class ExpressionError(UsageError):
    """One expression that does not parse: carries the text, the offset and what is allowed.

    >>> print(ExpressionError("p95 < = 1ms", 6, "a number with a unit", "150ms"))
    cannot read 'p95 < = 1ms' at position 7 ('= 1ms'): expected a number with a unit, e.g. 150ms
    """

    def __init__(self, text: str, position: int, expected: str, example: str) -> None:
        self.text, self.position, self.expected = text, position, expected
        rest = text[position:].strip()
        found = repr(rest) if rest else "the end"
        super().__init__(
            f"cannot read {text!r} at position {position + 1} ({found}): "
            f"expected {expected}, e.g. {example}"
        )


class TargetError(SlokitError):
    """The service under test could not be reached or answers nothing that can be measured."""

    exit_code = ExitCode.TARGET


class StoreError(SlokitError):
    """The run store could not be read or written."""

    exit_code = ExitCode.STORE
