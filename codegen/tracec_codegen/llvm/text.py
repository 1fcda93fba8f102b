"""LLVM IR text builder: typed values, structured control flow with phis, one module at a time.

No allocas for variables and no mem2reg: loops carry their values as phis, so that the text needs
no pass pipeline.  A `Value` is its own text ("%v7") and knows its type:

    module = Module()
    f = module.function("scale", [("x", "ptr"), ("n", "i64"), ("s", "float")])
    x, n, s = f.parameters
    with f.loop(0, n) as i:
        p = f.gep(x, i.index, "float")
        f.store(f.fmul(f.load("float", p), s), p)
    f.ret()
    text = str(module)

Wherever an operand is expected, a Python number stands for a constant of the other operand's
type (i64 if there is none); constants of vector types are splats.
"""

from __future__ import annotations

from collections.abc import Sequence

from .control import Flow, Loop
from .values import (
    FLOAT_BITS,
    NULL,
    Operand,
    Value,
    bits_of,
    bytes_of,
    constant,
    element_of,
    is_float,
    lanes_of,
    poison,
    scalar_text,
    suffix_of,
    vector_constant,
    vector_type,
    with_element,
    zero,
)

__all__ = [
    "FLOAT_BITS", "Function", "Loop", "Module", "NULL", "Operand", "Value", "bits_of", "bytes_of",
    "constant", "element_of", "is_float", "lanes_of", "poison", "suffix_of", "vector_constant",
    "vector_type", "with_element", "zero",
]


class Module:
    """Functions, globals, metadata; declarations of what functions call are gathered by itself."""

    def __init__(self, header: str = "") -> None:
        self.header = header
        self.functions: dict[str, Function] = {}
        self._globals: dict[str, str] = {}
        self._declarations: dict[str, str] = {}
        self._metadata: list[str] = []
        self._raw: list[str] = []

    def function(self, name: str, parameters: Sequence[tuple[str, str]], result: str = "void", *,
                 internal: bool = False, attributes: str = "nounwind",
                 parameter_attributes: dict[str, str] | None = None) -> Function:
        """A new function; `parameters` are (name, type) pairs."""
        if name in self.functions:
            raise ValueError(f"function {name} is defined twice")
        made = Function(self, name, parameters, result, internal, attributes,
                        parameter_attributes or {})
        self.functions[name] = made
        return made

    def add_global(self, name: str, type: str, initial: str = "zeroinitializer", *,
                   constant: bool = False, internal: bool = True, align: int = 8,
                   thread_local: bool = False) -> Value:
        """A global variable (once per name); the value is its address."""
        if name not in self._globals:
            self._globals[name] = (
                f"@{name} = {'internal ' if internal else ''}"
                f"{'thread_local ' if thread_local else ''}"
                f"{'constant' if constant else 'global'} {type} {initial}, align {align}")
        return Value(f"@{name}", "ptr")

    def external_global(self, name: str, type: str = "i8") -> Value:
        """A variable defined elsewhere; the value is its address."""
        self._globals.setdefault(name, f"@{name} = external global {type}")
        return Value(f"@{name}", "ptr")

    def table(self, name: str, element_type: str, numbers: Sequence[float], *,
              align: int = 64) -> Value:
        """A constant array."""
        inner = ", ".join(f"{element_type} {scalar_text(element_type, n)}" for n in numbers)
        return self.add_global(name, f"[{len(numbers)} x {element_type}]", f"[{inner}]",
                               constant=True, align=align)

    def declare(self, name: str, declaration: str) -> None:
        """Declare an external function unless the module defines it."""
        self._declarations.setdefault(name, declaration)

    def metadata(self, body: str) -> str:
        """A metadata node such as "!{i32 1}"; equal bodies share one number."""
        if body not in self._metadata:
            self._metadata.append(body)
        return f"!{self._metadata.index(body)}"

    def raw(self, text: str) -> None:
        """Whole definitions written by hand."""
        self._raw.append(text)

    def __str__(self) -> str:
        parts = [self.header] if self.header else []
        parts += self._globals.values()
        parts += [d for n, d in self._declarations.items() if n not in self.functions]
        parts += self._raw
        parts += [str(f) for f in self.functions.values()]
        parts += [f"!{i} = {body}" for i, body in enumerate(self._metadata)]
        return "\n".join(parts) + "\n"


