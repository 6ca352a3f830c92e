"""The mark that keeps a box from being shut down while it races."""

from __future__ import annotations

from pathlib import Path

from reader.box.racing import RacingMark


def test_it_is_there_in_race_and_gone_otherwise(tmp_path: Path) -> None:
    mark, file = RacingMark(tmp_path / "control.sock"), tmp_path / "control.sock.racing"
    for is_racing in (True, True, False, False, True):
        mark.note(is_racing=is_racing)
        assert file.exists() is is_racing


def test_one_that_somebody_removed_is_set_again(tmp_path: Path) -> None:
    mark, file = RacingMark(tmp_path / "control.sock"), tmp_path / "control.sock.racing"
    mark.note(is_racing=True)
    file.unlink()
    mark.note(is_racing=True)
    assert file.exists()


def test_where_it_can_not_be_set_nothing_else_happens(tmp_path: Path) -> None:
    RacingMark(tmp_path / "no such folder" / "control.sock").note(is_racing=True)


def test_the_units_look_where_the_daemon_sets_it() -> None:
    systemd = Path(__file__).parents[2] / "systemd"
    set_at = "/run/timing-mat/control.sock.racing"
    assert f"PathExists={set_at}\n" in (systemd / "timing-mat-inhibit.path").read_text()
    assert f"[ -e {set_at} ]" in (systemd / "timing-mat-inhibit.service").read_text()
