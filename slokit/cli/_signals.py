"""Ctrl-C and SIGTERM as something to ask for, so that what was measured is kept."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from slokit.errors import ExitCode

_CODES: Final = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Interrupts:
    """`code` is None until a signal came. A second signal ends the command at once."""

    def __init__(self) -> None:
        self.code: ExitCode | None = None

    def __call__(self) -> ExitCode | None:
        """The exit code of the first signal, if there was one."""
        return self.code

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.code is not None:
            raise KeyboardInterrupt
        self.code = _CODES[signal.Signals(number)]


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Collect SIGINT and SIGTERM; the handlers before are put back afterwards."""
    received = Interrupts()
    before = {number: signal.signal(number, received.receive) for number in _CODES}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
