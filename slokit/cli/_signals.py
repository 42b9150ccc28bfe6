"""Ctrl-C and SIGTERM as something to ask for, so that what was measured is kept."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from slokit.errors import ExitCode

_CODES: Final = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Interrupts:
    """`code` is None until a signal came.

    A signal raises KeyboardInterrupt, as Ctrl-C always does, except within `patiently`:
    there the first one is only noted, for the work to end in order; a second one raises.
    """

    def __init__(self) -> None:
        self.code: ExitCode | None = None
        self._patient = False

    def __call__(self) -> ExitCode | None:
        """The exit code of the first signal, if there was one."""
        return self.code

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        repeated = self.code is not None
        self.code = self.code or _CODES[signal.Signals(number)]
        if repeated or not self._patient:
            raise KeyboardInterrupt

    @contextmanager
    def patiently(self) -> Iterator[None]:
        """Work that asks for the code itself, and must not be torn."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False


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
