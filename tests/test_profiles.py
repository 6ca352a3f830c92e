"""What a profile may say, how strongly it lets a mat transmit, and those that ship with the program."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.errors import ConfigError
from reader.line import profile
from reader.line.profile.agreement import POWER_RANGES_DBM
from reader.line.profile.channels import GRIDS
from reader.line.profile.law import LIMITS
from reader.line.profile.schema import KINDS, A0Profile, M100Profile, ThingMagicProfile, UhfReaderProfile
from reader.line.profile.words import UNITS
from reader.line.protocols import FAMILIES, Family

ROOT = Path(__file__).parents[1]
READERS = ROOT / "firmware_config" / "readers"
SHIPPED = sorted(path.stem for path in READERS.glob("*.toml"))

NANO = """
family = "thingmagic"
says = "a test"
region = "na2"
[[antenna]]
port = 1
power_dbm = 27
gain_dbi = 6
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        profile.loads(text, "test.toml")
    return caught.value.problems


def a_text(family: str, power_dbm: float, gain_dbi: float, *lines: str, loss_db: float = 0.0) -> str:
    head = [f'family = "{family}"', 'says = "a test"', *lines]
    antenna = [
        "[[antenna]]",
        "port = 1",
        f"power_dbm = {power_dbm}",
        f"gain_dbi = {gain_dbi}",
        f"cable_loss_db = {loss_db}",
    ]
    return "\n".join([*head, *antenna]) + "\n"


# ---- those that ship -------------------------------------------------------------------------------------


def test_each_family_ships_for_two_laws_and_for_start_and_finish() -> None:
    loaded = [profile.load(profile.find(name)).profile for name in SHIPPED]
    for family in KINDS:
        kinds = {(LIMITS[family, one.region or ""].rule[:4], one.use) for one in loaded if one.family == family}
        assert kinds == {("FCC ", "finish"), ("FCC ", "start"), ("ETSI", "finish"), ("ETSI", "start")}
    assert "m6e-nano-fcc" in SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_is_lawful_and_says_why_of_every_key(name: str) -> None:
    path = READERS / f"{name}.toml"
    loaded = profile.load(profile.find(name))
    assert loaded.path == path
    assert profile.refusals(loaded.profile) == []
    keys = [line for line in path.read_text().splitlines() if "=" in line.split("#")[0]]
    unexplained = [line for line in keys if not re.search(r"\S {2,}# \S|\S # \S", line) and not line.startswith("says")]
    assert unexplained == []
    # All of what the family can be told is decided, not left to chance.
    left_out = {key for key in loaded.profile.__struct_fields__ if getattr(loaded.profile, key) is None}
    assert left_out == {"max_eirp_dbm", "model", "firmware"}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_asks_for_what_its_family_knows(name: str) -> None:
    loaded = profile.load(profile.find(name))
    module = import_module(f"reader.line.protocols.{loaded.profile.family}")
    known = {setting.key for setting in module.SETTINGS} | module.ON_START
    assert set(loaded.wanted().values) <= known


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.name in KINDS])
def test_a_profile_can_ask_for_each_baud_of_its_family_and_no_other(family: Family) -> None:
    kinds = msgspec.inspect.type_info(KINDS[family.name])
    assert isinstance(kinds, msgspec.inspect.StructType)
    (baud,) = (field.type for field in kinds.fields if field.name == "baud")
    assert isinstance(baud, msgspec.inspect.UnionType)
    (choice,) = (
        one.type if isinstance(one, msgspec.inspect.Metadata) else one
        for one in baud.types
        if not isinstance(one, msgspec.inspect.NoneType)
    )
    assert isinstance(choice, msgspec.inspect.LiteralType)
    assert set(choice.values) == set(family.bauds)


def test_a_start_reads_a_crowd_and_a_finish_is_the_same_but_for_that() -> None:
    for name in SHIPPED:
        if not name.endswith("-start"):
            continue
        start = msgspec.to_builtins(profile.load(profile.find(name)).profile)
        finish = msgspec.to_builtins(profile.load(profile.find(name.removesuffix("-start"))).profile)
        assert start["session"] == finish["session"], "the last read on a start mat wants chips that go on answering"
        assert {key for key in start if start[key] != finish[key]} <= {"says", "use", "q", "encoding"}


# ---- finding them ----------------------------------------------------------------------------------------


