"""The wheel holds what a box needs and nothing else, and works where there is nothing but itself."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


def run(*arguments: str, folder: Path | None = None) -> str:
    """What it printed; the test fails with all of its words where it fails."""
    ended = subprocess.run(arguments, capture_output=True, text=True, cwd=folder)
    assert ended.returncode == 0, f"{arguments}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {f"{path.relative_to(ROOT)}" for path in (ROOT / "reader").rglob("*.py")}
    data = {
        f"reader/data/{path.relative_to(ROOT)}"
        for folder in ("firmware_config", "systemd")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    assert data
    assert {name for name in names if ".dist-info/" not in name} == code | data


@pytest.mark.long
def test_in_an_empty_environment_the_wheel_alone_plays_the_demo(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    run(sys.executable, "-m", "venv", str(environment))
    run(f"{environment}/bin/pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[demo]")
    command = f"{environment}/bin/timing-mat"
    assert "demo" in run(command, "--help", folder=tmp_path)
    assert run(command, "demo", "--duration", "5", folder=tmp_path).splitlines()[-1].endswith("0 lost, 0 doubled")
    finds = (
        "from importlib.resources import files; print(*(path.name for path in files('reader.data.systemd').iterdir()))"
    )
    found = run(f"{environment}/bin/python", "-c", finds, folder=tmp_path).split()
    assert "timing-mat.service" in found
