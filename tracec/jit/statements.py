"""The evaluator of statements whose course is known while scripting; see `control.py`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tracec_ir import dims
from tracec_ir.dims import Poly

from ..tensor import Tensor
from .calls import Calls
from .errors import ORDINARY, ScriptError
from .evaluate import Expressions, Located, located, spoken
from .functions import DynamicRange
from .operators import BINARY, INPLACE, Relation
from .recording import Recording
from .values import Number

UNROLL_LIMIT = 10_000
NEST_LIMIT = 24  # turns after a `break` on data that may become nested branches


@dataclass(frozen=True, slots=True)
class Return:
    """The function is left with this value."""

    value: Any


@dataclass(frozen=True, slots=True)
class LoopEnd:
    """A turn of a loop on data is over; `broke` says whether the loop is left (maybe on data)."""

    broke: Any


BREAK, CONTINUE = "break", "continue"
Signal = Return | LoopEnd | str | None
Rest = Callable[[], Signal]


class Raised(Exception):
    """A `raise` was reached: `error` is what the user's code raises."""

    def __init__(self, error: Exception, node: ast.AST):
        self.error, self.node = error, node


def _turn_ends() -> Signal:
    return LoopEnd(False)


def _returns(body: list[ast.stmt]) -> bool:
    """Whether a statement among these returns from the function."""
    return any(
        isinstance(n, ast.Return)
        for s in body
        if not isinstance(s, ast.FunctionDef)
        for n in ast.walk(s)
    )


def _end_of_function() -> Signal:
    return Return(None)


