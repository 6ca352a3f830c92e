"""The starters' file, as spreadsheets and people write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reader.errors import ConfigError
from reader.racecontrol.starters import STATUSES, Runner, Starters, load_starters


def starters_of(tmp_path: Path, text: str | bytes) -> Starters:
    path = tmp_path / "starters.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_starters(path)


@pytest.mark.parametrize(
    "text",
    [
        "chip,bib,status\n05a0,17,started\n05A1,17,\n05A2,18,dnf\n",
        "05a0,17,started\n05A1,17\n05A2,18,DNF\n",
        "\ufeffBib;Name;Status;Chip\r\n17;Ann;Started;05a0\r\n17;Ann;;05A1\r\n18;Bob; did  not finish ;05A2\r\n",
        "chip\tbib\tstatus\n05a0\t17\tstarted\n\n05A1\t17\t\n05A2\t18\twithdrawn\n",
        'chip,bib,status,club\n05a0,"17",started,"one, two"\n05A1,17,started,\n05A2,18,waived,\n',
    ],
    ids=["plain", "no header", "a spreadsheet's", "tabs", "quotes"],
)
def test_it_is_read_as_a_spreadsheet_writes_it(tmp_path: Path, text: str) -> None:
    assert starters_of(tmp_path, text) == {
        "17": Runner(("05A0", "05A1"), "started"),
        "18": Runner(("05A2",), "out"),
    }


def test_without_a_status_everyone_is_only_listed(tmp_path: Path) -> None:
    assert starters_of(tmp_path, "chip,bib\n05A0,17\n") == {"17": Runner(("05A0",), "listed")}


@pytest.mark.parametrize("word", [word for word in STATUSES if word])
def test_a_status_is_read_however_it_is_written(tmp_path: Path, word: str) -> None:
    assert starters_of(tmp_path, f"chip,bib,status\n05A0,17, {word.upper()} \n")["17"].status == STATUSES[word]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("chip,bib,status\n05A0,17,lost\n", 'line 2: found status "lost", expected one of: started, start, running'),
        ("chip,bib,status\n058,17,\n", 'line 2: found chip "058", expected hexadecimal digits'),
        ("chip,bib,status\n05A0,,\n", 'line 2: found bib "", expected 1 to 32 characters'),
        ("chip,bib,status\n05A0\n", 'line 2: found "05A0", expected chip,bib with a comma between'),
        ("chip,bib,status\n05A0,17,\n05A0,18,\n", 'line 3: found chip 05A0 with bib "18", but it has bib "17" already'),
        (
            "chip,bib,status\n05A0,17,started\n05A1,17,\n05A2,17,dnf\n",
            'line 4: found bib "17" out, but an earlier line says started, expected one status for a bib',
        ),
        ("chip,bib,status\n", "found no starter, expected a line chip,bib,status for each chip"),
        ("", "found no starter"),
        ("bib,name\n17,Ann\n", 'line 1: found the header "bib,name", expected chip and bib in it'),
        (b"chip,bib,status\n05A0,\xff,\n", "line 2: found byte 0xff, expected UTF-8"),
        ('05A0,"17\n', "line 1: not CSV"),
        ("chip,bib,status\n" + "x,1,\n" * 12, "and 2 more"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        starters_of(tmp_path, text)
    assert says in str(wrong.value)
    assert str(wrong.value).startswith(f"{tmp_path / 'starters.csv'}:")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the file does not exist"):
        load_starters(tmp_path / "starters.csv")
