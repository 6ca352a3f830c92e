"""Race control's database, the only one here that knows SQL: what is in it stands in `tables`."""

from reader.racecontrol.store.crossings import News
from reader.racecontrol.store.crossings_file import CrossingsFile
from reader.racecontrol.store.wishes import is_done, wish
from reader.racecontrol.store.writer import Batch, LostRow, MatRow, Store, WishRow

__all__ = ["Batch", "CrossingsFile", "LostRow", "MatRow", "News", "Store", "WishRow", "is_done", "wish"]
