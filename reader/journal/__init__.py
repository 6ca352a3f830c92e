"""The durable log: entries that are told, and the raw reads they were made of, in one SQLite file.

- ``schema``: the tables, and how a connection is opened.
- ``writer``: the one connection that writes; it belongs to the recorder.
- ``view``: connections that only read: the uplink's, the page's, an export's.
- ``aside``: journals set aside (damaged, of another race, of another box) and what is saved from them.

Nothing is told before its row is committed and synced (WAL, ``synchronous=FULL``).
"""

from reader.journal.view import Entry, EpochRow, JournalView
from reader.journal.writer import Journal

__all__ = ["Entry", "EpochRow", "Journal", "JournalView"]
