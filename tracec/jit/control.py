"""Control flow on data: branches and loops that become regions of the IR.

Both ways of a branch are evaluated, each in its region; what differs afterwards becomes a result of
the `if`. A loop's body is first evaluated for trial, to learn which variables change and into what.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..nn import Module
from ..record import apply
from ..storage import Storage
from ..tensor import Tensor
from .calls import is_own
from .carried import Carried
from .errors import ScriptError
from .functions import DynamicRange
from .joined import Joined
from .merge import Cannot, copied
from .statements import BREAK, CONTINUE, LoopEnd, Raised, Rest, Return, Signal, Statements
from .values import Number, Undefined, tensor_of, tensors_in

TRIALS = 20


@dataclass
class Outcome:
    """How one way of a branch ended."""

    signal: Signal
    env: dict[str, Any]
    codes: dict[int, int]  # id of a tensor -> its code there
    written: dict[Storage, int]


class Evaluator(Statements):
    """The whole evaluator."""

    def evaluate(self, fn: Callable, values: Mapping[str, Any]) -> Any:
        """The result of a function or bound method on these values."""
        owner, method = getattr(fn, "__self__", None), getattr(fn, "__func__", None)
        if isinstance(owner, Module) and is_own(owner):  # the framework's: nothing to translate
            return fn(**self.settle_all(dict(values), owner))
        if method is None:
            return self._inline(fn, [], dict(values), None)
        return self._inline(method, [owner], dict(values), None)

    # -- branches ----------------------------------------------------------------------------------
    def branch(self, truth: Tensor, node: ast.If, rest: Rest) -> Signal:
        """An `if` on data. If a way leaves early, what follows the `if` becomes part of both."""
        leaves_early = _jumps([*node.body, *node.orelse])

        def way(body: list[ast.stmt]) -> Callable[[], Signal]:
            def run() -> Signal:
                signal = self.block(body, rest)
                if not leaves_early:
                    return signal
                if signal is None:
                    return rest()
                if signal in (BREAK, CONTINUE):
                    loop = self.loops[-1]
                    return loop.on_break() if signal == BREAK else loop.on_continue()
                return signal

            return run

        return self.two_ways(truth, way(node.body), way(node.orelse), node)

    def choose(self, truth: Tensor, node: ast.IfExp) -> Any:
        """A conditional expression on data."""
        signal = self.two_ways(
            truth,
            lambda: Return(self.expr(node.body)),
            lambda: Return(self.expr(node.orelse)),
            node,
        )
        return signal.value  # type: ignore[union-attr]

    def two_ways(
        self,
        truth: Tensor,
        first: Callable[[], Signal],
        second: Callable[[], Signal],
        node: ast.AST,
    ) -> Signal:
        """Evaluates both ways in regions; afterwards the variables hold the chosen way's values."""
        tr, frame = self.tr, self.frame
        condition = tr.code(truth) & ~1
        before = frame.locals
        scope = tr.enter("if", (condition,))
        ways, tails = [], []
        for way, tail in ((first, "next"), (second, "close")):
            frame.locals = copied(before)
            try:
                signal = way()
            except Raised as raised:
                raise ScriptError(
                    "raising depends on data here, which a saved model cannot do; compute a result "
                    "with torch.where, or check the inputs before calling it",
                    self.frame.source,
                    raised.node,
                ) from None
            env = frame.locals
            reachable = (
                tensors_in(env)
                + tensors_in(_content(signal))
                + _numbers_in([env, _content(signal)])
            )
            codes = {id(t): tr.code(t) & ~1 for t in reachable}
            ways.append(Outcome(signal, env, codes, scope.written()))
            tails.append(tr.append(tail))
            scope.rewind()
        frame.locals = before
        return self._merge(ways, tails, node)

    def _merge(self, ways: list[Outcome], tails: list, node: ast.AST) -> Signal:
        joined = Joined(ways[0].codes, ways[1].codes)
        a, b = ways
        env: dict[str, Any] = {}
        for name in [*a.env, *(n for n in b.env if n not in a.env)]:
            env[name] = joined.variable(name, a.env, b.env)
        try:
            signal = _join_signals(a.signal, b.signal, joined)
        except Cannot as problem:
            message = f"the two ways of this `if` do not fit together: {problem}"
            raise self.size_error(message, problem.sizes, node) from None
        storages = list(dict.fromkeys([*a.written, *b.written]))
        for st in storages:
            old = st.code
            joined.pairs.append((a.written.get(st, old), b.written.get(st, old), st.spec.type))
        tails[0].operands = tuple(p[0] for p in joined.pairs)
        tails[1].operands = tuple(p[1] for p in joined.pairs)
        outputs = self.tr.outputs(tails[1], [p[2] for p in joined.pairs])
        count = len(outputs) - len(storages)
        for st, out in zip(storages, outputs[count:], strict=True):
            self.tr.replace(st, out._st.code)
        self.frame.locals = {k: joined.filled(v, outputs) for k, v in env.items()}
        return joined.filled_signal(signal, outputs)

    # -- loops -------------------------------------------------------------------------------------
    def dynamic_loop(self, node: ast.While, rest: Rest, broke: Any = None) -> Signal:
        return self._loop(node, lambda: self.value(node.test), lambda: None, broke)

    def counted_loop(
        self, items: DynamicRange, node: ast.For, rest: Rest, broke: Any = None
    ) -> Signal:
        if not isinstance(items.step, int) or items.step == 0:
            raise self.error(
                "the step of a range must be a number known while scripting", node.iter
            )
        index = f".index{node.lineno}"
        stop = items.stop
        self.frame.locals[index] = items.start
        compare = ast.Lt() if items.step > 0 else ast.Gt()

        def test() -> Any:
            return self._compared(compare, self.frame.locals[index], stop)

        def advance() -> None:
            now = self.frame.locals[index]
            self.assign(node.target, now)
            self.frame.locals[index] = self.binary("+", operator.add, now, items.step)

        signal = self._loop(node, test, advance, broke)
        self.frame.locals.pop(index)
        return signal

    def rows_loop(self, items: Tensor, node: ast.For, rest: Rest) -> Signal:
        index = f".row{node.lineno}"
        self.frame.locals[index] = 0

        def test() -> Any:
            return self._compared(ast.Lt(), self.frame.locals[index], items.shape[0])

        def advance() -> None:
            now = self.frame.locals[index]
            self.assign(node.target, items[self.tensor_index(now)])
            self.frame.locals[index] = self.binary("+", operator.add, now, 1)

        signal = self._loop(node, test, advance)
        self.frame.locals.pop(index)
        return signal

    def _loop(
        self,
        node: ast.While | ast.For,
        test: Callable[[], Any],
        advance: Callable[[], None],
        broke: Any = None,
    ) -> Signal:
        """A loop whose number of turns depends on data; `broke` says whether a turn before it has
        already left it."""
        if node.orelse:
            raise self.error(
                "`else` after a loop on data is not supported in script", node.orelse[0]
            )
        carried = self._learn(node, test, advance, broke is not None)
        tr, frame = self.tr, self.frame
        start = copied(frame.locals)
        initial = [carried.value(frame.locals, slot) for slot in carried.slots]
        operands = [tr.code(t) & ~1 for t in initial] + [st.code for st in carried.storages]
        if carried.breaks:
            going = tensor_of(True) if broke is None else apply("logical_not", (tensor_of(broke),))
            operands.append(tr.code(going) & ~1)
        scope = tr.enter("while", tuple(operands))
        alive = self._enter_region(carried, start)
        truth = self.truth(test(), node)
        truth = tensor_of(truth) if isinstance(truth, bool) else truth
        if alive is not None:
            truth = apply("logical_and", (alive, truth))
        tr.append("next", operands=(tr.code(truth) & ~1,))
        scope.rewind()
        self._enter_region(carried, start)
        signal = self._turn(node, advance)
        ends = [tr.code(carried.value(frame.locals, slot)) & ~1 for slot in carried.slots]
        ends += [st.code for st in carried.storages]
        if carried.breaks:
            broke = signal.broke if isinstance(signal, LoopEnd) else False
            go_on = apply("logical_not", (tensor_of(broke),))
            ends.append(tr.code(go_on) & ~1)
        only_inside = set(frame.locals) - set(start)
        close = tr.append("close", operands=tuple(ends))
        scope.rewind()
        outputs = tr.outputs(close, carried.types())
        frame.locals = start
        carried.put(frame.locals, outputs)
        for st, out in zip(carried.storages, outputs[len(carried.slots) :]):
            tr.replace(st, out._st.code)
        for name in only_inside:
            frame.locals[name] = Undefined(
                "it is assigned only inside a loop that may not run at all"
            )
        return None

    def _enter_region(self, carried: Carried, start: dict[str, Any]) -> Tensor | None:
        """Makes the carried values those of the open region; returns the flag that breaks clear."""
        tr = self.tr
        self.frame.locals = copied(start)
        tensors = [tr.placeholder("carried", t) for t in carried.types()]
        carried.put(self.frame.locals, tensors)
        for st, t in zip(carried.storages, tensors[len(carried.slots) :]):
            tr.replace(st, t._st.code)
        return tensors[-1] if carried.breaks else None

    def _turn(self, node: ast.While | ast.For, advance: Callable[[], None]) -> Signal:
        """One evaluation of the body."""
        outer = self.loops
        self.loops = (*outer, Loop(lambda: LoopEnd(True), lambda: LoopEnd(False)))
        try:
            advance()
            signal = self.block(node.body, lambda: LoopEnd(False))
        except Raised as raised:
            raise ScriptError(
                "raising inside a loop that depends on data is not supported in script",
                self.frame.source, raised.node,
            ) from None  # fmt: skip
        finally:
            self.loops = outer
        if isinstance(signal, Return):
            raise self.error(
                "`return` inside a loop whose length depends on data is not supported in script; "
                "set a variable, `break`, and return after the loop",
                node,
            )
        return LoopEnd(True) if signal == BREAK else signal

    def _learn(
        self,
        node: ast.While | ast.For,
        test: Callable[[], Any],
        advance: Callable[[], None],
        breaks: bool,
    ) -> Carried:
        """What the loop carries from turn to turn, found by evaluating the body for trial."""
        frame, tr = self.frame, self.tr
        start = copied(frame.locals)
        carried = Carried(start)
        for _ in range(TRIALS):
            scope = tr.enter("trial", ())
            self._enter_region(carried, start)
            self.truth(test(), node)
            signal = self._turn(node, advance)
            carried.breaks = breaks or isinstance(signal, LoopEnd) and signal.broke is not False
            written = scope.written()
            changed = carried.learn(
                start,
                frame.locals,
                written,
                lambda text, sizes=(): self.size_error(text, sizes, node),
            )
            tr.append("close")
            scope.rewind()
            if not changed:
                break
        else:
            raise self.error("the types of this loop's variables do not settle", node)
        frame.locals = start
        return carried


