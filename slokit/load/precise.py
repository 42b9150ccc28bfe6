"""Wake up on time: gevent's own timers are as coarse as a millisecond."""

import ctypes
import os
import sys
import time
from typing import Final, Self

import gevent
import gevent.socket

_NS: Final = 1_000_000_000
_TFD_NONBLOCK: Final = 0o4000
_TFD_ABSTIME: Final = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class Alarm:
    """Sleeps the calling greenlet until a moment of time.monotonic_ns.

    libev rounds its time-outs up to whole milliseconds, which would be the generator's
    own delay in every sample. On Linux a timerfd wakes epoll to the microsecond instead.
    One greenlet at a time may sleep on an alarm.
    """

    def __init__(self) -> None:
        self._fd = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK)
            if self._fd < 0:
                raise OSError(ctypes.get_errno(), "timerfd_create failed")
            self._watcher = gevent.get_hub().loop.io(self._fd, 1)

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
        if moment_ns <= time.monotonic_ns():
            gevent.sleep(0)
        elif self._fd < 0:
            gevent.sleep((moment_ns - time.monotonic_ns()) / _NS)
        else:
            value = _Timespec(*divmod(moment_ns, _NS))
            spec = _Itimerspec(_Timespec(0, 0), value)
            if self._libc.timerfd_settime(self._fd, _TFD_ABSTIME, ctypes.byref(spec), None):
                raise OSError(ctypes.get_errno(), "timerfd_settime failed")
            gevent.get_hub().wait(self._watcher)
