"""What a mat wants of its reader: one file for each profile, in the maker's terms, held against the law.

:mod:`.schema` has what a file can say, :mod:`.law` how strongly a mat may transmit, :mod:`.files` where files lie,
:mod:`.words` what the scripts of a family make of it, and back.
"""

from reader.line.profile.files import Loaded, Place, find, list_profiles, load, loads, of_reader, shipped_folder
from reader.line.profile.law import Limit, limit_of, refusals
from reader.line.profile.schema import KINDS, Antenna, Profile
from reader.line.profile.words import profile_from_values, text_from_profile, wanted

__all__ = [
    "KINDS",
    "Antenna",
    "Limit",
    "Loaded",
    "Place",
    "Profile",
    "find",
    "limit_of",
    "list_profiles",
    "load",
    "loads",
    "of_reader",
    "profile_from_values",
    "refusals",
    "shipped_folder",
    "text_from_profile",
    "wanted",
]
