"""What a simulated reader tells of its health: its antennas, its temperature, its noise; and what goes wrong with them.

The figures are such as real readers show: a good antenna sends back a hundredth (18 dB), an open end nearly all.
"""

from __future__ import annotations

COOL_C, WARM_C, HOT_C = 30, 75, 90
GOOD_LOSS_DB, POOR_CABLE_LOSS_DB, BAD_CABLE_LOSS_DB, OPEN_LOSS_DB = 18, 6, 2, 1
QUIET_DBM, NOISY_DBM = -70, -40


class Radio:
    """Ports from 1 on, the first ``antennas`` of them with an antenna."""

    faults = frozenset({"antenna-off", "bad-cable", "poor-cable", "warm", "hot", "noisy", "other-firmware"})

    def __init__(self, antennas: int) -> None:
        self.connected = set(range(1, antennas + 1))
        self.is_hot = self.is_noisy = self.has_other_firmware = False
        self._is_warm = False
        self._poor_cables: set[int] = set()
        self._bad_cables: set[int] = set()

    def suffer(self, fault: str, antenna: int = 1) -> None:
        """One of ``faults``; the second time it is over. Any other changes nothing."""
        match fault:
            case "antenna-off":
                self.connected ^= {antenna}
            case "bad-cable":
                self._bad_cables ^= {antenna}
            case "poor-cable":
                self._poor_cables ^= {antenna}
            case "warm":
                self._is_warm = not self._is_warm
            case "hot":
                self.is_hot = not self.is_hot
            case "noisy":
                self.is_noisy = not self.is_noisy
            case "other-firmware":
                self.has_other_firmware = not self.has_other_firmware

    @property
    def temperature_c(self) -> int:
        """Of the reader's own."""
        return HOT_C if self.is_hot else WARM_C if self._is_warm else COOL_C

    @property
    def noise_dbm(self) -> int:
        """What it hears when no chip answers."""
        return NOISY_DBM if self.is_noisy else QUIET_DBM

    def return_loss_db(self, port: int) -> int:
        """How far what comes back lies below what was sent."""
        if port not in self.connected:
            return OPEN_LOSS_DB
        if port in self._bad_cables:
            return BAD_CABLE_LOSS_DB
        return POOR_CABLE_LOSS_DB if port in self._poor_cables else GOOD_LOSS_DB