def test_a_profile_beside_the_configuration_stands_before_a_shipped_one(tmp_path: Path) -> None:
    folder = tmp_path / "readers"
    folder.mkdir()
    (folder / "m6e-nano-fcc.toml").write_text(NANO)
    (folder / "ours.toml").write_text(NANO)
    assert profile.find("m6e-nano-fcc", tmp_path).path == folder / "m6e-nano-fcc.toml"
    assert profile.find("m6e-nano-fcc").path == READERS / "m6e-nano-fcc.toml"
    names = [place.name for place in profile.list_profiles(tmp_path)]
    assert names == sorted({*SHIPPED, "ours"})


def test_a_path_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    assert profile.find(str(path)) == ("mine", path)
    assert profile.find("mine.toml").path == Path("mine.toml")
    with pytest.raises(ConfigError, match="does not exist"):
        profile.load(profile.find(str(path)))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean m6e-nano-fcc") as caught:
        profile.find("m6e-nano-fc")
    assert str(READERS) in str(caught.value)


def test_in_the_wheel_they_lie_where_they_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "reader"
    folder = package / "data" / "firmware_config" / "readers"
    folder.mkdir(parents=True)
    (folder / "only.toml").write_text(NANO)
    monkeypatch.setattr("importlib.resources.files", lambda _: package)
    assert [place.name for place in profile.list_profiles()] == ["only"]


# ---- mistakes --------------------------------------------------------------------------------------------


def test_every_mistake_is_told_at_once_by_its_full_key() -> None:
    text = """
family = "thingmagic"
says = "a test"
region = "fcc"
session = 4
every_reads = true
q = 4
[[antenna]]
port = 1
power_dbm = "27"
gain_dbi = nan
[[antenna]]
port = 0
"""
    found = problems_of(text)
    keys = {problem.split(":")[0] for problem in found}
    assert keys == {
        "region", "session", "every_reads", "q", "antenna[0].power_dbm", "antenna[0].gain_dbi", "antenna[1].port",
        "antenna[1].power_dbm", "antenna[1].gain_dbi",
    }  # fmt: skip
    assert any('did you mean "every_read"' in problem for problem in found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "family: missing"),
        ('family = "thing magic"', 'did you mean "thingmagic"'),
        ("family = 3", "family: found int"),
        ("family = ", "this is no TOML"),
        ('family = "a0"', "antenna: missing"),
        ('family = "a0"\nantenna = []\nsays = "x"', "antenna: found a list of 0, expected at least one table"),
        (a_text("a0", 20.5, 6), "antenna[0].power_dbm: found 20.5, expected whole dBm"),
        (a_text("a0", 34, 6), "expected 0 to 33 for a0"),
        (a_text("m100", 27, 6), "expected -10 to 26 for m100"),
        (a_text("thingmagic", 31.6, 0), "expected -10 to 31.5 for thingmagic"),
        (a_text("a0", 20, 6, 'region = "fcc"'), "region: found without first_channel and last_channel"),
        (a_text("a0", 20, 6, 'region = "fcc"', "first_channel = 6", "last_channel = 59"), "found 6, expected 7 to 59"),
        (a_text("a0", 20, 6, 'region = "etsi"', "first_channel = 1", "last_channel = 5"), "more than 4 above"),
        (a_text("a0", 20, 6, 'region = "etsi"', "first_channel = 6", "last_channel = 0"), "at most last_channel"),
        (a_text("uhfreader", 20, 6, 'region = "us"', "first_channel = 0", "last_channel = 50"), "expected 0 to 49"),
        (a_text("m100", 20, 6, "session = 0"), "session: found without target and q"),
        (NANO + "[[antenna]]\nport = 1\npower_dbm = 1\ngain_dbi = 1\n", "which antenna[0] has already"),
        (a_text("m100", 20, 6).replace("port = 1", "port = 2"), "this family has one antenna"),
    ],
)  # fmt: skip
def test_a_mistake_says_what_was_found_and_what_is_expected(text: str, says: str) -> None:
    assert any(says in problem for problem in problems_of(text)), problems_of(text)


# ---- the law ---------------------------------------------------------------------------------------------

FCC_A0 = ('region = "fcc"', "first_channel = 7", "last_channel = 59")
ETSI_A0 = ('region = "etsi"', "first_channel = 0", "last_channel = 6")

