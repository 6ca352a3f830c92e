"""Machines with a real systemd, for the tests of this folder; they need root, and what `.ci/install` brings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.broker import Mosquitto
from tests.systemd import root
from tests.systemd.box import MAT, Box, reader
from tests.systemd.machine import Machine

NEEDS = ("debootstrap", "systemd-nspawn", "nsenter")


@pytest.fixture(scope="session")
def cache(pytestconfig: pytest.Config) -> Path:
    """Where what takes long to get is kept from run to run."""
    if os.geteuid() != 0:
        pytest.skip("needs root: machines are made here")
    if missing := [name for name in NEEDS if shutil.which(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}: bash .ci/install")
    return pytestconfig.cache.mkdir("systemd")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of this run, the same for all who test at the same time."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "systemd"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def plain(cache: Path) -> list[Path]:
    """The layers of a fresh Debian."""
    return [root.debian(cache)]


@pytest.fixture(scope="session")
def installed(cache: Path, shared: Path) -> list[Path]:
    """The layers of a Debian with the program in it."""
    return root.program(cache, shared)


@pytest.fixture
def machine(installed: list[Path], tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    """Makes machines with the program installed, not yet booted."""
    with ExitStack() as stack:

        def make(binds: Mapping[str, str] | None = None, *, name: str = "mat", has_network: bool = True) -> Machine:
            made = Machine(tmp_path / name, installed, binds=binds, has_network=has_network)
            return stack.enter_context(made)

        yield make


@pytest.fixture
def box(machine: Callable[..., Machine], tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Box]:
    """A box with a reader, not yet booted."""
    with reader(tmp_path) as (line, binds):
        yield Box(machine(binds), line, MAT.format(port=mosquitto.port))
