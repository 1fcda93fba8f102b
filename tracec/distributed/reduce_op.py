"""How values of several processes become one: `ReduceOp`."""

from __future__ import annotations

from enum import Enum

from ..inplace import _NAMES


class ReduceOp(Enum):
    """The reductions of `all_reduce`, `reduce` and `reduce_scatter`."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8

    def __str__(self) -> str:
        return f"RedOpType.{self.name}"

    def __repr__(self) -> str:
        return f"<RedOpType.{self.name}: {self.value}>"


def check(op: ReduceOp, dtype, function: str) -> None:
    """Raises PyTorch's errors for reductions that a dtype does not have."""
    if not isinstance(op, ReduceOp):
        raise TypeError(f"{function}(): argument 'op' must be ReduceOp, not {type(op).__name__}")
    if op is ReduceOp.PREMUL_SUM:
        raise NotImplementedError("ReduceOp.PREMUL_SUM")
    bitwise = op in (ReduceOp.BAND, ReduceOp.BOR, ReduceOp.BXOR)
    if dtype.kind == "c" and op not in (ReduceOp.SUM, ReduceOp.AVG):
        raise ValueError(f"{function} does not support {op} on complex tensors")
    if bitwise and dtype.kind == "f":
        raise RuntimeError(f"Cannot use ReduceOp.{op.name} with non-integral dtype")
    if op is ReduceOp.AVG and dtype.kind not in "fc":
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {_NAMES[dtype.code]}"
        )