# Family, lines, loss, gain; the highest power allowed, by hand.
HIGHEST = [
    ("thingmagic", ('region = "na"',), 0.0, 6.0, 30.0),  # 1 W into 6 dBi
    ("thingmagic", ('region = "na2"',), 0.0, 3.0, 30.0),  # no more than 1 W, however little the gain
    ("thingmagic", ('region = "na3"',), 0.0, 8.5, 27.5),  # 2.5 over 6 dBi: 2.5 less
    ("thingmagic", ('region = "na"',), 1.5, 9.0, 28.5),  # 36 - 9 + 1.5
    ("thingmagic", ('region = "eu3"',), 0.0, 6.0, 29.15),  # 33 + 2.15 - 6
    ("thingmagic", ('region = "eu3"',), 1.5, 6.0, 30.65),  # 33 + 2.15 - 6 + 1.5
    ("thingmagic", ('region = "eu4"',), 0.0, 8.0, 30.15),  # 36 + 2.15 - 8
    ("thingmagic", ('region = "jp"',), 0.0, 8.0, 28.0),
    ("thingmagic", ('region = "prc"',), 0.0, 8.0, 27.15),
    ("thingmagic", ('region = "th"', "max_eirp_dbm = 30"), 1.0, 6.0, 25.0),
    ("thingmagic", ('region = "na"', "max_eirp_dbm = 30"), 1.0, 6.0, 25.0),  # one's own limit, if it is less
    ("thingmagic", ('region = "na"', "max_eirp_dbm = 40"), 0.0, 8.0, 28.0),  # never more than the law's
    ("thingmagic", ("max_eirp_dbm = 30",), 1.0, 6.0, 25.0),  # without a region
    ("a0", FCC_A0, 0.0, 7.5, 28.0),  # whole dBm
    ("a0", ETSI_A0, 0.0, 6.0, 29.0),
    ("a0", ('region = "chn"', "first_channel = 43", "last_channel = 53"), 0.0, 6.0, 29.0),
    ("a0", ('region = "fcc"', "first_channel = 8", "last_channel = 40"), 0.0, 6.0, 24.0),  # 33 channels: a quarter watt
    ("m100", ('region = "us"',), 0.0, 12.0, 24.0),
    ("m100", ('region = "eu"',), 0.0, 10.0, 25.15),
    ("uhfreader", ('region = "us"', "first_channel = 0", "last_channel = 49"), 0.0, 6.0, 30.0),
    ("uhfreader", ('region = "us3"', "first_channel = 0", "last_channel = 52"), 0.0, 6.0, 30.0),
    ("uhfreader", ('region = "eu3"', "first_channel = 0", "last_channel = 3"), 0.0, 6.0, 29.0),
    ("uhfreader", ('region = "korea"', "first_channel = 0", "last_channel = 18"), 0.0, 6.0, 30.0),
]


@pytest.mark.parametrize(("family", "lines", "loss_db", "gain_dbi", "highest_dbm"), HIGHEST)
def test_the_highest_power_is_allowed_and_the_next_step_is_not(
    family: str, lines: tuple[str, ...], loss_db: float, gain_dbi: float, highest_dbm: float
) -> None:
    step = 1 if family in ("a0", "uhfreader") else 0.01
    profile.loads(a_text(family, highest_dbm, gain_dbi, *lines, loss_db=loss_db), "x.toml")
    (problem,) = problems_of(a_text(family, round(highest_dbm + step, 2), gain_dbi, *lines, loss_db=loss_db))
    assert problem.startswith("antenna[0].power_dbm: antenna 1 would have ")
    assert problem.endswith(f"at most power_dbm = {highest_dbm:g}")


def test_a_refusal_says_the_sum_the_limit_and_the_rule() -> None:
    (problem,) = problems_of(a_text("thingmagic", 30, 8.5, 'region = "eu3"', loss_db=1))
    assert "35.35 dBm ERP (30 - 1 + 8.5 - 2.15), the limit is 33 dBm ERP by ETSI EN 302 208" in problem
    (problem,) = problems_of(a_text("thingmagic", 31, 2, 'region = "na"'))
    assert "31 dBm conducted, the limit is 30 dBm conducted by FCC 47 CFR 15.247" in problem
    (problem,) = problems_of(a_text("a0", 20, 20, *ETSI_A0))
    assert problem.endswith("at most power_dbm = 15")
    (problem,) = problems_of(a_text("a0", 0, 20, *ETSI_A0, "max_eirp_dbm = 10"))
    assert problem.endswith("no power of this reader is low enough")


def test_every_antenna_is_held_against_the_law() -> None:
    second = "[[antenna]]\nport = 4\npower_dbm = 30\ngain_dbi = 9\n"
    (problem,) = problems_of(NANO + second)
    assert problem.startswith("antenna[1].power_dbm: antenna 4 would have 39.00 dBm EIRP")


