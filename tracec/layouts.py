"""Which shapes and strides show the same elements under another shape."""

from __future__ import annotations

from tracec_ir.dims import same

from .spec import row_major


def infer_shape(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """`shape` with -1 resolved. RuntimeError with PyTorch's wording where it does not fit."""
    known, hole = 1, -1
    for i, n in enumerate(shape):
        if n == -1:
            if hole >= 0:
                raise RuntimeError("only one dimension can be inferred")
            hole = i
        elif n < 0:
            raise RuntimeError(f"invalid shape dimension {n}")
        else:
            known *= n
    if hole >= 0:
        if known == 0 and numel == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                "unspecified "
                "dimension size -1 can be any value and is ambiguous"
            )
        if known and same(numel % known, 0):
            return shape[:hole] + (numel // known,) + shape[hole + 1 :]
    if hole >= 0 or not same(known, numel):
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return shape


def view_strides(shape, strides, new) -> tuple[int, ...] | None:
    """The strides that show a layout under a new shape, or None if it must be copied.

    Dimensions are first joined into runs that advance evenly; each run must hold whole new sizes.
    """
    if 0 in shape:
        return row_major(tuple(new))
    runs: list[list[int]] = []  # [size, stride of the innermost]
    for n, st in zip(shape, strides):
        if n == 1:
            continue
        if runs and runs[-1][1] == n * st:
            runs[-1][0] *= n
            runs[-1][1] = st
        else:
            runs.append([n, st])
    out = [0] * len(new)
    i = len(new) - 1
    for size, stride in reversed(runs):
        have = 1
        while have != size:  # `have` divides `size`
            while i >= 0 and new[i] == 1:
                out[i] = stride * have
                i -= 1
            if i < 0 or size % (have * new[i]):
                return None
            out[i] = stride * have
            have *= new[i]
            i -= 1
    step = out[i + 1] * new[i + 1] if i + 1 < len(new) else 1
    while i >= 0:
        out[i] = step
        i -= 1
    return tuple(out)