class Statements(Calls):
    """Evaluates statements; a method `do_*` per kind of node.

    `rest` stands for everything that follows a statement in its function or loop body: a branch on
    data that leaves early makes it part of both branches.
    """

    def __init__(self, tr: Recording):
        self.tr = tr
        self.frame: Any = None
        self.active: list[Any] = []
        self.loops: tuple[Any, ...] = ()

    def run_function(self, body: list[ast.stmt]) -> Any:
        loops, self.loops = self.loops, ()
        try:
            signal = self.block(body, _end_of_function)
        finally:
            self.loops = loops
        return signal.value if isinstance(signal, Return) else None

    def outside(self, loops: tuple[Any, ...], run: Rest) -> Signal:
        """Runs what comes later in the function, where the loops around are these."""
        inner, self.loops = self.loops, loops
        try:
            return run()
        finally:
            self.loops = inner

    def block(self, body: list[ast.stmt], rest: Rest) -> Signal:
        """Runs statements; None if the end is reached (then `rest` has not been run)."""
        for i, stmt in enumerate(body):
            following = body[i + 1 :]

            def after(following: list[ast.stmt] = following, loops: Any = self.loops) -> Signal:
                def run() -> Signal:
                    signal = self.block(following, rest)
                    return signal if signal is not None else rest()

                return self.outside(loops, run)

            method = getattr(self, "do_" + type(stmt).__name__, None)
            if method is None:
                raise self.error(f"{spoken(stmt)} is not supported in script", stmt)
            outer = self.tr.place
            self.tr.place = (self.frame.source, stmt)
            try:
                signal = method(stmt, after)
            except ScriptError as error:
                if error.located:
                    raise
                raise ScriptError(error.message, self.frame.source, stmt) from error
            except ORDINARY as error:
                if isinstance(error, Located):
                    raise
                raise located(error, self.frame.source, stmt) from error
            finally:
                self.tr.place = outer
            if signal is not None:
                return signal
        return None

    # -- simple statements -------------------------------------------------------------------------
    def do_Expr(self, node: ast.Expr, rest: Rest) -> Signal:
        self.expr(node.value)
        return None

    def do_Pass(self, node: ast.Pass, rest: Rest) -> Signal:
        return None

    def do_Return(self, node: ast.Return, rest: Rest) -> Signal:
        return Return(None if node.value is None else self.expr(node.value))

    def do_Break(self, node: ast.Break, rest: Rest) -> Signal:
        return BREAK

    def do_Continue(self, node: ast.Continue, rest: Rest) -> Signal:
        return CONTINUE

    def do_Assign(self, node: ast.Assign, rest: Rest) -> Signal:
        value = self.expr(node.value)
        for target in node.targets:
            self.assign(target, value)
        return None

    def do_AnnAssign(self, node: ast.AnnAssign, rest: Rest) -> Signal:
        if node.value is not None:
            self.assign(node.target, self.expr(node.value))
        return None

    def do_AugAssign(self, node: ast.AugAssign, rest: Rest) -> Signal:
        symbol, _ = BINARY[type(node.op)]
        load = _as_load(node.target)
        old, value = self.value(load), self.value(node.value)
        if isinstance(old, Tensor):
            new = INPLACE[symbol](old, self.beside(value, old))
        elif isinstance(old, list) and symbol == "+":
            old.extend(self.iterate(value, node.value))
            return None
        else:
            new = self.binary(symbol, BINARY[type(node.op)][1], old, value)
        self.assign(node.target, new)
        return None

    def assign(self, target: ast.AST, value: Any) -> None:
        """Binds a target: a name, an item, or several of them."""
        if isinstance(target, ast.Name):
            self.frame.locals[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target, value)
        elif isinstance(target, ast.Subscript):
            self._store(target, value)
        elif isinstance(target, ast.Attribute):
            raise self.error(
                "assigning an attribute is not supported in script: a saved model is a pure "
                "function. Return the new value instead",
                target,
            )
        else:
            raise self.error("this target is not supported in script", target)

    def _unpack(self, target: ast.Tuple | ast.List, value: Any) -> None:
        items = self.iterate(value, target)
        starred = [i for i, t in enumerate(target.elts) if isinstance(t, ast.Starred)]
        wanted = len(target.elts)
        if starred:
            (at,) = starred
            tail = wanted - at - 1
            if len(items) < wanted - 1:
                raise ValueError(
                    f"not enough values to unpack (expected at least {wanted - 1}, "
                    f"got {len(items)})"
                )
            middle = items[at : len(items) - tail]
            items = [*items[:at], middle, *items[len(items) - tail :]]
        elif len(items) != wanted:
            few = "not enough" if len(items) < wanted else "too many"
            raise ValueError(f"{few} values to unpack (expected {wanted}, got {len(items)})")
        for t, item in zip(target.elts, items, strict=True):
            self.assign(t.value if isinstance(t, ast.Starred) else t, item)

    def _store(self, target: ast.Subscript, value: Any) -> None:
        base, index = self.value(target.value), self.expr(target.slice)
        if isinstance(base, Tensor):
            base[self.tensor_index(index)] = self.beside(value, base)
        elif isinstance(index, (Number, Poly, Tensor)):
            raise self.error(
                "an item whose index is known only at run time cannot be assigned", target
            )
        else:
            base[index] = value

    def do_Delete(self, node: ast.Delete, rest: Rest) -> Signal:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.frame.locals.pop(target.id)
            elif isinstance(target, ast.Subscript):
                del self.value(target.value)[self.expr(target.slice)]
            else:
                raise self.error("deleting an attribute is not supported in script", target)
        return None

    def do_FunctionDef(self, node: ast.FunctionDef, rest: Rest) -> Signal:
        if node.decorator_list:
            raise self.error("decorators inside a script are not supported", node)
        self.frame.locals[node.name] = self.closure(node)
        return None

    def do_Import(self, node: ast.Import | ast.ImportFrom, rest: Rest) -> Signal:
        scope: dict[str, Any] = {}
        module = ast.Module([node], [])
        exec(compile(module, self.frame.source.file, "exec"), dict(self.frame.globals), scope)
        self.frame.locals.update(scope)
        return None

    do_ImportFrom = do_Import

    def do_With(self, node: ast.With, rest: Rest) -> Signal:
        """Contexts of the framework (no_grad, autocast, ...) are entered while scripting."""
        with ExitStack() as stack:
            for item in node.items:
                context = self.expr(item.context_expr)
                if not type(context).__module__.startswith("tracec"):
                    raise self.error(
                        f"`with {type(context).__name__}` is not supported in script",
                        item.context_expr,
                    )
                value = stack.enter_context(context)
                if item.optional_vars is not None:
                    self.assign(item.optional_vars, value)
            return self.block(node.body, _refuse_jump(self, node))

    # -- checks ------------------------------------------------------------------------------------
    def do_Assert(self, node: ast.Assert, rest: Rest) -> Signal:
        value = self.value(node.test)
        if isinstance(value, Relation):
            if self.demand(value):
                return None
            truth: Any = False
        else:
            truth = self.truth(value, node.test)
        if not isinstance(truth, bool):
            raise self.error(
                "an assertion on data cannot be kept in a saved model; check the inputs before "
                "calling it, or assert on shapes",
                node,
            )
        if not truth:
            message = "" if node.msg is None else str(self.expr(node.msg))
            raise Raised(AssertionError(message), node)
        return None

    def demand(self, relation: Relation) -> bool:
        """Makes a relation between sizes a condition of the whole model; False if the sizes that
        it is being scripted with contradict it."""
        a, b = relation.a, relation.b
        table = {
            "==": ("==", a, b, True), "!=": ("==", a, b, False), "<": ("<", a, b, True),
            "<=": ("<=", a, b, True), ">": ("<", b, a, True), ">=": ("<=", b, a, True),
        }  # fmt: skip
        rel, x, y, wanted = table[relation.symbol]
        return dims.decide(rel, x, y) is wanted

    def do_Raise(self, node: ast.Raise, rest: Rest) -> Signal:
        error = RuntimeError("re-raise") if node.exc is None else self.expr(node.exc)
        if isinstance(error, type):
            error = error()
        raise Raised(error, node)

    # -- static control flow -----------------------------------------------------------------------
    def do_If(self, node: ast.If, rest: Rest) -> Signal:
        value = self.value(node.test)
        if isinstance(value, Relation):
            for branch, other in ((node.body, node.orelse), (node.orelse, node.body)):
                if branch and _only_raises(branch):  # a check of sizes
                    holds = Relation(value.tensor, value.symbol, value.a, value.b)
                    if self.demand(holds) is (branch is node.body):
                        return self.block(branch, rest)
                    return self.block(other, rest)
        truth = self.truth(value, node.test)
        if isinstance(truth, bool):
            return self.block(node.body if truth else node.orelse, rest)
        return self.branch(truth, node, rest)

    def do_For(self, node: ast.For, rest: Rest) -> Signal:
        items = self.value(node.iter)
        if isinstance(items, DynamicRange):
            return self.counted_loop(items, node, rest)
        if isinstance(items, Tensor) and items.shape and not isinstance(items.shape[0], int):
            return self.rows_loop(items, node, rest)
        listed = self.iterate(items, node.iter)
        if len(listed) > UNROLL_LIMIT:
            raise self.error(f"this loop would be unrolled {len(listed)} times", node)
        return self._unrolled_for(node, listed, items, rest)

    def _unrolled_for(self, node: ast.For, listed: list, items: Any, rest: Rest) -> Signal:
        """A loop over items known while scripting, turn by turn.

        A `break` on data leaves the turns after it inside an `if`. If the body returns on data,
        what follows becomes part of each way instead (`finish`).
        """
        loops, returns = self.loops, _returns(node.body)

        def from_item(i: int) -> Signal:
            while i < len(listed):
                i += 1
                self.assign(node.target, listed[i - 1])
                onward = (lambda n=i: finish(n)) if returns else _turn_ends
                signal = self._unrolled_turn(node, loops, rest if returns else None, onward)
                if signal == BREAK or isinstance(signal, LoopEnd) and signal.broke is True:
                    return None
                if isinstance(signal, Return):
                    return signal
                if isinstance(signal, LoopEnd) and signal.broke is not False and i < len(listed):
                    return self._after_break(signal.broke, node, listed, items, i, from_item)
            return self.block(node.orelse, rest)

        def finish(i: int) -> Signal:
            def run() -> Signal:
                signal = from_item(i)
                return signal if signal is not None else rest()

            return self.outside(loops, run)

        return from_item(0)

    def _after_break(
        self,
        broke: Any,
        node: ast.For,
        listed: list,
        items: Any,
        i: int,
        onward: Callable[[int], Signal],
    ) -> Signal:
        """The turns from number `i` on, after a turn that may have broken the loop."""
        left = len(listed) - i
        if isinstance(items, range) and left > NEST_LIMIT and not node.orelse:
            following = DynamicRange(items[i], items.stop, items.step)
            return self.counted_loop(following, node, _end_of_function, broke)
        if left > NEST_LIMIT:
            raise self.error(
                f"a `break` on data in a loop of {len(listed)} unrolled turns would nest too "
                "deeply; loop over a range and index",
                node,
            )
        return self.two_ways(self._truth_tensor(broke, node), lambda: None, lambda: onward(i), node)

    def _unrolled_turn(self, node: Any, loops: tuple, rest: Rest | None, onward: Rest) -> Signal:
        """One turn of a loop that is unrolled; `onward` is what the end of the body leads to."""
        from .control import Loop

        on_break = (lambda: LoopEnd(True)) if rest is None else (lambda: self.outside(loops, rest))
        self.loops = (*loops, Loop(on_break, onward))
        try:
            return self.block(node.body, onward)
        finally:
            self.loops = loops

    def do_While(self, node: ast.While, rest: Rest) -> Signal:
        loops, turns = self.loops, 0
        while True:
            truth = self.truth(self.value(node.test), node.test)
            if not isinstance(truth, bool):
                return self.dynamic_loop(node, rest)
            if not truth:
                return self.block(node.orelse, rest)
            if turns >= UNROLL_LIMIT:
                raise self.error(
                    f"this loop was unrolled {turns} times without an end in sight", node
                )
            turns += 1
            signal = self._unrolled_turn(node, loops, None, _turn_ends)
            if signal == BREAK or isinstance(signal, LoopEnd) and signal.broke is True:
                return None
            if isinstance(signal, Return):
                return signal
            if isinstance(signal, LoopEnd) and signal.broke is not False:
                return self.dynamic_loop(node, rest, signal.broke)

    # given by control.py
    def branch(self, truth: Tensor, node: ast.If, rest: Rest) -> Signal:
        raise NotImplementedError

    def counted_loop(
        self, items: DynamicRange, node: ast.For, rest: Rest, broke: Any = None
    ) -> Signal:
        raise NotImplementedError

    def rows_loop(self, items: Tensor, node: ast.For, rest: Rest) -> Signal:
        raise NotImplementedError

    def two_ways(
        self,
        truth: Tensor,
        first: Callable[[], Signal],
        second: Callable[[], Signal],
        node: ast.AST,
    ) -> Signal:
        raise NotImplementedError

    def dynamic_loop(self, node: ast.While, rest: Rest, broke: Any = None) -> Signal:
        raise NotImplementedError


def _as_load(target: ast.AST) -> Any:
    """The expression that reads an assignment's target."""
    copy = type(target)(**{f: getattr(target, f) for f in target._fields})
    copy.ctx = ast.Load()
    return ast.copy_location(copy, target)


def _only_raises(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], ast.Raise) and not any(
        isinstance(n, (ast.If, ast.For, ast.While, ast.Return)) for s in body for n in ast.walk(s)
    )


def _refuse_jump(ev: Expressions, node: ast.AST) -> Rest:
    def refuse() -> Signal:
        raise ev.error(
            "leaving a `with` block early, depending on data, is not supported in script", node
        )

    return refuse
