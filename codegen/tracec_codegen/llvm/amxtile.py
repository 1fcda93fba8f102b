"""What a matrix unit (Intel AMX) does to two panels: tiles, their products, and the way to C."""

from __future__ import annotations

from collections.abc import Callable

from .amxpack import (
    FLOATS,
    STEP_BYTES,
    TILE_BYTES,
    TILE_ROWS,
    UNIT,
    load_extremes,
    split_row,
    store_extremes,
)
from .text import Function, Module, Value, constant
from .tile import ACCUMULATE

BLOCK_BYTES = UNIT * UNIT * 4
JOB_ROWS = 4                           # rows of the next panel's tiles, split beside a block
JOBS = UNIT // JOB_ROWS                # that make the panel
_PITCH = UNIT * 4
# The order of the products of parts: neighbours share an operand, and 1 1 comes last.
_PRODUCTS = ((0, 2), (0, 1), (1, 1), (1, 0), (2, 0), (0, 0))


def add_tiles(module: Module) -> None:
    """Define amx_block (see `_add_block`) and what it calls."""
    for rows in (1, 2):
        for columns in (1, 2):
            _add_kernel(module, rows, columns)
    _add_kernel(module, 2, 2, job=True)
    _add_finish(module)
    _add_block(module)


def tile_call(f: Function, name: str, *operands: int | Value) -> None:
    """A tile intrinsic; ints are numbers of tiles."""
    values = [x if isinstance(x, Value) else constant("i8", x) for x in operands]
    listed = ", ".join(v.type if isinstance(x, Value) else f"{v.type} immarg"
                       for x, v in zip(operands, values, strict=True))
    f._call(f"llvm.x86.{name}", "void", values, f"declare void @llvm.x86.{name}({listed})")


def configuration(module: Module) -> Value:
    """Eight tiles of 16 rows of 64 bytes each."""
    halves = [1, *[0] * 7, *[64] * 8, *[0] * 8, *[TILE_ROWS + (TILE_ROWS << 8)] * 4, *[0] * 4]
    listed = ", ".join(f"i16 {h}" for h in halves)
    return module.add_global("amx_tiles", f"[{len(halves)} x i16]", f"[{listed}]", constant=True,
                             align=64)


_JOB = [("x", "ptr"), ("row", "i64"), ("half", "i64"), ("along", "i64"), ("parts", "ptr"),
        ("extremes", "ptr")]


def _kernel_name(rows: int, columns: int, job: bool = False) -> str:
    return f"amx_kernel_{rows}x{columns}{'_job' if job else ''}"


def _add_kernel(module: Module, rows: int, columns: int, job: bool = False) -> None:
    """The sum over a block of k of rows x columns tiles, from two panels to scratch.

    C, which comes next, is fetched meanwhile.  With a job, rows of the next panel are split: that
    costs almost nothing beside the unit's work.
    """
    f = module.function(_kernel_name(rows, columns, job), [
        ("a", "ptr"), ("b", "ptr"), ("steps", "i64"), ("to", "ptr"), ("c", "ptr"), ("ldc", "i64"),
        *_JOB], internal=True)
    a, b, steps, to, c, ldc, x, row, half, along, parts, extremes = f.parameters
    sums = {(i, j): 2 * i + j for i in range(rows) for j in range(columns)}
    for number in sums.values():
        tile_call(f, "tilezero", number)
    found = load_extremes(f, extremes) if job else []
    with f.loop(0, steps, 1, [a, b, c, x, parts, *found], guard=False) as s:
        *at, ahead, source, target = s.carried[:5]
        found = s.carried[5:]
        for _ in (0, 1):                             # C will be needed after at most 16 steps
            for j in range(columns):
                f.prefetch(f.gep(ahead, j * TILE_ROWS, "float"), write=True)
            ahead = f.gep(ahead, ldc, "float")
        held: list[int | None] = [None, None]
        for turn, pair in enumerate(_PRODUCTS):
            for side, count in enumerate((rows, columns)):
                if held[side] != pair[side]:
                    held[side] = pair[side]
                    for i in range(count):
                        where = f.gep(at[side], (2 * pair[side] + i) * TILE_BYTES, "i8")
                        tile_call(f, "tileloadd64", 4 + 2 * side + i, where,
                                   constant("i64", 64))
            for (i, j), number in sums.items():
                tile_call(f, "tdpbf16ps", number, 4 + i, 6 + j)
            if job and turn < JOB_ROWS:
                from_row = f.gep(source, f.mul(row, turn), "float")
                vectors = [f.load(FLOATS, p) for p in (from_row, f.gep(from_row, half, "float"))]
                found = split_row(f, vectors, f.gep(target, turn * 64, "i8"), found)
        s.next(*(f.gep(p, STEP_BYTES, "i8") for p in at), ahead, f.gep(source, along, "float"),
               f.gep(target, STEP_BYTES, "i8"), *found)
    if job:
        store_extremes(f, extremes, s.results[5:])
    for (i, j), number in sums.items():
        tile_call(f, "tilestored64", number, f.gep(to, TILE_ROWS * (i * _PITCH + j * 4), "i8"),
                   constant("i64", _PITCH))
    f.ret()


