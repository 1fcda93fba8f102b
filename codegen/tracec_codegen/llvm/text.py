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

import contextlib
import itertools
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

FLOAT_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64}
_VECTOR = re.compile(r"<(\d+) x (.+)>")
_SUFFIX = {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64", "ptr": "p0"}


class Value(str):
    """Text of an operand together with its LLVM type."""

    __slots__ = ("type",)
    type: str

    def __new__(cls, text: str, type: str) -> Value:
        self = str.__new__(cls, text)
        self.type = type
        return self

    def __repr__(self) -> str:
        return f"{self.type} {str(self)}"


Operand = Value | int | float


# ---- types ---------------------------------------------------------------------------------

def vector_type(element_type: str, lanes: int) -> str:
    """The type of `lanes` elements; one lane is the scalar itself."""
    return element_type if lanes == 1 else f"<{lanes} x {element_type}>"


def lanes_of(type: str) -> int:
    """Number of lanes of a vector type, 1 for a scalar."""
    match = _VECTOR.fullmatch(type)
    return int(match[1]) if match else 1


def element_of(type: str) -> str:
    """Element type of a vector type, the type itself for a scalar."""
    match = _VECTOR.fullmatch(type)
    return match[2] if match else type


def is_float(type: str) -> bool:
    """Whether the type is a floating-point scalar or vector."""
    return element_of(type) in FLOAT_BITS


def bits_of(type: str) -> int:
    """Width of one element in bits; a pointer has 64."""
    element = element_of(type)
    if element in FLOAT_BITS:
        return FLOAT_BITS[element]
    return 64 if element == "ptr" else int(element[1:])


def bytes_of(type: str) -> int:
    """Bytes one element occupies in memory."""
    return max(1, bits_of(type) // 8)


def with_element(type: str, element_type: str) -> str:
    """The type with the same lanes and another element type."""
    return vector_type(element_type, lanes_of(type))


def suffix_of(type: str) -> str:
    """How intrinsic names spell the type: f32, v8i64, p0."""
    lanes, element = lanes_of(type), element_of(type)
    return ("" if lanes == 1 else f"v{lanes}") + _SUFFIX.get(element, element)


# ---- constants -----------------------------------------------------------------------------

def _scalar_text(type: str, number: float) -> str:
    if type == "i1":
        return "true" if number else "false"
    if type == "ptr":
        if number:
            raise ValueError("the only pointer constant is null")
        return "null"
    if type not in FLOAT_BITS:
        value, width = int(number), bits_of(type)
        if value != number:
            raise ValueError(f"{number!r} is no {type}")
        if not -(1 << (width - 1)) <= value < 1 << width:
            raise ValueError(f"{value} does not fit {type}")
        return str(value)
    if type == "half":
        return f"0xH{struct.unpack('<H', struct.pack('<e', number))[0]:04X}"
    if type == "bfloat":
        bits = struct.unpack("<I", struct.pack("<f", number))[0]
        if number == number:                                  # round to nearest even
            bits += 0x7FFF + ((bits >> 16) & 1)
        return f"0xR{bits >> 16:04X}"
    if type == "float":
        try:
            number = struct.unpack("<f", struct.pack("<f", number))[0]
        except OverflowError:
            number = float("inf") if number > 0 else float("-inf")
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


def constant(type: str, number: float) -> Value:
    """A constant; of a vector type, every lane is `number`."""
    lanes, element = lanes_of(type), element_of(type)
    text = _scalar_text(element, number)
    return Value(text if lanes == 1 else f"splat ({element} {text})", type)


def vector_constant(element_type: str, numbers: Sequence[float]) -> Value:
    """A vector constant with these lanes."""
    if len(numbers) == 1:
        return constant(element_type, numbers[0])
    inner = ", ".join(f"{element_type} {_scalar_text(element_type, n)}" for n in numbers)
    return Value(f"<{inner}>", vector_type(element_type, len(numbers)))


def zero(type: str) -> Value:
    """All bits zero, of any type."""
    return Value("zeroinitializer" if lanes_of(type) > 1 else _scalar_text(type, 0), type)


def poison(type: str) -> Value:
    """A value nobody reads."""
    return Value("poison", type)


NULL = Value("null", "ptr")


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
        inner = ", ".join(f"{element_type} {_scalar_text(element_type, n)}" for n in numbers)
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


class _Block:
    __slots__ = ("label", "lines", "phis")

    def __init__(self, label: str) -> None:
        self.label = label
        self.phis: list[str] = []
        self.lines: list[str] = []


class Loop:
    """An open loop: `index`, `carried` values, and after the loop their `results`."""

    __slots__ = ("_next", "carried", "index", "results")

    def __init__(self, index: Value, carried: list[Value]) -> None:
        self.index = index
        self.carried = carried
        self.results: list[Value] = []
        self._next: list[Operand] = list(carried)

    def next(self, *values: Operand) -> None:
        """Values of the carried variables for the next turn."""
        if len(values) != len(self.carried):
            raise ValueError(f"loop carries {len(self.carried)} values, got {len(values)}")
        self._next = list(values)


class Function:
    """One function under construction; methods append instructions to the current block."""

    def __init__(self, module: Module, name: str, parameters: Sequence[tuple[str, str]],
                 result: str, internal: bool, attributes: str,
                 parameter_attributes: dict[str, str]) -> None:
        self.module = module
        self.name = name
        self.result = result
        self.flags = ""                 # fast-math flags put on float arithmetic, e.g. "contract"
        self.parameters = [Value(f"%{n}", t) for n, t in parameters]
        listed = ", ".join(" ".join(filter(None, (t, parameter_attributes.get(n, ""), f"%{n}")))
                           for n, t in parameters)
        self._head = (f"define {'internal ' if internal else ''}{result} @{name}({listed}) "
                      f"{attributes} {{")
        self._numbers = itertools.count()
        self._entry = _Block("entry")
        self._blocks = [self._entry]
        self._block = self._entry
        self._allocas: list[str] = []
        self._open: dict[Value, _Block] = {}

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

    # ---- instructions ----------------------------------------------------------------------

    def value(self, instruction: str, type: str) -> Value:
        """Append an instruction written by hand and return its result."""
        made = Value(f"%v{next(self._numbers)}", type)
        self._block.lines.append(f"  {made} = {instruction}")
        return made

    def do(self, instruction: str) -> None:
        """Append an instruction without a result."""
        self._block.lines.append("  " + instruction)

    def comment(self, text: str) -> None:
        """A comment line in the text."""
        self._block.lines.append("  ; " + text)

    @staticmethod
    def operand(x: Operand, type: str = "i64") -> Value:
        """`x` itself, or the constant of `type` it stands for."""
        return x if isinstance(x, Value) else constant(type, x)

    @classmethod
    def _pair(cls, a: Operand, b: Operand) -> tuple[Value, Value]:
        type = a.type if isinstance(a, Value) else b.type if isinstance(b, Value) else "i64"
        return cls.operand(a, type), cls.operand(b, type)

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

    def icmp(self, predicate: str, a: Operand, b: Operand) -> Value:
        """Integer or pointer comparison: eq ne slt sle sgt sge ult ule ugt uge."""
        x, y = self._pair(a, b)
        return self.value(f"icmp {predicate} {x.type} {x}, {y}", with_element(x.type, "i1"))

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
        element = f"i{max(bits, 8)}"
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

    # ---- control flow ----------------------------------------------------------------------

    def new_block(self, name: str) -> str:
        """A fresh label, for control flow written by hand."""
        return f"{name}{next(self._numbers)}"

    def start_block(self, label: str) -> None:
        """Continue in a new block; the block before must have ended in a branch."""
        self._block = _Block(label)
        self._blocks.append(self._block)

    @property
    def label(self) -> str:
        """Label of the current block."""
        return self._block.label

    def jump(self, label: str) -> None:
        """Go to a block."""
        self.do(f"br label %{label}")

    def jump_if(self, condition: Value, yes: str, no: str) -> None:
        """Go to one of two blocks."""
        self.do(f"br i1 {condition}, label %{yes}, label %{no}")

    def phi(self, type: str, incoming: Sequence[tuple[Operand, str]]) -> Value:
        """A value that depends on which block control came from."""
        made = Value(f"%v{next(self._numbers)}", type)
        listed = ", ".join(f"[ {self.operand(x, type)}, %{label} ]" for x, label in incoming)
        self._block.phis.append(f"  {made} = phi {type} {listed}")
        return made

    def open_phi(self, type: str) -> Value:
        """A phi of the current block whose sources are not known yet; see `close_phi`."""
        made = Value(f"%v{next(self._numbers)}", type)
        self._open[made] = self._block
        return made

    def close_phi(self, phi: Value, incoming: Sequence[tuple[Operand, str]]) -> None:
        """Say where an open phi's values come from."""
        listed = ", ".join(f"[ {self.operand(x, phi.type)}, %{label} ]" for x, label in incoming)
        self._open.pop(phi).phis.append(f"  {phi} = phi {phi.type} {listed}")

    @contextlib.contextmanager
    def loop(self, low: Operand, high: Operand, step: Operand = 1,
             carry: Sequence[Value] = (), *, guard: bool = True) -> Iterator[Loop]:
        """for index in range(low, high, step) on signed i64, step > 0.

        `carry` are the initial values of carried variables; `loop.next(...)` sets what they become;
        after the loop `loop.results` holds them.  guard=False promises at least one turn.
        """
        first, last = self.operand(low), self.operand(high)
        head, latch, done = (self.new_block(n) for n in ("head", "latch", "done"))
        before = self.label
        if guard:
            self.jump_if(self.icmp("slt", first, last), head, done)
        else:
            self.jump(head)
        self.start_block(head)
        head_block = self._block
        index = Value(f"%i{next(self._numbers)}", "i64")
        carried = [Value(f"%c{next(self._numbers)}", c.type) for c in carry]
        loop = Loop(index, carried)
        yield loop
        self.jump(latch)
        self.start_block(latch)
        following = [self.operand(n, c.type) for n, c in zip(loop._next, carried, strict=True)]
        new_index = self.value(f"add nsw i64 {index}, {self.operand(step)}", "i64")
        head_block.phis.append(
            f"  {index} = phi i64 [ {first}, %{before} ], [ {new_index}, %{latch} ]")
        head_block.phis += [
            f"  {c} = phi {c.type} [ {start}, %{before} ], [ {after}, %{latch} ]"
            for c, start, after in zip(carried, carry, following, strict=True)]
        self.jump_if(self.icmp("slt", new_index, last), head, done)
        self.start_block(done)
        for start, after in zip(carry, following, strict=True):
            edges: list[tuple[Operand, str]] = [(after, latch)]
            if guard:
                edges.append((start, before))
            loop.results.append(self.phi(start.type, edges))

    def while_loop(self, carry: Sequence[Value],
                   condition: Callable[..., Value],
                   body: Callable[..., Sequence[Operand]]) -> list[Value]:
        """while condition(*carried): carried = body(*carried); returns the last values."""
        head, turn, done = (self.new_block(n) for n in ("while", "turn", "end"))
        before = self.label
        self.jump(head)
        self.start_block(head)
        head_block = self._block
        carried = [Value(f"%c{next(self._numbers)}", c.type) for c in carry]
        self.jump_if(condition(*carried), turn, done)
        self.start_block(turn)
        after = [self.operand(n, c.type) for n, c in zip(body(*carried), carried, strict=True)]
        head_block.phis += [
            f"  {c} = phi {c.type} [ {start}, %{before} ], [ {n}, %{self.label} ]"
            for c, start, n in zip(carried, carry, after, strict=True)]
        self.jump(head)
        self.start_block(done)
        return carried

    @contextlib.contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """A body that runs only if the condition holds."""
        then, done = self.new_block("then"), self.new_block("fi")
        self.jump_if(condition, then, done)
        self.start_block(then)
        yield
        self.jump(done)
        self.start_block(done)

    def branch(self, condition: Value, then: Callable[[], Any],
               other: Callable[[], Any]) -> list[Value]:
        """if/else; each side may return a list of values, merged by phis."""
        yes, no, done = (self.new_block(n) for n in ("then", "else", "fi"))
        self.jump_if(condition, yes, no)
        ends = []
        for label, emit in ((yes, then), (no, other)):
            self.start_block(label)
            values = emit()
            values = values if isinstance(values, list) else []
            ends.append((values, self.label))
            self.jump(done)
        self.start_block(done)
        (left, left_label), (right, right_label) = ends
        return [self.phi((a if isinstance(a, Value) else b).type,
                         [(a, left_label), (b, right_label)])
                for a, b in zip(left, right, strict=True)]

    def switch(self, value: Value, cases: dict[int, Callable[[], Any]],
               default: Callable[[], Any] | None = None) -> None:
        """Run the case equal to the value, else `default` (nothing if None)."""
        done = self.new_block("fi")
        labels = {number: self.new_block("case") for number in cases}
        other = self.new_block("default") if default else done
        listed = " ".join(f"{value.type} {n}, label %{label}" for n, label in labels.items())
        self.do(f"switch {value.type} {value}, label %{other} [ {listed} ]")
        for number, emit in cases.items():
            self.start_block(labels[number])
            emit()
            self.jump(done)
        if default:
            self.start_block(other)
            default()
            self.jump(done)
        self.start_block(done)
