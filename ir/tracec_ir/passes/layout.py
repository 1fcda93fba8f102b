"""Layout: products are computed in the order of axes in which they are used.

Before: `%1 = dot(%a, %b) : f32[2 x 3]; %2 = permute(%1) [perm=(1, 0)] : f32[3 x 2]`.
After:  `%1 = permute(%b) [perm=(1, 0)]; %2 = permute(%a) [perm=(1, 0)];
%3 = dot(%1, %2) : f32[3 x 2]`, where the permutations cost nothing: a library product takes any
strides. The gradient of a linear layer's weight is such a product, and is then stored in the order
of the weight.
"""

from __future__ import annotations

from ..builder import Builder
from ..core import Func, Value


def layout(func: Func) -> Func:
    """`func` with transposed products of one use computed transposed."""
    uses: dict[Value, int] = {}
    for v in (*(x for op in func.ops for x in op.operands), *func.results):
        uses[v] = uses.get(v, 0) + 1
    b = Builder()
    env: dict[Value, Value] = {p: p for p in func.params}
    for op in func.ops:
        b.loc = op.loc
        operands = [env[v] for v in op.operands]
        dot = op.operands[0].op if op.name == "permute" else None
        if (
            dot is not None
            and dot.name == "dot"
            and uses[op.operands[0]] == 1
            and _swaps(op.attrs["perm"])
        ):
            x, y = (env[v] for v in dot.operands)
            perm = op.attrs["perm"]
            out = b.emit("dot", (b.permute(y, perm), b.permute(x, perm)))
        else:
            out = b.emit(op.name, operands, op.attrs, op.regions)
        env.update(zip(op.results, out, strict=True))
    result = b.func(func.name, func.params, [env[v] for v in func.results])
    result.guards = func.guards
    return result


def _swaps(perm: tuple[int, ...]) -> bool:
    """Whether a permutation swaps the last two axes (and moves batch axes at most)."""
    n = len(perm)
    return tuple(perm[-2:]) == (n - 1, n - 2)
