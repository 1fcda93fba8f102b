"""Capturing a function: it runs once, on tensors without values, into a trace of its own.

The trace of a `Capture` is a path of a trie like any other, so a function that does the same again
walks known edges. Tensors of the trace outside (and of those outside of that) become operands the
first time that they are used. The path is lifted into an IR function; what a transform makes of it
is recorded outside as one call. That call is ordinary IR: it fuses with what is around it, is
differentiated by ordinary autograd, and may stand in another captured function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import _getframe
from typing import Any

from tracec_ir.builder import Builder
from tracec_ir.core import Func, Value

from .. import record
from ..autograd.edges import call_segment, has_history
from ..lift import Lift
from ..plan import tensor_of
from ..record import Flush, Node, Trace, code_of
from ..spec import Spec, dense
from ..storage import Storage, storage

Tensor = record.Tensor


class Hole:
    """An operand that is not known when the function is captured: the cotangent of a `vjp`."""

    __slots__ = ("index",)

    def __init__(self, index: int):
        self.index = index


class Call:
    """A transformed function as `edges.call_segment` records it."""

    __slots__ = ("func", "types")

    def __init__(self, func: Func):
        self.func = func
        self.types = [v.type for v in func.results]

    def emit(self, b: Builder, args: list[Value]) -> tuple[Value, ...]:
        return b.inline(self.func, args)


class Captured:
    """What a capture has recorded up to some moment: the path, and the operands of its inputs."""

    __slots__ = ("node", "operands", "batched", "scalars", "size", "different")

    def __init__(self, c: Capture):
        self.node, self.operands = c.node, tuple(c.operands)
        self.batched, self.scalars = tuple(c.batched), tuple(c.scalars)
        self.size, self.different = c.size, c.randomness == "different"

    def transformed(self, codes: tuple[int, ...], key: Any, make: Callable[[Func], Any]) -> Any:
        """What `make` makes of the function that returns these codes, remembered under `key`."""
        plans = self.node.plans
        found = plans.get((codes, key))
        if found is None:
            found = plans[codes, key] = make(lifted(self.node, codes))
        return found

    def call(self, codes: tuple[int, ...]) -> Call:
        """The function as it is, returning these codes."""
        return self.transformed(codes, "call", Call)

    def arguments(self, holes: Sequence[Tensor] = ()) -> tuple:
        """The operands of calls of the function."""
        filled = [holes[x.index] if isinstance(x, Hole) else x for x in self.operands]
        return (*filled, *self.scalars)


class Capture(Trace):
    """The open trace while a transformed function runs: `with Capture(): ...`.

    `operands` are the tensors outside that the trace's inputs stand for. Under `vmap` there are
    `size` examples, `batched` tells which inputs differ between them, and `randomness` what random
    functions do.
    """

    __slots__ = (
        "outer", "operands", "batched", "size", "randomness", "adopted", "written", "holder",
        "differentiates",
    )  # fmt: skip
    nested = True

    def __init__(
        self, size: int | None = None, randomness: str = "same", differentiates: bool = True
    ):
        self.holder = record._local.h
        self.outer: Any = self.holder.trace
        grad = differentiates or self.outer.grad
        super().__init__(record._root(self.holder.mode, True), grad, self.holder.thread)
        self.operands: list[Any] = []
        self.batched: list[bool] = []
        self.size, self.randomness, self.differentiates = size, randomness, differentiates
        self.adopted: dict[Any, int] = {}
        self.written: dict[Storage, tuple] = {}  # storages outside, with what they were

    def __enter__(self) -> Capture:
        self.holder.trace = self
        return self

    def __exit__(self, *exc: object) -> None:
        for st, (trace, code, held, _) in self.written.items():
            st.trace, st.code, st.held = trace, code, held
        self.results = None  # type: ignore[assignment]
        outer = self.outer
        if outer.results is None:  # another thread has executed it
            outer = Trace(record._root(self.holder.mode), outer.grad, outer.thread)
        self.holder.trace = outer

    # -- inputs -----------------------------------------------------------------------------------
    def _input(self, spec: Spec, operand: Any, source: Storage, batched: bool) -> int:
        """The code of a new input."""
        node = self.node.children.get(spec)
        if node is None:
            node = record._child(self, spec, "in", "", (), None)
            node.code, node.spec = node.next, spec
            node.next += 2
            node.grow()
        self.node = node
        self.inputs.append(source)
        self.operands.append(operand)
        self.batched.append(batched)
        return node.code

    def given(self, operand: Any, shape: Sequence[int], spec: Spec, rg: int) -> Tensor:
        """A tensor without value, of this shape and else like `spec`, for `operand` outside (which
        has an axis more in front if its shape is another)."""
        inner = dense(spec.dtype, tuple(shape), spec.device)
        st = storage(inner)
        batched = isinstance(operand, Tensor) and len(operand.shape) > len(inner.shape)
        st.code = self._input(inner, operand, st, batched)
        st.trace = self
        t = tensor_of(st, rg if inner.dtype.kind in "fc" else 0)
        return t

    def adopt(self, x: Tensor) -> int:
        """The operand code of a tensor from outside."""
        rg = connected(x) if self.grad else 0
        key = (x._st, x._spec, rg)
        code = self.adopted.get(key)
        if code is None:
            _alive(x._st, self)
            spec = x._spec
            inner = dense(spec.dtype, tuple(spec.shape), spec.device)
            source = x._st if x._leaf is not None else storage(inner)
            code = self.adopted[key] = self._input(inner, x if rg else x.detach(), source, False)
        return code + rg

    def adopt_whole(self, st: Storage) -> int:
        """Makes a storage from outside, which is about to be written, one of this trace; it gets
        its new value when the function has been run."""
        _alive(st, self)
        rg = int(st.source is not None or has_history(st))
        code = self._input(st.spec, tensor_of(st, rg), st, False)
        self.written[st] = (st.trace, st.code, st.held, code)
        st.trace, st.code = self, code
        return code

    def drawn(self, blocks: int) -> int:
        """How many blocks of random numbers the function takes where one example takes `blocks`."""
        if self.size is None or self.randomness == "same":
            return blocks
        if self.randomness == "error":
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use "
                "the 'same' or 'different' randomness flags on vmap or perform the randomness "
                "operation out of vmap"
            )
        return blocks * self.size

    # -- results ----------------------------------------------------------------------------------
    def code(self, x: Tensor) -> int:
        """The code of a result, with its gradient bit."""
        was, self.grad = self.grad, True
        try:
            return code_of(self, x)
        finally:
            self.grad = was

    def writes(self) -> list[tuple[Storage, int]]:
        """Storages from outside that the function wrote, with the codes of their new values."""
        return [
            (st, st.code + int(has_history(st)))
            for st, (_, _, _, before) in self.written.items()
            if st.code != before
        ]

    # -- values -----------------------------------------------------------------------------------
    def refuse(self, reason: Flush) -> None:
        """Nothing is executed here; that matters to those only who want a value."""
        if reason in (Flush.VALUE, Flush.DATA, Flush.CONTEXT):
            raise RuntimeError(f"not possible in a transformed function: {reason.value}")

    def value(self, x: Tensor, reason: Flush, every: bool = False) -> Any:
        """The array of a tensor of this trace, computed from the operands. RuntimeError with
        PyTorch's wording if examples may differ in it, unless `every`: that asks for all of them,
        which lie along axes in front."""
        from .batching import batched_call

        if self.results is None:
            record.flush_foreign(self)
        h = self.holder
        inner, h.trace = h.trace, self
        try:
            codes = (self.code(x),)
        finally:
            h.trace = inner
        captured = Captured(self)
        if self.size is None:
            call = captured.call(codes)
        else:
            call, on = batched_call(captured, codes)
            if on[0] and not every:
                raise _dependent(reason)
        if any(isinstance(o, Hole) for o in self.operands):
            raise RuntimeError("the value of a tensor depends on a cotangent that is not known yet")
        swapped = {st: (st.trace, st.code, st.held) for st in self.written}
        for st, (trace, code, held, _) in self.written.items():
            st.trace, st.code, st.held = trace, code, held
        h.trace = self.outer
        try:
            result = call_segment(call, captured.arguments(), (0,))[0]
            if every and self.outer.nested:
                return self.outer.value(result, reason, True)
            return result._array(reason)
        finally:
            self.outer, h.trace = h.trace, inner
            for st, (trace, code, held) in swapped.items():
                if st.trace is not self.written[st][0]:
                    self.written[st] = (st.trace, st.code, st.held, self.written[st][3])
                st.trace, st.code, st.held = trace, code, held


def _alive(st: Storage, tr: Capture) -> None:
    """RuntimeError unless the storage is in memory, or in a trace around `tr`."""
    owner = st.trace
    if owner is not None and owner.nested and owner.results is None:
        record.flush_foreign(owner)


def connected(x: Tensor) -> int:
    """Whether gradients flow to a tensor."""
    return 1 if x._rg or (x._base is not None and x._base._rg) else 0


def lifted(node: Node, codes: tuple[int, ...]) -> Func:
    """The path to `node` as an IR function that returns the values of these codes."""
    lift = Lift(node)
    results = [lift.operand(c) for c in codes]
    return lift.b.func("captured", lift.params, results)


def gradient_bits(operands: Sequence[Any], codes: Sequence[int]) -> tuple[int, ...]:
    """Which results of a call are differentiable outside: those that are inside, if any operand
    is."""
    on = record.current().grad and any(isinstance(x, Tensor) and connected(x) for x in operands)
    return tuple([code & 1 if on else 0 for code in codes])


def write_back(written: Sequence[tuple[Storage, int]], values: Sequence[Tensor]) -> None:
    """Gives storages that a captured function wrote their new values."""
    tr = record.current()
    for (st, code), value in zip(written, values, strict=True):
        was, tr.grad = tr.grad, bool(tr.grad and code & 1)
        try:
            record.assign(tensor_of(st, code & 1 if tr.grad else 0), value, computed=True)
        finally:
            record.current().grad = was


def _dependent(reason: Flush) -> RuntimeError:
    """What is said to those who want a value that differs between examples."""
    callers = set()
    frame: Any = _getframe(2)
    for _ in range(5):
        if frame is not None:
            callers.add(frame.f_code.co_name)
            frame = frame.f_back
    if reason is Flush.DATA and not callers & {"getitem", "setitem", "index_put_"}:
        return RuntimeError(
            "vmap: We do not support batching operators that can output dynamic shape. Attempted "
            "to vmap over an operator whose result's shape depends on data. Please file an issue "
            "at https://github.com/pytorch/pytorch/issues if you need this feature."
        )
    if reason is Flush.DATA:
        return RuntimeError(
            "vmap: We do not support batching operators that can support dynamic shape. Attempting "
            "to batch over indexing with a boolean mask."
        )
    if "__bool__" in callers:
        return RuntimeError(
            "vmap: It looks like you're attempting to use a Tensor in some data-dependent control "
            "flow. We don't support that yet, please file an issue at "
            "https://github.com/pytorch/pytorch/issues ."
        )
    if "item" in callers:
        return RuntimeError(
            "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over "
            "calling .item() on a Tensor, please try to rewrite what you're doing with other "
            "operations. If error is occurring somewhere inside PyTorch internals, please file a "
            "bug report."
        )
    return RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")
