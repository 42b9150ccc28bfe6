"""Wake up on time: gevent's own timers are as coarse as a millisecond."""

import ctypes
import os
import sys
import time
from typing import Any, Final, Self

import gevent
from gevent.hub import Waiter

_NS: Final = 1_000_000_000
_TFD_NONBLOCK: Final = 0o4000
_TFD_ABSTIME: Final = 1
_READABLE: Final = 1  # as libev counts events
SPIN_NS: Final = 10_000  # arming the timer takes about as long as what is left then


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class Alarm:
    """Sleeps the calling greenlet until a moment of time.monotonic_ns.

    libev rounds its time-outs up to whole milliseconds, which would be the generator's
    own delay in every sample. On Linux a timerfd wakes epoll to the microsecond instead;
    it stays registered for as long as the alarm lives. One greenlet at a time may sleep
    on an alarm.
    """

    def __init__(self) -> None:
        self._fd = -1
        self._waiter: Any = None
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._spec = _Itimerspec()
            self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK)
            if self._fd < 0:
                raise OSError(ctypes.get_errno(), "timerfd_create failed")
            self._watcher = gevent.get_hub().loop.io(self._fd, _READABLE)
            self._watcher.start(self._ring)

    def __enter__(self) -> Self:
        """The alarm itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the timer back."""
        if self._fd >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._fd)
            self._fd = -1

    def sleep_until(self, moment_ns: int) -> None:
        """Sleep until `moment_ns`; give way to others once when it is past."""
        left_ns = moment_ns - time.monotonic_ns()
        if left_ns > SPIN_NS and self._fd >= 0:
            self._arm(moment_ns)
            self._waiter = Waiter()
            try:
                self._waiter.get()
            finally:
                self._waiter = None
        elif left_ns > SPIN_NS:
            gevent.sleep(left_ns / _NS)
        else:
            gevent.sleep(0)
            while time.monotonic_ns() < moment_ns:
                gevent.sleep(0)  # the event loop looks for answers each time

    def _arm(self, moment_ns: int) -> None:
        value = self._spec.it_value
        value.tv_sec, value.tv_nsec = divmod(moment_ns, _NS)
        if self._libc.timerfd_settime(self._fd, _TFD_ABSTIME, ctypes.byref(self._spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def _ring(self) -> None:
        os.read(self._fd, 8)  # or epoll would report it again and again
        if self._waiter is not None:
            self._waiter.switch(None)
