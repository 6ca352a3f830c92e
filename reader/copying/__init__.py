"""The second copy of the log, on a USB stick: JSON lines that any program can read, should the card die.

::

    {stick}/timing-mat/{box}-{event}-{point}-{mat}/{epoch}.jsonl         every entry, as it is told
                                                   {epoch}.reads.jsonl   every raw read, as `regate` takes it

- ``lines``: what stands in them. ``files``: a file that is appended to, and what is whole in it.
- ``sticks``: where there is one.  ``copier``: the thread that follows the journal.
- ``reading``: what was copied, read back.
"""
