"""timing-mat: a race timing mat, from the reader's serial line to splits at race control.

The folder tells the way of a read: it comes in at ``line/``, goes through ``gate.py`` into
``journal.py``, and leaves by ``uplink/``.
"""
