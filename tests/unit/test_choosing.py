"""Which profile is right for the reader, for the law of the place, for what the mat is for; none is guessed."""

from __future__ import annotations

from typing import get_args

import pytest

from reader.line import profile
from reader.line.profile.choosing import fitting, law_of, laws_of, ports_of
from reader.model import Use

SHIPPED = [profile.load(place) for place in profile.list_profiles()]


def of_family(family: str) -> list[profile.Loaded]:
    return [loaded for loaded in SHIPPED if loaded.profile.family == family]


def names(found: list[profile.Loaded]) -> list[str]:
    return [loaded.name for loaded in found]


@pytest.mark.parametrize("loaded", SHIPPED, ids=lambda loaded: loaded.name)
def test_the_law_of_a_profile_is_the_one_in_its_name(loaded: profile.Loaded) -> None:
    assert law_of(loaded) in loaded.name.split("-")


def test_the_laws_are_told_with_where_they_hold_and_their_band() -> None:
    assert laws_of(of_family("a0")) == {
        "etsi": "Europe: 865 to 868 MHz (ETSI EN 302 208, lower band)",
        "fcc": "United States, Canada: 902 to 928 MHz (FCC 47 CFR 15.247)",
    }
    assert laws_of(of_family("ipico")) == {}


@pytest.mark.parametrize("use", get_args(Use))
@pytest.mark.parametrize("law", ["etsi", "fcc"])
@pytest.mark.parametrize("family", ["a0", "m100", "uhfreader"])
def test_one_is_right_for_each_family_law_and_use(family: str, law: str, use: Use) -> None:
    start = "-start" if use in ("start", "start-finish") else ""
    assert names(fitting(of_family(family), law, use, (1, 2, 3, 4))) == [f"{family}-{law}{start}"]


def test_the_reader_with_as_many_antennas_goes_first_and_where_none_is_sure_all_are_named() -> None:
    known = of_family("thingmagic")
    assert names(fitting(known, "fcc", "finish", (1,))) == ["m6e-nano-fcc"]
    assert names(fitting(known, "fcc", "finish", (4, 3, 2, 1))) == ["m6e-fcc-4-antennas"]
    for unsure in ((), (1, 2)):
        assert names(fitting(known, "fcc", "finish", unsure)) == ["m6e-fcc-4-antennas", "m6e-nano-fcc"]
    assert fitting(known, "japan", "finish", (1,)) == []


def test_the_ports_are_those_of_its_antennas() -> None:
    (four,) = [loaded for loaded in SHIPPED if loaded.name == "m6e-fcc-4-antennas"]
    assert ports_of(four) == (1, 2, 3, 4)
