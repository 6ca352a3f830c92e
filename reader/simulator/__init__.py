"""A mat and its readers, played over a pseudo-terminal or TCP: for training, the demo and tests.

Frames are encoded here by code of their own; nothing of ``reader.line`` is imported, so that a mistake
in a decoder can't hide behind the same mistake in the simulator.

A crossing (``race``) becomes reads (``signal``), which a reader (``ipico``, ``thingmagic``) puts into
frames, which ``play`` says over a ``line`` at the pace of the race.
"""
