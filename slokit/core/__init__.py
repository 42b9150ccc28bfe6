"""The pure core: no I/O, no clock, no randomness of its own. Time and seeds are arguments."""
