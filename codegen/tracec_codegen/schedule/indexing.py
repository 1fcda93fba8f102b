"""Index maps of the movement primitives, and index arithmetic that knows the loops' ranges.

An index is a tuple of dims, one per dimension of a value, whose symbols are loop variables. Each
`*_index` function returns where an element of the result comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracec_ir import dims
from tracec_ir.dims import Dim, Poly, Sym

Index = tuple[Dim, ...]
Ranges = Mapping[str, Dim]  # loop variable -> its extent: 0 <= variable < extent


def broadcast_index(index: Index, shape: tuple[Dim, ...]) -> Index:
    """The operand's index for an element of a NumPy broadcast of `shape`."""
    tail = index[len(index) - len(shape) :]
    return tuple(0 if s == 1 else i for i, s in zip(tail, shape, strict=True))


def permute_index(index: Index, perm: Sequence[int]) -> Index:
    """The operand's index for an element of a permutation."""
    out: list[Dim] = [0] * len(perm)
    for position, axis in enumerate(perm):
        out[axis] = index[position]
    return tuple(out)


def slice_index(index: Index, starts: Sequence[Dim], steps: Sequence[int]) -> Index:
    """The operand's index for an element of a slice."""
    return tuple(i * step + start for i, start, step in zip(index, starts, steps, strict=True))


def reshape_index(
    index: Index, shape: tuple[Dim, ...], source: tuple[Dim, ...], ranges: Ranges
) -> Index:
    """The index into `source` of element `index` of its reshape to `shape`."""
    out: list[Dim] = []
    for outs, ins in aligned_groups(shape, source):
        linear = flatten([index[k] for k in outs], [shape[k] for k in outs])
        out += unflatten(linear, [source[k] for k in ins], ranges)
    return tuple(out)


