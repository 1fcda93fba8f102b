"""Lifting: a path of the trace trie becomes an IR function."""

from __future__ import annotations

from tracec_ir import autodiff, dims
from tracec_ir.builder import Builder
from tracec_ir.core import Op, Value
from tracec_ir.types import ScalarType, TensorType

from .record import Node
from .spec import row_major


class Lift:
    """The IR of one trace: `b` holds the operations, `env` the value of every code (even codes).

    `inputs` and `scalars` are the parameters in the order in which the trace imports storages and
    meets Python numbers.
    """

    def __init__(self, node: Node):
        self.b = Builder()
        self.env: dict[int, Value] = {}
        self.connected: set[int] = (
            set()
        )  # codes of values with a gradient history, and of its sources
        self.inputs: list[Value] = []
        self.scalars: list[Value] = []
        self.path = node.path()
        for n in self.path:  # gradients reach leaves too, but only through codes that say so
            if n.kind == "backward":
                self.connected.update(code & ~1 for code in n.info.targets)
            else:
                self.connected.update(code & ~1 for code in n.operands if code & 1)
        for n in self.path:
            self.b.loc = n.loc
            getattr(self, "_" + n.kind)(n)

    @property
    def params(self) -> list[Value]:
        return self.inputs + self.scalars

    def operand(self, code: int) -> Value:
        """The value behind an operand code; its gradient is cut where the code says so."""
        base = code & ~1
        value = self.env[base]
        if not code & 1 and base in self.connected:
            return self.b.emit("detach", (value,))[0]
        return value

    def _bind(self, n: Node, values) -> None:
        outs = n.outs or ((n.code, n.spec, n.rg),)
        for (code, _, rg), value in zip(outs, values, strict=True):
            self.env[code] = value
            if rg:
                self.connected.add(code)

    def _in(self, n: Node) -> None:
        value = Value(n.spec.type, name=f"x{len(self.inputs)}")
        self.inputs.append(value)
        self.env[n.code] = value

    def _operands(self, n: Node) -> list[Value]:
        numbers = list(n.info or ())
        operands = []
        for code in n.operands:
            if code & ~1 not in self.env:  # a Python number: its slot comes into being here
                value = Value(numbers.pop(0), name=f"s{len(self.scalars)}")
                self.scalars.append(value)
                self.env[code] = value
            operands.append(self.operand(code))
        return operands

    def _mode(self, n: Node) -> None:
        """What it means stands in the nodes below."""

    def _op(self, n: Node) -> None:
        operands = self._operands(n)
        if n.casts is not None:
            operands = [
                v if to is None else self.b.cast(v, to)
                for v, to in zip(operands, n.casts, strict=True)
            ]
        out = self.b.apply(n.name, operands, dict(n.attrs or ()))
        self._bind(n, [self._separate(n, self._as_tensor(v)) for v in out])

    def _separate(self, n: Node, v: Value) -> Value:
        """`v` under an identity of its own if it became a leaf: another result may be the same
        value (a clone is its operand, equal operations are merged)."""
        outs = n.outs or ((n.code, n.spec, n.rg),)
        leaf = not n.rg and any(code in self.connected for code, _, _ in outs)
        return self._own(v) if leaf else v

    def _as_tensor(self, v: Value) -> Value:
        if isinstance(v.type, ScalarType):
            from tracec_ir.promote import scalar_dtype

            return self.b.cast(v, scalar_dtype(v.dtype))
        return v

    def _view(self, n: Node) -> None:
        base = self.operand(n.operands[0])
        self._bind(n, [read_view(self.b, base, n.attrs)])

    def _laid(self, n: Node) -> None:
        memory, leaf = (self.operand(c) for c in n.operands)
        self._bind(n, [write_view(self.b, memory, leaf, n.attrs)])

    def _assign(self, n: Node) -> None:
        code = n.operands[1]
        value = self.operand(code)
        if n.name == "keep":
            self._bind(n, self.b.apply("keep_history", (value, self.env[n.operands[0] & ~1])))
            return
        # without history it gets a value of its own: a leaf written under no_grad is a new source
        self._bind(n, [value if code & 1 else self._own(value)])

    def _assign_many(self, n: Node) -> None:
        half = len(n.operands) // 2
        self._bind(n, [self._own(self.operand(c)) for c in n.operands[half:]])

    def _pin(self, n: Node) -> None:
        self._bind(n, [self.operand(n.operands[0])])

    def _cut(self, n: Node) -> None:
        self._bind(n, [self._own(self.operand(n.operands[0]))])

    def _own(self, value: Value) -> Value:
        """`value` under an identity that nothing shares."""
        op = Op("detach", (value,), {}, (value.type,), loc=self.b.loc)
        op.order = len(self.b.ops)
        self.b.ops.append(op)
        return op.result

    def _write(self, n: Node) -> None:
        base, value = (self.operand(c) for c in n.operands)
        written = write_view(self.b, base, value, n.attrs)
        if n.name == "keep":
            (written,) = self.b.apply("keep_history", (written, base))
        self._bind(n, [written])

    def _backward(self, n: Node) -> None:
        info = n.info
        outputs = [self.env[c & ~1] for c in info.roots]
        seeds = [
            self.b.full(1, out.dtype, out.shape) if c is None else self.operand(c)
            for c, out in zip(info.seeds, outputs, strict=True)
        ]
        targets = [self.env[c] for c in info.targets]
        stops = [self.env[c] for c in info.targets if c not in info.through]
        grads = autodiff.grad(self.b, outputs, seeds, targets, stops)
        out = []
        for target, g in zip(targets, grads, strict=True):
            out.append(self.b.zeros_like(target) if g is None else g)
        self._bind(n, out)

    def _segment(self, n: Node) -> None:
        values = n.attrs.emit(self.b, self._operands(n))
        if values:  # none where nothing reached a gradient source
            self._bind(n, values)


