"""An op applied to every example of a batch, with the derivative that it states for one."""

from __future__ import annotations

from ..builder import Builder
from ..core import Func, Op, Value
from ..optable import composite
from .samples import of


def _attrs(op: Op) -> dict:
    return dict(op.attrs["options"])


def _vjp(b: Builder, op: Op, *grads: Value | None) -> list[Value | None]:
    from ..batching import vjp_of_batch

    a = op.attrs
    return vjp_of_batch(
        b, a["op"], _attrs(op), op.operands, a["batched"], grads, a["size"], a["different"]
    )


@composite(
    vjp=_vjp,
    samples=of(
        "f3x4",
        op="softmax",
        options=(("dim", 0), ("dtype", None)),
        batched=(True,),
        size=3,
        different=False,
    ),
)
def mapped(b, *xs, op, options, batched, size, different):
    """The results of `op` (with the attributes `options`) for each of `size` examples: operands
    flagged in `batched` have one axis more, in front, and so have the results. With `different`
    every example draws random numbers of its own."""
    from ..batching import Batching, example_type
    from ..expand import expansion
    from ..optable import lookup

    types = tuple(example_type(x.type) if f else x.type for x, f in zip(xs, batched, strict=True))
    body: Func = expansion(lookup(op), types, dict(options))
    t = Batching(b, size, different)
    values, on = t.inline(body, xs, batched)
    return tuple(t.every(values, on))