@dataclass(frozen=True, slots=True)
class Loop:
    """The innermost loop: what `break` and `continue` in a branch on data lead to."""

    on_break: Callable[[], Signal]
    on_continue: Callable[[], Signal]


def _content(signal: Signal) -> Any:
    if isinstance(signal, Return):
        return signal.value
    return signal.broke if isinstance(signal, LoopEnd) else None


def _numbers_in(value: Any) -> list[Tensor]:
    """The tensors inside run-time numbers."""
    if isinstance(value, Number):
        return [value.tensor]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in _numbers_in(v)]
    if isinstance(value, dict):
        return [t for v in value.values() for t in _numbers_in(v)]
    return []


def _join_signals(a: Signal, b: Signal, joined: Joined) -> Signal:
    if isinstance(a, Return) and isinstance(b, Return):
        return Return(joined.value(a.value, b.value))
    if isinstance(a, LoopEnd) and isinstance(b, LoopEnd):
        return LoopEnd(joined.value(a.broke, b.broke))
    if a == b:
        return a
    if isinstance(a, Return) or isinstance(b, Return):
        raise Cannot(
            "one of them returns from inside a loop whose length depends on data; set a variable, "
            "`break`, and return after the loop"
        )
    raise Cannot("they leave in different ways")


def _jumps(body: list[ast.stmt], in_loop: bool = False) -> bool:
    """Whether statements may return, or break or continue a loop around them."""
    for stmt in body:
        if (
            isinstance(stmt, ast.Return)
            or not in_loop
            and isinstance(stmt, (ast.Break, ast.Continue))
        ):
            return True
        inner = in_loop or isinstance(stmt, (ast.For, ast.While))
        for part in ("body", "orelse"):
            nested = getattr(stmt, part, None)
            if (
                isinstance(nested, list)
                and not isinstance(stmt, ast.FunctionDef)
                and _jumps(nested, inner)
            ):
                return True
    return False