@pytest.mark.parametrize("region", ["th", "eu2", "nz", "tw"])
def test_a_region_without_a_row_is_refused(region: str) -> None:
    (problem,) = problems_of(a_text("thingmagic", 1, 0, f'region = "{region}"'))
    assert problem == f'region: no limit is known here for region "{region}": give max_eirp_dbm in the profile'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (a_text("uhfreader", 10, 6, 'region = "korea"', "first_channel = 0", "last_channel = 31"), "outside the band"),
        (a_text("uhfreader", 10, 6, 'region = "us"', "first_channel = 0", "last_channel = 10"), "11 channels to hop"),
        (a_text("a0", 10, 6, 'region = "fcc"', "first_channel = 8", "last_channel = 20"), "13 channels to hop"),
        (a_text("m100", 10, 6, 'region = "us"', "hopping = false"), "asks for hopping"),
    ],
)
def test_channels_are_the_laws_business_too(text: str, says: str) -> None:
    assert any(says in problem for problem in problems_of(text))


def test_every_region_of_the_table_can_be_said_and_its_channels_lie_in_its_band() -> None:
    for family, region in LIMITS:
        assert f'"{region}"' in msgspec.json.encode(msgspec.json.schema(KINDS[family])).decode(), (family, region)
    for (family, region), grid in GRIDS.items():
        if (family, region) in LIMITS and region != "korea":  # of which the upper channels are not for this
            limit = LIMITS[family, region]
            assert limit.low_mhz <= grid.mhz(grid.first) <= grid.mhz(grid.last) <= limit.high_mhz, (family, region)


# ---- for the family's scripts, and back ------------------------------------------------------------------


def test_what_the_scripts_want_is_flat_and_in_their_terms() -> None:
    second = "[[antenna]]\nport = 2\npower_dbm = 20\ngain_dbi = 6\n"
    assert profile.wanted(profile.loads(NANO + second, "x.toml")) == {
        "region": "na2",
        "antennas": (1, 2),
        "power_dbm": {1: 27.0, 2: 20.0},
    }
    a0 = a_text("a0", 20, 6, *FCC_A0, 'link = "D1"', "session = 1", 'target = "B"', "return_loss_threshold_db = 3")
    assert profile.wanted(profile.loads(a0, "x.toml")) == {
        "band": ("fcc", 7, 59),
        "antennas": (1,),
        "power_dbm": {1: 20.0},
        "link": "D1",
        "return_loss_threshold_db": 3,
        "session": 1,
        "target": "B",
    }
    m100 = a_text(
        "m100", 20, 6, 'region = "us"', "session = 0", 'target = "A"', "q = 4", "hopping = true", "baud = 9600"
    )
    assert profile.wanted(profile.loads(m100, "x.toml")) == {
        "region": "us",
        "antennas": (1,),
        "power_dbm": {1: 20.0},
        "query": (0, "A", 4),
        "hopping": True,
        "baud": 9600,
    }


@st.composite
def profiles(draw: st.DrawFn) -> profile.Profile:
    """Any that can be read from a file, lawful or not."""
    family = draw(st.sampled_from(sorted(KINDS)))
    least, most = POWER_RANGES_DBM[family]
    ports = [1] if family == "m100" else draw(st.lists(st.integers(1, 16), min_size=1, max_size=4, unique=True))
    whole = st.integers(int(least), int(most)).map(float)
    power = (
        whole
        if family in ("a0", "uhfreader")
        else st.integers(int(least * 100), int(most * 100)).map(lambda n: n / 100)
    )
    antennas = tuple(
        profile.Antenna(
            port=port,
            power_dbm=draw(power),
            cable_loss_db=draw(st.floats(0, 30)),
            gain_dbi=draw(st.floats(-30, 20)),
        )
        for port in ports
    )
    common: dict[str, Any] = {
        "family": family,
        "says": draw(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)),
        "use": draw(st.sampled_from(["start", "finish", "split", "any", None])),
        "max_eirp_dbm": draw(st.none() | st.floats(-10, 40)),
        "model": draw(st.sampled_from([None, "M6e Nano"])),
        "firmware": draw(st.sampled_from([None, "1.9.1"])),
        "antennas": antennas,
    }
    session = draw(st.none() | st.integers(0, 3))
    q = draw(st.none() | st.integers(0, 15))
    baud: Any = draw(st.sampled_from([None, 9600, 115200]))
    if family == "thingmagic":
        return ThingMagicProfile(
            **common,
            region=draw(st.sampled_from([None, "na2", "eu3", "th"])),
            session=session,
            q=None if q is None else str(q),
            blf_khz=draw(st.sampled_from([None, 250, 640])),
            every_read=draw(st.sampled_from([None, True, False])),
            baud=baud,
        )
    if family == "m100":
        rest: dict[str, Any] = {} if session is None else {"session": session, "target": "A", "q": q or 0}
        return M100Profile(**common, **rest, hopping=draw(st.sampled_from([None, True, False])), baud=baud)
    region = draw(st.sampled_from(sorted(region for name, region in GRIDS if name == family)))
    grid = GRIDS[family, region]
    band: dict[str, Any] = {"region": region, "first_channel": grid.first, "last_channel": grid.last}
    if family == "a0":
        return A0Profile(**common, **band, session=session, link=draw(st.sampled_from([None, "D3"])), baud=baud)
    return UhfReaderProfile(
        **common,
        **band,
        session=draw(st.sampled_from([None, "0", "auto"])),
        q=q,
        scan_time_ms=draw(st.none() | st.integers(3, 255).map(lambda n: n * 100)),
        baud=baud,
    )


