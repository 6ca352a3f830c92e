"""What the kernel says of the clock: adjtimex(2), the boot, who set the clock at the start, and when it is set.

``struct timex`` and ``struct itimerspec`` are of C longs in the symbols used here, on 32-bit systems too. Python
3.11 has neither call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import time
import uuid
from pathlib import Path

from reader.clock.quality import KernelSample

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
RTC = Path("/sys/class/rtc")

TIME_ERROR = 5
STA_UNSYNC = 0x0040
STA_NANO = 0x2000

TFD_TIMER_ABSTIME = 1
TFD_TIMER_CANCEL_ON_SET = 2
FAR_FUTURE_S = 2**31 - 1 if ctypes.sizeof(ctypes.c_long) == 4 else 2**33  # bytes


class _Timex(ctypes.Structure):
    """struct timex, as far as ``status``; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_byte * 256),
    )


class _Itimerspec(ctypes.Structure):
    """struct itimerspec: the interval, then the moment."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def read_kernel() -> KernelSample | None:
    """How the kernel's clock stands, in 2 microseconds; None where a sandbox or another libc forbids to ask."""
    timex = _Timex()
    try:
        state = _libc.adjtimex(ctypes.byref(timex))
    except AttributeError:
        return None
    return None if state == -1 else sample_from_timex(state, timex, time.monotonic_ns())


def sample_from_timex(state: int, timex: _Timex, mono_ns: int) -> KernelSample:
    """``offset`` is in nanoseconds with STA_NANO, else in microseconds; ``maxerror`` always in microseconds."""
    return KernelSample(
        mono_ns=mono_ns,
        is_synced=state != TIME_ERROR and not timex.status & STA_UNSYNC,
        maxerror_ns=timex.maxerror * 1000,
        offset_ns=timex.offset if timex.status & STA_NANO else timex.offset * 1000,
    )


def is_set_by_rtc(folder: Path = RTC) -> bool:
    """Whether a clock with a battery set the system's at the start of this boot."""
    for path in folder.glob("rtc*/hctosys"):
        try:
            if path.read_text().strip() == "1":
                return True
        except OSError:
            continue
    return False


def boot_id() -> str:
    """The kernel's random name of this boot."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        # Hidden by a sandbox (ProcSubset=pid): a boot of its own is the safe answer, for what
        # can't be shown to be the same boot is treated as another.
        return str(uuid.uuid4())


class StepAlarm:
    """Rings as soon as somebody sets the clock: a timer of the far future that is cancelled by it (timerfd_create(2)).

    A clock that is slewed does not ring it: the monotonic clock is slewed along. OSError where there are no timerfds.
    """

    def __init__(self) -> None:
        try:
            self._fd = _called(_libc.timerfd_create(time.CLOCK_REALTIME, os.O_CLOEXEC | os.O_NONBLOCK))
        except AttributeError as error:
            raise OSError(errno.ENOSYS, "this libc has no timerfd_create") from error
        try:
            far = _Itimerspec(value_s=FAR_FUTURE_S)
            flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET
            _called(_libc.timerfd_settime(self._fd, flags, ctypes.byref(far), None))
        except OSError:
            self.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def wait(self, limit_s: float) -> bool:
        """Whether the clock was set, as soon as it is; False after ``limit_s``. It stays armed."""
        if not self._poll.poll(limit_s * 1000):
            return False
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        return True

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)


def _called(result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
