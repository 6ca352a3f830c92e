"""The serial port: the only importer of pyserial. Anything pyserial can open will do.

What the library and the kernel do at the edges: unplugging shows as a read that returns nothing though
the port was ready, as EIO, or as a plain OSError of ``in_waiting``; all of them are :class:`PortGone`.
On Linux a port with a descriptor is read from it directly.
``open()`` throws away what was waiting in the line.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import select
from pathlib import Path

import serial

from reader.clock import Clock
from reader.errors import PortGone, PortMissing, PortRefused
from reader.model import Chunk

READ_BYTES = 4096  # what the kernel keeps of a line; a larger buffer costs more than it brings
# In this order: names that survive a replug first.
CANDIDATES = ("/dev/serial/by-id/*", "/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyAMA*")
SYSFS = Path("/sys/class/tty")
PTY_MAJORS = range(136, 144)  # Documentation/admin-guide/devices.txt: UNIX98 pseudo-terminal slaves


class Port:
    """An open line. ``is_paced``: the other end waits while we don't read (a pseudo-terminal, a socket).

    ``is_uart``: its bytes come at the speed of the line; a pseudo-terminal, a socket or a USB modem hands over
    kilobytes that came at once.
    """

    def __init__(self, name: str, baud: int, clock: Clock) -> None:
        """Open it; PortMissing or PortRefused in words."""
        self.name = name
        self.is_paced = "://" in name or _is_pty(name)
        self.is_uart = not self.is_paced and not Path(name).resolve().name.startswith("ttyACM")
        self._clock = clock
        self._serial = _open(name, baud)
        has_descriptor = "://" not in name or name.startswith("socket://")
        self._fd: int | None = self._serial.fileno() if has_descriptor else None
        if not self.is_paced:
            _ask_for_low_latency(self._serial, name)

    def read(self, wait_s: float) -> Chunk | None:
        """What has arrived, waiting for it at most so long; None when nothing has. PortGone."""
        try:
            if self._fd is not None:
                # Straight from the kernel: pyserial's own read waits twice and takes ten times as long.
                if not select.select([self._fd], [], [], wait_s)[0]:
                    return None
                data = os.read(self._fd, READ_BYTES)
                if not data:
                    raise PortGone(f"{self.name}: the line hung up; look at the cable")
            else:
                self._serial.timeout = wait_s
                data = self._serial.read(1)
                data += self._serial.read(self._serial.in_waiting) if data else b""
        except BlockingIOError:
            return None  # another program took it first
        except (serial.SerialException, OSError, ValueError, TypeError) as error:
            # ValueError and TypeError: pyserial's own state after the device went away under it.
            raise PortGone(f"{self.name}: the line went away ({error}); look at the cable") from error
        return Chunk(data, self._clock.now()) if data else None

    def write(self, data: bytes) -> None:
        """Send; PortGone."""
        try:
            self._serial.write(data)
        except (serial.SerialException, OSError, ValueError, TypeError) as error:
            raise PortGone(f"{self.name}: the line went away ({error}); look at the cable") from error

    @property
    def baud(self) -> int:
        """The speed of the line."""
        return int(self._serial.baudrate)

    def set_baud(self, baud: int) -> None:
        """Go on at another speed; PortGone, or PortRefused where the line can't have it."""
        try:
            self._serial.baudrate = baud
        except ValueError as error:
            raise PortRefused(f"{self.name}: can't be set to {baud} baud ({error})") from error
        except (serial.SerialException, OSError, TypeError) as error:
            raise PortGone(f"{self.name}: the line went away ({error}); look at the cable") from error

    def flush(self) -> None:
        """Wait until all that was written has left, but not for a program that may never take it; PortGone."""
        if self.is_paced:
            return
        try:
            self._serial.flush()
        except (serial.SerialException, OSError, ValueError, TypeError) as error:
            raise PortGone(f"{self.name}: the line went away ({error}); look at the cable") from error

    def close(self) -> None:
        """Let go of the device at once: held open, it would come back under another name."""
        try:
            self._serial.close()
        except (serial.SerialException, OSError, ValueError, TypeError):
            return  # gone already


def find_ports() -> list[str]:
    """Serial devices that a reader may be on, each once, names that survive a replug first."""
    found: dict[str, str] = {}
    for pattern in CANDIDATES:
        for name in sorted(glob.glob(pattern)):  # noqa: PTH207 - a pattern with folders in it
            found.setdefault(os.path.realpath(name), name)
    return list(found.values())


def _open(name: str, baud: int) -> serial.SerialBase:
    # A timeout of zero: what is there, at once; the waiting is done by select.
    options: dict[str, object] = {"baudrate": baud, "timeout": 0, "write_timeout": 1}
    if "://" not in name:
        options["exclusive"] = True
    try:
        return serial.serial_for_url(name, **options)
    except (serial.SerialException, OSError) as error:
        number = error.errno if error.errno is not None else getattr(error.__context__, "errno", None)
        if number in (errno.EACCES, errno.EPERM):
            raise PortRefused(
                f"{name}: no permission to open it; add the user of this program to the group dialout"
            ) from error
        if number in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
            raise PortRefused(f"{name}: another program holds it; find it with: fuser -v {name}") from error
        if "://" in name or number in (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO):
            raise PortMissing(f"{name}: not there; plug the reader in, or look at its cable and power") from error
        raise PortRefused(f"{name}: can't be opened as a serial line ({error})") from error
    except ValueError as error:
        raise PortRefused(f"{name}: can't be opened as a serial line ({error})") from error


def _is_pty(name: str) -> bool:
    try:
        return os.major(Path(name).stat().st_rdev) in PTY_MAJORS
    except OSError:
        return False


def _ask_for_low_latency(port: serial.SerialBase, name: str) -> None:
    """FTDI adapters hand over every 16 ms unless asked; the setting is lost on every replug."""
    # Anyone may ask by the port; the file is root's. Neither is there for other kinds of adapters.
    with contextlib.suppress(AttributeError, ValueError, OSError):
        port.set_low_latency_mode(True)
    set_latency_timer(name)


def set_latency_timer(name: str, sysfs: Path = SYSFS) -> None:
    """Set an FTDI adapter's timer to 1 ms, if it has one and we may."""
    timer = sysfs / Path(name).resolve().name / "device" / "latency_timer"
    with contextlib.suppress(OSError):
        if timer.is_file():
            timer.write_text("1")
