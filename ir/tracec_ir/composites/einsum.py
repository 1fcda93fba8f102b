"""einsum: parsed once, then contractions of pairs in the cheapest order, each one a product."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters

import numpy as np

from .. import dims
from ..builder import Builder
from ..core import Value
from ..dims import same
from ..optable import composite
from .common import iota_along, masked
from .samples import each, of


@composite(
    autocast="half",
    samples=each(of("f2x3x4", "f2x4x2", equation="bij,bjk->bik"), of("f3x3", equation="ii->i")),
)
def einsum(b, *operands, equation):
    """Sums of products, written with a letter per dimension (`...` stands for further ones)."""
    inputs, output = _parse(equation, [v.rank for v in operands])
    terms = [_diagonals(b, v, letters) for v, letters in zip(operands, inputs, strict=True)]
    _check_sizes(terms)
    for places in _path(terms, output):
        picked = [terms.pop(i) for i in sorted(places, reverse=True)][::-1]
        value, letters = picked[0]
        for i in range(1, len(picked)):
            later = set(output).union(*(t[1] for t in (*picked[i + 1 :], *terms)))
            value, letters = _contract(b, (value, letters), picked[i], later)
        terms.append((value, letters))
    ((value, letters),) = terms
    extra = tuple(k for k, c in enumerate(letters) if c not in output)
    if extra:
        value = b.reduce(value, "sum", extra)
        letters = [c for c in letters if c in output]
    return b.permute(value, [letters.index(c) for c in output])


def _path(terms: Sequence[tuple[Value, list[str]]], output: Sequence[str]) -> list[tuple]:
    """Which terms to contract, step by step: places in the list, from which a step takes them and
    to whose end it adds its result. NumPy has opt_einsum's search for the fewest operations
    (Smith and Gray, J. Open Source Software 3(26), 753, 2018); symbolic sizes count as their hints.
    """
    every = dict.fromkeys(c for _, letters in terms for c in letters)
    if len(terms) < 3 or len(every) > len(ascii_letters):
        return [tuple(range(len(terms)))]
    name = dict(zip(every, ascii_letters))
    text = ",".join("".join(name[c] for c in letters) for _, letters in terms)
    text += "->" + "".join(name[c] for c in output)
    shapes = [np.broadcast_to(np.float32(0), [*map(dims.hint, v.shape)]) for v, _ in terms]
    how = "optimal" if len(terms) <= 5 else "greedy"
    return np.einsum_path(text, *shapes, optimize=how)[0][1:]


def _parse(equation: str, ranks: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        more = "fewer" if len(terms) > len(ranks) else "more"
        raise RuntimeError(
            f"einsum(): {more} operands were provided than specified in the equation"
        )
    for c in text.replace("->", "").replace("...", "").replace(",", ""):
        if not c.isalpha():
            raise RuntimeError(
                f"einsum(): invalid subscript given, subscripts must be in [a-zA-Z], got {c}"
            )
    spread = 0
    for term, rank in zip(terms, ranks, strict=True):
        named = len(term.replace("...", ""))
        if "..." in term:
            spread = max(spread, rank - named)
        elif named != rank:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) does not match the "
                "number of "
                f"dimensions ({rank}) for operand {terms.index(term)} and no ellipsis was given"
            )
    dots = [f"...{i}" for i in range(spread)]

    def expand(term: str, rank: int) -> list[str]:
        if "..." not in term:
            return list(term)
        before, _, after = term.partition("...")
        n = rank - len(before) - len(after)
        return [*before, *dots[spread - n :], *after]

    inputs = [expand(t, r) for t, r in zip(terms, ranks, strict=True)]
    if arrow:
        before, mark, after = right.partition("...")
        output = [*before, *(dots if mark else []), *after]
        for c in output:
            if output.count(c) > 1:
                raise RuntimeError(
                    f"einsum(): output subscript {c} appears more than once in the output"
                )
            if not c.startswith(".") and not any(c in t for t in inputs):
                raise RuntimeError(
                    f"einsum(): output subscript {c} does not appear in the equation for any "
                    "input operand"
                )
    else:
        every = [c for t in inputs for c in t]
        output = dots + sorted({c for c in every if every.count(c) == 1 and not c.startswith(".")})
    return inputs, output


def _diagonals(b: Builder, x: Value, letters: list[str]) -> tuple[Value, list[str]]:
    """x with repeated letters reduced to their diagonal."""
    out = list(letters)
    for c in dict.fromkeys(letters):
        while out.count(c) > 1:
            i = out.index(c)
            j = out.index(c, i + 1)
            if not same(x.shape[i], x.shape[j]):
                raise RuntimeError(
                    f"einsum(): subscript {c} is repeated for operand but the sizes don't match"
                )
            on = b.eq(iota_along(b, x.rank, i, x.shape[i]), iota_along(b, x.rank, j, x.shape[j]))
            x = b.reduce(masked(b, on, x), "sum", (j,))
            del out[j]
    return x, out


def _check_sizes(terms) -> None:
    sizes: dict = {}
    for i, (x, letters) in enumerate(terms):
        for c, n in zip(letters, x.shape, strict=True):
            have = sizes.setdefault(c, n)
            if have == 1:
                sizes[c] = n
            elif n != 1 and not same(have, n):
                raise RuntimeError(
                    f"einsum(): subscript {c} has size {n} for operand {i} which does not "
                    "broadcast with "
                    f"previously seen size {have}"
                )


def _contract(b: Builder, one, two, later: set) -> tuple[Value, list[str]]:
    """The product of two terms, summed over letters that nothing later needs, as one `dot`."""
    (x, lx), (y, ly) = one, two
    x, lx = _sum_alone(b, x, lx, later | set(ly))
    y, ly = _sum_alone(b, y, ly, later | set(lx))
    nx, ny = dict(zip(lx, x.shape, strict=True)), dict(zip(ly, y.shape, strict=True))
    both = [c for c in lx if c in ly]
    # letters of size 1 on one side only broadcast: they belong to the other side
    for c in [c for c in both if (nx[c] == 1) != (ny[c] == 1)]:
        if nx[c] == 1:
            x, lx = b.reduce(x, "sum", (lx.index(c),)), [k for k in lx if k != c]
        else:
            y, ly = b.reduce(y, "sum", (ly.index(c),)), [k for k in ly if k != c]
        x, lx = _sum_alone(b, x, lx, later | set(ly))
        y, ly = _sum_alone(b, y, ly, later | set(lx))
    both = [c for c in lx if c in ly]
    batch = [c for c in both if c in later]
    inner_ = [c for c in both if c not in later]
    rows, columns = [c for c in lx if c not in both], [c for c in ly if c not in both]
    nx, ny = dict(zip(lx, x.shape, strict=True)), dict(zip(ly, y.shape, strict=True))
    sizes = {**ny, **nx}

    def count(letters):
        return dims.product(sizes[c] for c in letters)

    left = b.permute(x, [lx.index(c) for c in batch + rows + inner_])
    right = b.permute(y, [ly.index(c) for c in batch + inner_ + columns])
    out = [sizes[c] for c in batch + rows + columns]
    if not inner_:  # no sum: a broadcasting product
        left = b.reshape(left, [sizes[c] for c in batch + rows] + [1] * len(columns))
        right = b.reshape(
            right, [sizes[c] for c in batch] + [1] * len(rows) + [sizes[c] for c in columns]
        )
        return b.mul(left, right), batch + rows + columns
    left = b.reshape(left, [sizes[c] for c in batch] + [count(rows), count(inner_)])
    right = b.reshape(right, [sizes[c] for c in batch] + [count(inner_), count(columns)])
    return b.reshape(b.emit1("dot", left, right), out), batch + rows + columns


def _sum_alone(b: Builder, x: Value, letters: list[str], needed: set) -> tuple[Value, list[str]]:
    alone = tuple(i for i, c in enumerate(letters) if c not in needed)
    if not alone:
        return x, letters
    return b.reduce(x, "sum", alone), [c for c in letters if c in needed]