def aligned_groups(a: Sequence[Dim], b: Sequence[Dim]) -> list[tuple[list[int], list[int]]]:
    """Runs of dimensions of `a` and of `b` with equal products, the shortest there are."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(a) or j < len(b):
        if i < len(a) and a[i] == 1:
            groups.append(([i], []))
            i += 1
        elif j < len(b) and b[j] == 1:
            groups.append(([], [j]))
            j += 1
        else:
            i_end, j_end = _matching_runs(a, b, i, j)
            groups.append((list(range(i, i_end)), list(range(j, j_end))))
            i, j = i_end, j_end
    return groups


def _matching_runs(a: Sequence[Dim], b: Sequence[Dim], i: int, j: int) -> tuple[int, int]:
    """The ends of the shortest runs from a[i] and b[j] on that have equal products."""
    i_end, j_end = min(i + 1, len(a)), min(j + 1, len(b))
    while True:
        size_a, size_b = dims.product(a[i:i_end]), dims.product(b[j:j_end])
        if size_a == size_b:
            return i_end, j_end
        if i_end < len(a) and (j_end == len(b) or _smaller(size_a, size_b)):
            i_end += 1
        elif j_end < len(b):
            j_end += 1
        else:
            return i_end, j_end


def _smaller(a: Dim, b: Dim) -> bool:
    """Whether a < b as far as the hints know (only steers where groups are cut)."""
    try:
        return dims.hint(a) < dims.hint(b)
    except ValueError:
        return a != b and dims.exact_div(b, a) is not None


def flatten(index: Sequence[Dim], shape: Sequence[Dim]) -> Dim:
    """The row-major position of an index."""
    linear: Dim = 0
    for i, s in zip(index, shape, strict=True):
        linear = linear * s + i
    return linear


def unflatten(linear: Dim, shape: Sequence[Dim], ranges: Ranges) -> list[Dim]:
    """The index of a row-major position."""
    out: list[Dim] = []
    for position in range(len(shape) - 1, -1, -1):
        size = shape[position]
        if size == 1:
            out.append(0)
        elif position == 0 or all(s == 1 for s in shape[:position]):
            out.append(linear)
            linear = 0
        else:
            quotient, remainder = divide(linear, size, ranges)
            out.append(remainder)
            linear = quotient
    return out[::-1]


def divide(a: Dim, b: Dim, ranges: Ranges) -> tuple[Dim, Dim]:
    """(floor(a / b), a mod b), simplified where the ranges of the loop variables allow."""
    if b == 0:
        return 0, a  # a value without elements: nothing is read
    if isinstance(a, int) and isinstance(b, int):
        return a // b, a % b
    terms: dict[tuple, int] = {(): a} if isinstance(a, int) else a.terms
    quotient: Dim = 0
    rest: Dim = 0
    for mono, coef in terms.items():
        term = dims._make({mono: coef})
        exact = dims.exact_div(term, b)
        if exact is not None:
            quotient = quotient + exact
        elif isinstance(b, int) and coef // b and mono:
            quotient = quotient + dims._make({mono: coef // b})
            rest = rest + dims._make({mono: coef % b})
        else:
            rest = rest + term
    if within(rest, b, ranges):
        return quotient, rest
    return quotient + dims.floordiv(rest, b), dims.mod(rest, b)


def within(a: Dim, size: Dim, ranges: Ranges) -> bool:
    """Whether 0 <= a < size is certain."""
    low, high = lower(a, ranges), upper(a, ranges)
    if low is None or high is None or not nonnegative(low):
        return False
    return nonnegative(size - 1 - high)


def upper(a: Dim, ranges: Ranges) -> Dim | None:
    """A dim over sizes that is at least `a`, or None."""
    return _bound(a, ranges, True)


def lower(a: Dim, ranges: Ranges) -> Dim | None:
    """A dim over sizes that is at most `a`, or None."""
    return _bound(a, ranges, False)


def _bound(a: Dim, ranges: Ranges, up: bool) -> Dim | None:
    if isinstance(a, int):
        return a
    total: Dim = 0
    for mono, coef in a.terms.items():
        term: Dim = coef
        positive = (coef > 0) == up
        for unknown in mono:
            if not isinstance(unknown, Sym):
                factor = _atom_bound(unknown, ranges, positive)
                if factor is None:
                    return None
            elif unknown.name in ranges:
                factor = ranges[unknown.name] - 1 if positive else 0
            elif unknown.name.startswith("%"):
                return None  # a data-dependent integer
            else:
                factor = Poly({(unknown,): 1})
            term = term * factor
        total = total + term
    return total


def _atom_bound(atom: dims.Atom, ranges: Ranges, up: bool) -> Dim | None:
    if not isinstance(atom.b, int) or atom.b <= 0:
        return None
    if atom.kind == "%":
        return atom.b - 1 if up else 0
    if atom.kind == "//":
        inner = _bound(atom.a, ranges, up)
        if isinstance(inner, int) and inner >= 0:
            return inner // atom.b
    return None


def nonnegative(a: Dim) -> bool:
    """Whether a dim over sizes is certainly >= 0."""
    if isinstance(a, int):
        return a >= 0
    bound = dims._lower_bound(a)
    return bound is not None and bound >= 0


def coefficient(a: Dim, var: str) -> Dim | None:
    """The factor of loop variable `var` in `a`; None if `a` is not linear in it."""
    if isinstance(a, int):
        return 0
    out: Dim = 0
    for mono, coef in a.terms.items():
        hits = [u for u in mono if isinstance(u, Sym) and u.name == var]
        if any(not isinstance(u, Sym) and mentions(u, var) for u in mono) or len(hits) > 1:
            return None
        if hits:
            rest = list(mono)
            rest.remove(hits[0])
            out = out + dims._make({tuple(rest): coef})
    return out


def mentions(unknown: dims.Atom, var: str) -> bool:
    """Whether a floor division, remainder, min or max contains `var`."""
    return any(s.name == var for s in dims.symbols(unknown.a) | dims.symbols(unknown.b))


def strided_position(index: Index, strides: Sequence[Dim], offset: Dim) -> Dim:
    """The flat position of an element of a strided view."""
    return sum((i * s for i, s in zip(index, strides, strict=True)), start=offset)