class Function(Flow):
    """One function under construction; methods append instructions to the current block."""

    def __init__(self, module: Module, name: str, parameters: Sequence[tuple[str, str]],
                 result: str, internal: bool, attributes: str,
                 parameter_attributes: dict[str, str]) -> None:
        super().__init__()
        self.module = module
        self.name = name
        self.result = result
        self.flags = ""                 # fast-math flags put on float arithmetic, e.g. "contract"
        self.parameters = [Value(f"%{n}", t) for n, t in parameters]
        listed = ", ".join(" ".join(filter(None, (t, parameter_attributes.get(n, ""), f"%{n}")))
                           for n, t in parameters)
        self._head = (f"define {'internal ' if internal else ''}{result} @{name}({listed}) "
                      f"{attributes} {{")
        self._allocas: list[str] = []

    def __str__(self) -> str:
        out = [self._head]
        for block in self._blocks:
            out.append(block.label + ":")
            if block is self._entry:
                out += self._allocas
            out += block.phis
            out += block.lines
        out.append("}\n")
        return "\n".join(out)

    @property
    def address(self) -> Value:
        """The function as a pointer."""
        return Value(f"@{self.name}", "ptr")

    def _binary(self, name: str, a: Operand, b: Operand) -> Value:
        x, y = self._pair(a, b)
        return self.value(f"{name} {x.type} {x}, {y}", x.type)

    # integers
    def add(self, a: Operand, b: Operand) -> Value:
        if not isinstance(b, Value) and b == 0 and isinstance(a, Value):
            return a
        return self._binary("add", a, b)

    def sub(self, a: Operand, b: Operand) -> Value:
        return self._binary("sub", a, b)

    def mul(self, a: Operand, b: Operand) -> Value:
        if not isinstance(b, Value) and b == 1 and isinstance(a, Value):
            return a
        return self._binary("mul", a, b)

    def udiv(self, a: Operand, b: Operand) -> Value:
        return self._binary("udiv", a, b)

    def sdiv(self, a: Operand, b: Operand) -> Value:
        return self._binary("sdiv", a, b)

    def urem(self, a: Operand, b: Operand) -> Value:
        return self._binary("urem", a, b)

    def srem(self, a: Operand, b: Operand) -> Value:
        return self._binary("srem", a, b)

    def shl(self, a: Operand, b: Operand) -> Value:
        return self._binary("shl", a, b)

    def lshr(self, a: Operand, b: Operand) -> Value:
        return self._binary("lshr", a, b)

    def ashr(self, a: Operand, b: Operand) -> Value:
        return self._binary("ashr", a, b)

    def and_(self, a: Operand, b: Operand) -> Value:
        return self._binary("and", a, b)

    def or_(self, a: Operand, b: Operand) -> Value:
        return self._binary("or", a, b)

    def xor(self, a: Operand, b: Operand) -> Value:
        return self._binary("xor", a, b)

    def not_(self, a: Value) -> Value:
        """Bitwise (for i1: logical) complement."""
        return self._binary("xor", a, 1 if element_of(a.type) == "i1" else -1)

    def ceil_div(self, a: Operand, b: Operand) -> Value:
        """a / b rounded up, unsigned."""
        b_less_one = self.sub(b, 1) if isinstance(b, Value) else int(b) - 1
        return self.udiv(self.add(a, b_less_one), b)

    def umin(self, a: Operand, b: Operand) -> Value:
        return self.intrinsic("umin", a, b)

    def umax(self, a: Operand, b: Operand) -> Value:
        return self.intrinsic("umax", a, b)

    def smin(self, a: Operand, b: Operand) -> Value:
        return self.intrinsic("smin", a, b)

    def smax(self, a: Operand, b: Operand) -> Value:
        return self.intrinsic("smax", a, b)

    def abs(self, a: Value) -> Value:
        """Absolute value of an integer; the most negative one stays itself."""
        name = f"llvm.abs.{suffix_of(a.type)}"
        return self._call(name, a.type, (a, constant("i1", 0)),
                          f"declare {a.type} @{name}({a.type}, i1 immarg)")

    # floats
    def _float(self, name: str, a: Operand, b: Operand) -> Value:
        return self._binary(f"{name} {self.flags}" if self.flags else name, a, b)

    def fadd(self, a: Operand, b: Operand) -> Value:
        return self._float("fadd", a, b)

    def fsub(self, a: Operand, b: Operand) -> Value:
        return self._float("fsub", a, b)

    def fmul(self, a: Operand, b: Operand) -> Value:
        return self._float("fmul", a, b)

    def fdiv(self, a: Operand, b: Operand) -> Value:
        return self._float("fdiv", a, b)

    def frem(self, a: Operand, b: Operand) -> Value:
        return self._float("frem", a, b)

    def fneg(self, a: Value) -> Value:
        return self.value(f"fneg {a.type} {a}", a.type)

    def fcmp(self, predicate: str, a: Operand, b: Operand) -> Value:
        """Float comparison: oeq une olt ole ogt oge ord uno ..."""
        x, y = self._pair(a, b)
        return self.value(f"fcmp {predicate} {x.type} {x}, {y}", with_element(x.type, "i1"))

    def fma(self, a: Operand, b: Operand, c: Operand) -> Value:
        """a * b + c rounded once (a library call on machines without the instruction)."""
        return self.intrinsic("fma", a, b, c)

    def muladd(self, a: Operand, b: Operand, c: Operand) -> Value:
        """a * b + c, one instruction where the machine has it, two otherwise."""
        return self.intrinsic("fmuladd", a, b, c)

    def intrinsic(self, name: str, *operands: Operand) -> Value:
        """llvm.NAME overloaded on one type which all operands and the result share."""
        type = next((x.type for x in operands if isinstance(x, Value)), "i64")
        full = f"llvm.{name}.{suffix_of(type)}"
        return self.call(full, type, *(self.operand(x, type) for x in operands))

    # any type
    def select(self, condition: Value, a: Operand, b: Operand) -> Value:
        """a where the condition holds, else b; one i1 may choose between vectors."""
        x, y = self._pair(a, b)
        return self.value(f"select {condition.type} {condition}, {x.type} {x}, {y.type} {y}",
                          x.type)

    def cast(self, operation: str, a: Value, element_type: str) -> Value:
        """A conversion by LLVM's name (sext, fptosi, bitcast ...), keeping the lanes.

        A bitcast may change them: then `element_type` is the whole new type.
        """
        keep = operation != "bitcast" or bits_of(a.type) == bits_of(element_type)
        type = with_element(a.type, element_of(element_type)) if keep else element_type
        if type == a.type:
            return a
        return self.value(f"{operation} {a.type} {a} to {type}", type)

    # vectors
    def splat(self, a: Value, lanes: int) -> Value:
        """A scalar in every lane."""
        if lanes == 1:
            return a
        type = vector_type(a.type, lanes)
        one = self.value(f"insertelement {type} poison, {a.type} {a}, i64 0", type)
        return self.value(f"shufflevector {type} {one}, {type} poison, "
                          f"<{lanes} x i32> zeroinitializer", type)

    def extract(self, a: Value, lane: Operand) -> Value:
        """One lane."""
        return self.value(f"extractelement {a.type} {a}, i64 {lane}", element_of(a.type))

    def insert(self, a: Value, element: Value, lane: Operand) -> Value:
        """The vector with one lane replaced."""
        return self.value(f"insertelement {a.type} {a}, {element.type} {element}, i64 {lane}",
                          a.type)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Lanes picked from a followed by b; -1 leaves a lane undefined."""
        type = vector_type(element_of(a.type), len(lanes))
        picks = ", ".join(f"i32 {i}" if i >= 0 else "i32 poison" for i in lanes)
        return self.value(f"shufflevector {a.type} {a}, {b.type} {b}, "
                          f"<{len(lanes)} x i32> <{picks}>", type)

    def iota(self, element_type: str, lanes: int) -> Value:
        """The constant 0, 1, 2, ..."""
        return vector_constant(element_type, range(lanes))

    def lane_mask(self, count: Operand, lanes: int, bits: int = 32) -> Value:
        """A mask of the first `count` lanes (i64, signed; all lanes when it exceeds them).

        `bits` is the width of the elements the mask is for: equal widths compile best.
        """
        if lanes == 1:
            return self.icmp("sgt", self.operand(count), 0)
        narrowest = 8 if lanes < 128 else 16  # which count to `lanes` with a sign
        element = f"i{max(bits, narrowest)}"
        clamped = self.smax(self.smin(self.operand(count), lanes), 0)
        if element != "i64":
            clamped = self.cast("trunc", clamped, element)
        return self.icmp("sgt", self.splat(clamped, lanes), self.iota(element, lanes))

    def reduce(self, name: str, a: Value, start: Operand | None = None) -> Value:
        """llvm.vector.reduce.NAME over the lanes; fadd and fmul take a start and may reassociate.

        The lanes are then combined in a tree, in the same way at every run.
        """
        element = element_of(a.type)
        if lanes_of(a.type) == 1:
            return a
        full = f"llvm.vector.reduce.{name}.{suffix_of(a.type)}"
        if start is None:
            return self.call(full, element, a)
        return self.call(full, element, self.operand(start, element), a, flags="reassoc")

    # ---- memory ----------------------------------------------------------------------------

    def gep(self, base: Value, index: Operand, type: str) -> Value:
        """Address of element `index` of an array of `type` at `base`."""
        if not isinstance(index, Value) and index == 0:
            return base
        i = self.operand(index)
        result = with_element(i.type, "ptr")
        return self.value(f"getelementptr {type}, {base.type} {base}, {i.type} {i}", result)

    def load(self, type: str, address: Value, align: int | None = None, extra: str = "") -> Value:
        """Read a value; the default alignment is that of one element."""
        return self.value(f"load {type}, ptr {address}, align {align or bytes_of(type)}"
                          + (f", {extra}" if extra else ""), type)

    def store(self, a: Value, address: Value, align: int | None = None, extra: str = "") -> None:
        """Write a value."""
        self.do(f"store {a.type} {a}, ptr {address}, align {align or bytes_of(a.type)}"
                + (f", {extra}" if extra else ""))

    def stream(self, a: Value, address: Value, align: int) -> None:
        """Write a value past the caches; needs the full vector alignment to be fast."""
        self.store(a, address, align, f"!nontemporal {self.module.metadata('!{i32 1}')}")

    def masked_load(self, type: str, address: Value, mask: Value | None,
                    passthru: Value | None = None, align: int | None = None) -> Value:
        """Read the lanes of the mask (None: all); other lanes are `passthru`, by default 0."""
        if mask is None:
            return self.load(type, address, align)
        rest = zero(type) if passthru is None else passthru
        if lanes_of(type) == 1:
            return self.branch(mask, lambda: [self.load(type, address, align)], lambda: [rest])[0]
        where = Value(f"align {align or bytes_of(type)} {address}", "ptr")
        return self._call(f"llvm.masked.load.{suffix_of(type)}.p0", type, (where, mask, rest),
                          f"declare {type} @llvm.masked.load.{suffix_of(type)}.p0"
                          f"(ptr, {mask.type}, {type})")

    def masked_store(self, a: Value, address: Value, mask: Value | None,
                     align: int | None = None) -> None:
        """Write the lanes of the mask (None: all)."""
        if mask is None:
            self.store(a, address, align)
        elif lanes_of(a.type) == 1:
            with self.when(mask):
                self.store(a, address, align)
        else:
            where = Value(f"align {align or bytes_of(a.type)} {address}", "ptr")
            name = f"llvm.masked.store.{suffix_of(a.type)}.p0"
            self._call(name, "void", (a, where, mask),
                       f"declare void @{name}({a.type}, ptr, {mask.type})")

    def gather(self, type: str, addresses: Value, mask: Value, passthru: Value | None = None,
               align: int | None = None) -> Value:
        """Read one element per lane from a vector of addresses."""
        rest = zero(type) if passthru is None else passthru
        name = f"llvm.masked.gather.{suffix_of(type)}.v{lanes_of(type)}p0"
        where = Value(f"align {align or bytes_of(type)} {addresses}", addresses.type)
        return self._call(name, type, (where, mask, rest),
                          f"declare {type} @{name}({addresses.type}, {mask.type}, {type})")

    def scatter(self, a: Value, addresses: Value, mask: Value, align: int | None = None) -> None:
        """Write one element per lane to a vector of addresses, in lane order."""
        name = f"llvm.masked.scatter.{suffix_of(a.type)}.v{lanes_of(a.type)}p0"
        where = Value(f"align {align or bytes_of(a.type)} {addresses}", addresses.type)
        self._call(name, "void", (a, where, mask),
                   f"declare void @{name}({a.type}, {addresses.type}, {mask.type})")

    def prefetch(self, address: Value, *, write: bool = False, locality: int = 3) -> None:
        """Ask for a cache line; any address is harmless."""
        self._call("llvm.prefetch.p0", "void",
                   (address, constant("i32", int(write)), constant("i32", locality),
                    constant("i32", 1)),
                   "declare void @llvm.prefetch.p0(ptr, i32 immarg, i32 immarg, i32 immarg)")

    def alloca(self, type: str, count: int = 1, align: int = 8) -> Value:
        """Stack memory, reserved once at the function's entry."""
        made = Value(f"%m{next(self._numbers)}", "ptr")
        self._allocas.append(f"  {made} = alloca {type}, i64 {count}, align {align}")
        return made

    def memset(self, address: Value, byte: int, size: Operand, align: int = 1) -> None:
        """Fill bytes."""
        where = Value(f"align {align} {address}", "ptr")
        self._call("llvm.memset.p0.i64", "void",
                   (where, constant("i8", byte), self.operand(size), constant("i1", 0)),
                   "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)")

    def memcpy(self, to: Value, source: Value, size: Operand, align: int = 1) -> None:
        """Copy bytes that do not overlap."""
        self._call("llvm.memcpy.p0.p0.i64", "void",
                   (Value(f"align {align} {to}", "ptr"), Value(f"align {align} {source}", "ptr"),
                    self.operand(size), constant("i1", 0)),
                   "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1 immarg)")

    # ---- calls -----------------------------------------------------------------------------

    def _call(self, name: str, result: str, operands: Sequence[Value],
              declaration: str, flags: str = "") -> Value:
        self.module.declare(name, declaration)
        listed = ", ".join(f"{x.type} {x}" for x in operands)
        text = f"call {flags + ' ' if flags else ''}{result} @{name}({listed})"
        if result == "void":
            self.do(text)
            return poison("void")
        return self.value(text, result)

    def call(self, callee: str, result: str, *operands: Value, flags: str = "",
             variadic: int | None = None) -> Value:
        """Call a function by name (declared if the module lacks it) or through a pointer Value.

        `variadic` is the number of fixed parameters of a function such as syscall.
        """
        listed = ", ".join(f"{x.type} {x}" for x in operands)
        types = [x.type for x in operands]
        if variadic is not None:
            types = [*types[:variadic], "..."]
        signature = f"{result} ({', '.join(types)})" if variadic is not None else result
        pointer = isinstance(callee, Value)
        if not pointer:
            self.module.declare(callee, f"declare {result} @{callee}({', '.join(types)})")
        text = (f"call {flags + ' ' if flags else ''}{signature} "
                f"{callee if pointer else '@' + callee}({listed})")
        if result == "void":
            self.do(text)
            return poison("void")
        return self.value(text, result)

    def ret(self, value: Operand | None = None) -> Function:
        """End the function."""
        if value is None:
            self.do("ret void")
        else:
            self.do(f"ret {self.result} {self.operand(value, self.result)}")
        return self

    def unreachable(self) -> None:
        """Mark a point that is never reached."""
        self.do("unreachable")