def _add_block(module: Module) -> None:
    """amx_block(a, b, steps, c, ldc, rows, columns, p, q, add, scratch, ..., works):
    C (+)= A @ B * p * q, with a job if it `works`."""
    f = module.function("amx_block", [
        ("a", "ptr"), ("b", "ptr"), ("steps", "i64"), ("c", "ptr"), ("ldc", "i64"),
        ("rows", "i64"), ("columns", "i64"), ("p", "float"), ("q", "float"), ("add", "i64"),
        ("scratch", "ptr"), *_JOB, ("works", "i1")], internal=True)
    a, b, steps, c, ldc, rows, columns, p, q, add, scratch, *beside, works = f.parameters
    tall, wide, busy = (f.cast("zext", x, "i64") for x in (
        f.icmp("sgt", rows, TILE_ROWS), f.icmp("sgt", columns, TILE_ROWS), works))

    def call(name: str) -> Callable[[], object]:
        return lambda: f.call(name, "void", a, b, steps, scratch, c, ldc, *beside)

    cases = {2 * i + j: call(_kernel_name(i + 1, j + 1)) for i in (0, 1) for j in (0, 1)}
    cases[7] = call(_kernel_name(2, 2, job=True))
    f.switch(f.or_(f.or_(f.shl(tall, 1), wide), f.shl(busy, 2)), cases)
    # One factor large, one small: together they are within range, where one alone may overflow.
    opposite = f.xor(f.fcmp("ogt", p, 1.0), f.fcmp("ogt", q, 1.0))
    p, q = (f.select(opposite, f.fmul(p, q), p), f.select(opposite, constant("float", 1.0), q))
    f.call("amx_finish", "void", scratch, c, ldc, rows, columns, p, q,
           f.icmp("ne", f.and_(add, ACCUMULATE), 0))
    f.ret()


def _add_finish(module: Module) -> None:
    """amx_finish(from, c, ldc, rows, columns, p, q, adds): C (+)= scratch * p * q."""
    f = module.function("amx_finish", [
        ("from", "ptr"), ("c", "ptr"), ("ldc", "i64"), ("rows", "i64"), ("columns", "i64"),
        ("p", "float"), ("q", "float"), ("adds", "i1")], internal=True)
    source, c, ldc, rows, columns, p, q, adds = f.parameters
    vector = f"<{TILE_ROWS} x float>"
    ps, qs = f.splat(p, TILE_ROWS), f.splat(q, TILE_ROWS)
    masks = [f.lane_mask(f.sub(columns, j), TILE_ROWS) for j in (0, TILE_ROWS)]

    def write(old: bool, full: bool) -> None:
        with f.loop(0, rows, 1, [source, c], guard=False) as i:
            at, to = i.carried
            for j, mask in enumerate(masks):
                v = f.load(vector, f.gep(at, j * TILE_ROWS, "float"), 64)
                v = f.fmul(f.fmul(v, ps), qs)
                where = f.gep(to, j * TILE_ROWS, "float")
                if old:
                    v = f.fadd(f.masked_load(vector, where, None if full else mask), v)
                f.masked_store(v, where, None if full else mask)
            i.next(f.gep(at, _PITCH, "i8"), f.gep(to, ldc, "float"))

    def either(full: bool) -> Callable[[], object]:
        return lambda: f.branch(adds, lambda: write(True, full), lambda: write(False, full))

    f.branch(f.icmp("eq", columns, UNIT), either(True), either(False))
    f.ret()
