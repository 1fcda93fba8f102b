"""Storages: who owns a tensor's newest value, be it a slot of an open trace or a buffer."""

from __future__ import annotations

from sys import getrefcount

from numpy import ndarray as _Array


class Storage:
    """The memory behind a tensor and all its views.

    While `trace` is an open trace, `code` is twice the slot of the storage's newest whole value in
    it; otherwise `buf` holds the bytes. `spec` is the dense spec of the whole value, `version`
    counts in-place writes, `held` how many references the open trace itself holds, `source` is
    where gradients of the value go (`autograd.graph`).
    """

    __slots__ = ("trace", "code", "spec", "buf", "version", "held", "source", "__weakref__")

    @property
    def nbytes(self) -> int:
        return self.spec.nbytes

    def foreign(self) -> bool:
        """Whether somebody else can see the memory: an array made from it, or the array (or its
        base) that it was made from. Then values must be read, and writes land, without delay."""
        buf = self.buf
        if buf is None:
            return False
        exported = buf._flat is not None
        if exported and getrefcount(buf._flat) > 2:
            return True
        owner = buf.owner
        if owner.__class__ is _Array:
            return owner.base is not None or getrefcount(owner) > 3 + exported
        return False


_new = object.__new__


def storage(spec, buf=None) -> Storage:
    """A storage holding `buf` (contiguous, as `spec` says)."""
    s = _new(Storage)
    s.trace, s.code, s.spec, s.buf = None, 0, spec, buf
    s.version, s.held, s.source = 0, 1, None
    return s
