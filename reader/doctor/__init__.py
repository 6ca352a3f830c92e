"""The doctor: all that a helper needs to know of a box, in one text file, without its secrets.

A section (:mod:`.sections`) is made by itself: one that fails or hangs says so, and the others are made
(:mod:`.letter`). What is secret is known by what it is, by where it stands, and by how it looks (:mod:`.masking`).
"""