def read_view(b: Builder, base: Value, spec) -> Value:
    """The elements of `base` (a whole storage) that `spec` addresses."""
    if tuple(spec.shape) == tuple(base.shape) and spec.strides == row_major(tuple(base.shape)):
        if spec.offset == 0 and spec.dtype is base.dtype:
            return base
    if spec.dtype is not base.dtype:
        base = reinterpreted(b, base, spec.dtype)
    attrs = {"shape": tuple(spec.shape), "strides": tuple(spec.strides), "offset": spec.offset}
    return b.emit("strided", (base,), attrs)[0]


def write_view(b: Builder, base: Value, value: Value, spec) -> Value:
    """`base` with the elements that `spec` addresses replaced by `value`."""
    attrs = {"shape": tuple(spec.shape), "strides": tuple(spec.strides), "offset": spec.offset}
    if spec.dtype is base.dtype:
        return b.emit("write", (base, value), attrs)[0]
    flat = reinterpreted(b, base, spec.dtype)
    written = b.emit("write", (flat, value), attrs)[0]
    return b.reshape(reinterpreted(b, written, base.dtype), tuple(base.shape))


def reinterpreted(b: Builder, x: Value, dtype) -> Value:
    """The memory of `x` as a row of elements of another dtype. Between complex numbers and their
    parts gradients flow; elsewhere bits are copied."""
    n = dims.product(x.shape)
    flat = b.reshape(x, (n,))
    if x.dtype.kind == "c" and x.dtype.to_real() is dtype:
        return b.reshape(b.apply("as_parts", (flat,))[0], (2 * n,))
    if dtype.kind == "c" and dtype.to_real() is x.dtype:
        return b.apply("from_parts", (b.reshape(flat, (n // 2, 2)),))[0]
    if dtype.bits == x.dtype.bits and "b" not in (dtype.kind, x.dtype.kind):
        return b.emit("bitcast", (flat,), {"dtype": dtype})[0]
    return b.emit("host", (flat,), {"fn": "reinterpret", "options": (dtype,)})[0]


def is_tensor(v: Value) -> bool:
    return isinstance(v.type, TensorType)
