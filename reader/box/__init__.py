"""The box itself: who it is, how it is, and how its own people talk to it."""
