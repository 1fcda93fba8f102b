"""Buffers, plans, caches, the executor and the .tcm archive; knows nothing of `tracec`."""
