"""The race control side: what goes out, and how.

- ``wire``: entries and messages as topics and JSON, both ways; no port, no clock.
- ``account``: the password and the certificates.
- ``broker``: one connection to an MQTT broker; the only importer of paho.
- ``backlog``: what of each epoch is delivered, on its way, or still to send.
- ``presence``: the word about this box on its ``link`` topic.
- ``nudge``: wakes a thread out of its poll.
- ``publisher``: the loop that takes entries from the journal to the broker.
"""