@given(profiles())
def test_a_profile_written_and_read_is_the_same(made: profile.Profile) -> None:
    text = profile.text_from_profile(made, ["a note"])
    if refusals := profile.refusals(made):
        assert problems_of(text) == refusals
    else:
        assert profile.loads(text, "x.toml") == made
    unexplained = [
        line for line in text.splitlines() if "=" in line and "  # " not in line and not line.startswith("says")
    ]
    assert unexplained == []


@given(profiles())
def test_what_a_reader_tells_makes_the_profile_again(made: profile.Profile) -> None:
    told = profile.wanted(made)
    found, notes = profile.profile_from_values(made.family, told, made.says, like=made)
    assert (found, notes) == (made if list(made.antennas) == sorted(made.antennas, key=lambda a: a.port) else found, [])
    assert profile.wanted(found) == told


def test_what_a_reader_does_not_tell_comes_from_the_profile_that_it_is_like() -> None:
    lines = (*FCC_A0, "session = 1", 'target = "A"', 'use = "start"')
    like = profile.loads(a_text("a0", 20, 5, *lines, loss_db=2), "x.toml")
    told: dict[str, object] = {"band": ("etsi", 0, 6), "power_dbm": {1: 15, 2: 15, 3: 15, 4: 15}, "link": "D1"}
    found, notes = profile.profile_from_values("a0", told, "found", (1, 2, 3, 4), like, {"session", "target"})
    assert notes == []
    assert isinstance(found, A0Profile)
    assert (found.region, found.session, found.use, found.link) == ("etsi", 1, "start", "D1")
    assert found.antennas == (profile.Antenna(port=1, power_dbm=15, cable_loss_db=2, gain_dbi=5),)


def test_what_no_profile_can_say_is_left_out_and_told() -> None:
    told: dict[str, object] = {"region": "open", "power_dbm": {1: 20.0}, "antennas": (1,), "tari": 3, "blf_khz": 320}
    found, notes = profile.profile_from_values("thingmagic", told, "found")
    assert profile.wanted(found) == {"antennas": (1,), "power_dbm": {1: 20.0}, "blf_khz": 320}
    assert any(note.startswith("left out: tari") for note in notes)
    assert any(note.startswith("left out: region") for note in notes)
    assert any(note.startswith("antenna 1: the loss and the gain") for note in notes)
    with pytest.raises(ValueError, match="does not tell its power"):
        profile.profile_from_values("thingmagic", {"region": "na"}, "found")


def test_every_key_has_its_unit_or_meaning() -> None:
    keys = {field.encode_name for kind in (*KINDS.values(), profile.Antenna) for field in msgspec.structs.fields(kind)}
    assert keys - set(UNITS) == {"says", "antenna"}


# ---- the Pi ----------------------------------------------------------------------------------------------


def test_each_line_for_the_pi_is_explained() -> None:
    folder = ROOT / "firmware_config" / "raspberrypi"
    explained = (folder / "README.md").read_text()
    lines = [line.split("#")[0].strip() for line in (folder / "config.txt").read_text().splitlines()]
    said = [line for line in lines if line and not line.startswith("[")]
    assert len(said) >= 5
    assert [line for line in said if f"`{line}`" not in explained] == []
