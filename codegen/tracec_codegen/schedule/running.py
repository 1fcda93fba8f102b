"""Sums of matrix products: each further product is added to the sum by the library, in place.

A gradient of a weight that is used at every step of a sequence is such a sum; as kernels, the
products would all wait in memory to be added up at the end.
"""

from __future__ import annotations

from tracec_ir.core import Func, Op, Value


def running_sums(func: Func, library: set[Op]) -> dict[Op, tuple[Value, Op]]:
    """By addition: the sum so far and the product that is added, where nothing else reads either.
    `library` are the products that the library computes."""
    uses: dict[Value, int] = {}
    for op in func.ops:
        for x in op.operands:
            uses[x] = uses.get(x, 0) + 1
    for v in func.results:
        uses[v] = uses.get(v, 0) + 1
    position = {op: n for n, op in enumerate(func.ops)}
    out: dict[Op, tuple[Value, Op]] = {}
    for op in func.ops:
        if op.name != "add":
            continue
        a, b = op.operands
        terms = [x.op for x in (a, b) if x.op is not None and uses[x] == 1]
        if a is b or len(terms) < 2 or not all(t in library or t in out for t in terms):
            continue
        terms.sort(key=lambda t: (t not in out, position[t]))
        first, last = terms
        if last in library:
            out[op] = (first.result, last)
    return out
