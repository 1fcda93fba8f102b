"""C identifiers for the names of a kernel."""

from __future__ import annotations

import re

_TAKEN = frozenset(
    """
    alignas alignof and asm auto bitand bitor bool break case catch char class compl const constexpr
    continue decltype default delete do double else enum error explicit export extern false final
    float for friend goto if inline int long mutable namespace new noexcept not nullptr operator or
    private protected public register return scratch shared short signed sizeof static struct switch
    tc template this throw true try typedef typeid typename union unsigned using virtual void
    volatile while xor area threadIdx blockIdx blockDim gridDim warpSize dynamic_shared TC
    """.split()
)


class Names:
    """A C identifier for every kernel name: `%12` is v12, `_i3` is i3."""

    def __init__(self, kernel_name: str) -> None:
        self._of: dict[str, str] = {}
        self._used = {kernel_name, *_TAKEN}

    def __call__(self, name: str) -> str:
        found = self._of.get(name)
        if found is None:
            base = re.sub(r"\W", "", name).lstrip("_")
            base = base if base and not base[0].isdigit() else "v" + base
            found, n = base, 1
            while found in self._used:
                n += 1
                found = f"{base}_{n}"
            self._used.add(found)
            self._of[name] = found
        return found
