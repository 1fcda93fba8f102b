"""Random number generation: generators hold a seed and an offset into Philox's counter.

Every random op records a pure function of (seed, offset, position); the offset advances when the op
is recorded, in program order, by the number of 4-word blocks it consumes.
"""

from __future__ import annotations

from typing import Any

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_DEFAULT_SEED = 67280421310721  # PyTorch's


def _signed(n: int) -> int:
    """n as the 64-bit integer with these bits."""
    n &= _MASK
    return n - (1 << 64) if n >> 63 else n


class Generator:
    """A stream of random numbers. `generator=` of the random functions takes one."""

    def __init__(self, device: Any = "cpu"):
        from .device import resolve

        self.device = resolve(device)
        self._seed, self._offset = _DEFAULT_SEED, 0

    def manual_seed(self, seed: int) -> Generator:
        """Restarts the stream that belongs to `seed`. RuntimeError if it does not fit 64 bits."""
        seed = int(seed)
        if not -(1 << 63) <= seed <= _MASK:
            raise RuntimeError("Overflow when unpacking long long")
        self._seed, self._offset = seed & _MASK, 0
        return self

    def seed(self) -> int:
        """Restarts with a seed from the operating system; returns it."""
        import secrets

        self.manual_seed(secrets.randbits(53))
        return self._seed

    def initial_seed(self) -> int:
        """The seed the stream was started with."""
        return self._seed

    def get_state(self) -> Any:
        """The state as a uint8 tensor."""
        import numpy as np

        from .creation import _of_array

        return _of_array(np.array([self._seed, self._offset], np.uint64).view(np.uint8))

    def set_state(self, state: Any) -> Generator:
        """Continues from a state that get_state returned."""
        import numpy as np

        words = np.ascontiguousarray(state._array()).view(np.uint64)
        if words.size != 2:
            raise RuntimeError("RNG state is wrong size")
        self._seed, self._offset = int(words[0]), int(words[1])
        return self

    def get_offset(self) -> int:
        """How many blocks of four words were consumed."""
        return self._offset

    def set_offset(self, offset: int) -> Generator:
        """Continues at a block."""
        self._offset = int(offset)
        return self

    def clone_state(self) -> Generator:
        """A generator in the same state."""
        other = Generator(self.device)
        other._seed, other._offset = self._seed, self._offset
        return other

    def __reduce__(self):
        return _restore, (str(self.device), self._seed, self._offset)

    def __repr__(self) -> str:
        return f"<torch._C.Generator object at {hex(id(self))}>"


def _restore(device: str, seed: int, offset: int) -> Generator:
    g = Generator(device)
    g._seed, g._offset = seed, offset
    return g


default_generator = Generator()


def draw(blocks: int, generator: Generator | None = None) -> tuple[int, int]:
    """(seed, offset) for an op that consumes so many blocks of four words."""
    from . import record

    tr = record.current()
    while tr.nested:
        blocks = tr.drawn(blocks)
        tr = tr.outer
    if tr.symbolic:  # a script must not repeat the numbers of its translation: see jit.module
        tr.random = True
        return 0, 0
    g = generator or default_generator
    offset = g._offset
    g._offset = offset + blocks
    return _signed(g._seed), offset


def next_offset(blocks: int) -> int:
    """The offset at which an op may consume so many blocks of the default generator."""
    return draw(blocks)[1]


def manual_seed(seed: int) -> Generator:
    """Seeds the default generator."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seeds the default generator from the operating system; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """The state of the default generator as a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Continues the default generator from a state."""
    default_generator.set_state(new_state)


class fork_rng:
    """Restores the default generator at the end of a `with` block."""

    def __init__(self, devices: Any = None, enabled: bool = True, **ignored: Any):
        self.enabled = enabled

    def __enter__(self) -> None:
        self.before = (default_generator._seed, default_generator._offset)

    def __exit__(self, *exc: Any) -> None:
        if self.enabled:
            default_generator._seed, default_generator._offset = self.before
