"""Small disks for tests: one in memory, and one that can fail as a card does. Mounted by root only."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SIZES = (1 << 16, 4096, 512, 1)  # of what a full disk is filled up with


def _run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], check=check, capture_output=True, text=True)


@contextlib.contextmanager
def mounted_tmpfs(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of that size at ``folder``."""
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root only")
    folder.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder)
    try:
        yield folder
    finally:
        _run("umount", "--lazy", folder)


def fill(file: Path) -> None:
    """Take all the room that is left on its disk."""
    with file.open("ab", buffering=0) as filling:
        for size in SIZES:
            with contextlib.suppress(OSError):
                while True:
                    filling.write(bytes(size))


class Card:
    """An ext4 file system in a file, mounted at ``folder``; the kernel can be made to find a fault in it."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder = folder
        self._image = image

    def __enter__(self) -> Card:
        if os.geteuid() != 0:
            pytest.skip("a card can be mounted by root only")
        self.folder.mkdir()
        with self._image.open("wb") as file:
            file.truncate(64 << 20)
        _run("mkfs.ext4", "-q", "-F", self._image)
        if self._mount().returncode != 0:
            pytest.skip("there is no loop device to mount a card on")
        return self

    def __exit__(self, *_: object) -> None:
        while _run("umount", "--lazy", self.folder, check=False).returncode == 0:
            pass  # the one that failed lies under the one that was put back

    def fail(self) -> None:
        """The kernel finds an error and lets nobody write any more, as when a card wears out."""
        device = Path(_run("findmnt", "-n", "-o", "SOURCE", self.folder).stdout.strip()).name
        trigger = Path("/sys/fs/ext4") / device / "trigger_fs_error"
        if not trigger.exists():
            pytest.skip("this kernel has no way to make ext4 fail (trigger_fs_error)")
        trigger.write_text("1")

    def put_back(self) -> None:
        """The same card, mended (``fsck``): a copy of it is mounted over the one that failed."""
        mended = self._image.with_name(self._image.name + ".mended")
        shutil.copy(self._image, mended)
        mended_or_clean = (0, 1)
        assert _run("e2fsck", "-f", "-y", mended, check=False).returncode in mended_or_clean
        self._image = mended
        assert self._mount().returncode == 0

    def _mount(self) -> subprocess.CompletedProcess[str]:
        return _run("mount", "-o", "loop,errors=remount-ro", self._image, self.folder, check=False)
