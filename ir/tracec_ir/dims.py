"""Symbolic sizes: integer polynomials over symbols, with floor division and remainder as atoms.

A *dim* is a plain `int` or a `Poly`. Arithmetic folds to `int` whenever no symbol is left, so code
written for integers works on both. Symbols stand for sizes of at least 2 (0 and 1 stay concrete).
Index expressions of kernels use the same class with loop variables as symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Union

Dim = Union[int, "Poly"]


class Sym:
    """A named unknown. `hint` is the value it had when it was introduced."""

    __slots__ = ("name", "hint")

    def __init__(self, name: str, hint: int | None = None):
        self.name, self.hint = name, hint

    def __repr__(self) -> str:
        return "?" + self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sym) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def sort_key(self) -> tuple:
        return (0, self.name)


class Atom:
    """`floor(a / b)` ("//"), `a mod b` ("%"), "min" or "max" of two dims, kept as one unknown."""

    __slots__ = ("kind", "a", "b", "_hash")

    def __init__(self, kind: str, a: Dim, b: Dim):
        self.kind, self.a, self.b = kind, a, b
        self._hash = hash((kind, a, b))

    def __repr__(self) -> str:
        if self.kind in ("min", "max"):
            return f"{self.kind}({self.a}, {self.b})"
        return f"{_operand_text(self.a)} {self.kind} {_operand_text(self.b)}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and (self.kind, self.a, self.b) == (
            other.kind,
            other.a,
            other.b,
        )

    def __hash__(self) -> int:
        return self._hash

    def sort_key(self) -> tuple:
        return (1, repr(self))


class Poly:
    """A sum of integer multiples of products of symbols and atoms. Immutable and hashable."""

    __slots__ = ("terms", "_hash")

    def __init__(self, terms: dict[tuple, int]):
        self.terms = terms
        self._hash = hash(frozenset(terms.items()))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and self.terms == other.terms

    def __add__(self, other: Dim) -> Dim:
        if not isinstance(other, (int, Poly)):
            return NotImplemented
        out = dict(self.terms)
        for mono, coef in _terms(other):
            out[mono] = out.get(mono, 0) + coef
        return _make(out)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return _make({m: -c for m, c in self.terms.items()})

    def __sub__(self, other: Dim) -> Dim:
        return self + (-other)

    def __rsub__(self, other: Dim) -> Dim:
        return -self + other

    def __mul__(self, other: Dim) -> Dim:
        if not isinstance(other, (int, Poly)):
            return NotImplemented
        out: dict[tuple, int] = {}
        for m1, c1 in self.terms.items():
            for m2, c2 in _terms(other):
                mono = tuple(sorted(m1 + m2, key=_unknown_key))
                out[mono] = out.get(mono, 0) + c1 * c2
        return _make(out)

    __rmul__ = __mul__

    def __floordiv__(self, other: Dim) -> Dim:
        return floordiv(self, other)

    def __rfloordiv__(self, other: Dim) -> Dim:
        return floordiv(other, self)

    def __mod__(self, other: Dim) -> Dim:
        return mod(self, other)

    def __repr__(self) -> str:
        parts = []
        for mono, coef in sorted(self.terms.items(), key=lambda t: [_unknown_key(u) for u in t[0]]):
            factors = [str(coef)] if coef != 1 or not mono else []
            alone = len(mono) == 1 and not factors
            factors += [f"({u})" if _is_infix(u) and not alone else repr(u) for u in mono]
            parts.append("*".join(factors))
        return " + ".join(parts)

    def __bool__(self) -> bool:
        return True

    # Ordering asks the hints and leaves a guard (see `guards`).
    def __lt__(self, other: Dim) -> bool:
        return decide("<", self, other)

    def __le__(self, other: Dim) -> bool:
        return decide("<=", self, other)

    def __gt__(self, other: Dim) -> bool:
        return decide("<", other, self)

    def __ge__(self, other: Dim) -> bool:
        return decide("<=", other, self)

    def symbols(self) -> set[Sym]:
        """Every symbol that occurs, also inside atoms."""
        out: set[Sym] = set()
        for mono in self.terms:
            for unknown in mono:
                if isinstance(unknown, Sym):
                    out.add(unknown)
                else:
                    out |= symbols(unknown.a) | symbols(unknown.b)
        return out


def _is_infix(unknown: Sym | Atom) -> bool:
    return isinstance(unknown, Atom) and unknown.kind in ("//", "%")


def _operand_text(dim: Dim) -> str:
    """A dim as an operand of // or %: bare if it is a size, a symbol, min or max."""
    if isinstance(dim, int):
        return str(dim) if dim >= 0 else f"({dim})"
    ((mono, coef), *more) = dim.terms.items()
    bare = not more and coef == 1 and len(mono) == 1 and not _is_infix(mono[0])
    return str(dim) if bare else f"({dim})"


def _unknown_key(unknown: Sym | Atom) -> tuple:
    return unknown.sort_key()


def _terms(dim: Dim) -> Iterable[tuple[tuple, int]]:
    return dim.terms.items() if isinstance(dim, Poly) else (((), dim),)


def _make(terms: dict[tuple, int]) -> Dim:
    terms = {m: c for m, c in terms.items() if c}
    if not terms:
        return 0
    if len(terms) == 1 and () in terms:
        return terms[()]
    return Poly(terms)


def symbol(name: str, hint: int | None = None) -> Poly:
    """The dim that is the symbol `name`."""
    return Poly({(Sym(name, hint),): 1})


def _atom(kind: str, a: Dim, b: Dim) -> Poly:
    return Poly({(Atom(kind, a, b),): 1})


def symbols(dim: Dim) -> set[Sym]:
    """The symbols of a dim; none for an integer."""
    return dim.symbols() if isinstance(dim, Poly) else set()


def is_static(dim: Dim) -> bool:
    return isinstance(dim, int)


def exact_div(a: Dim, b: Dim) -> Dim | None:
    """a / b if b divides every term of a, else None."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b if b and a % b == 0 else None
    if a == b:
        return 1
    divisor = list(_terms(b))
    if len(divisor) != 1:
        return None
    ((mono_b, coef_b),) = divisor
    if not coef_b:
        return None
    out: dict[tuple, int] = {}
    for mono, coef in _terms(a):
        rest = list(mono)
        for unknown in mono_b:
            if unknown not in rest:
                return None
            rest.remove(unknown)
        if coef % coef_b:
            return None
        out[tuple(rest)] = coef // coef_b
    return _make(out)


def floordiv(a: Dim, b: Dim) -> Dim:
    """floor(a / b)."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if b == 0:
        raise ZeroDivisionError(f"symbolic size {a} divided by zero")
    exact = exact_div(a, b)
    if exact is not None:
        return exact
    if isinstance(a, Poly) and isinstance(b, int) and b > 0:
        whole = {m: c // b for m, c in a.terms.items() if c % b == 0}
        if whole:
            rest = {m: c for m, c in a.terms.items() if c % b}
            return _make(whole) + floordiv(_make(rest), b)
    return _atom("//", a, b)


def mod(a: Dim, b: Dim) -> Dim:
    """a - b * floor(a / b)."""
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    if b == 0:
        raise ZeroDivisionError(f"symbolic size {a} divided by zero")
    if exact_div(a, b) is not None:
        return 0
    if isinstance(a, Poly) and isinstance(b, int) and b > 0:
        rest = {m: c % b for m, c in a.terms.items() if c % b}
        reduced = _make(rest)
        if reduced != a:
            return mod(reduced, b)
    return _atom("%", a, b)


def minimum(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    return a if a == b else _atom("min", a, b)


def maximum(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    return a if a == b else _atom("max", a, b)


def product(dims: Iterable[Dim]) -> Dim:
    """The product of dims; 1 for none."""
    out: Dim = 1
    for d in dims:
        out = out * d
    return out


def evaluate(dim: Dim, env: Mapping[str, int] | Callable[[str], int]) -> int:
    """The integer that dim has when symbols take the values of `env` (name -> value)."""
    if isinstance(dim, int):
        return dim
    look = env if callable(env) else env.__getitem__
    total = 0
    for mono, coef in dim.terms.items():
        value = coef
        for unknown in mono:
            value *= look(unknown.name) if isinstance(unknown, Sym) else _eval_atom(unknown, look)
        total += value
    return total


def _eval_atom(atom: Atom, look: Callable[[str], int]) -> int:
    a, b = evaluate(atom.a, look), evaluate(atom.b, look)
    if atom.kind == "//":
        return a // b
    if atom.kind == "%":
        return a % b
    return min(a, b) if atom.kind == "min" else max(a, b)


def substitute(dim: Dim, env: Mapping[str, Dim]) -> Dim:
    """`dim` with the named symbols replaced by dims; other symbols stay."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for mono, coef in dim.terms.items():
        value: Dim = coef
        for unknown in mono:
            if isinstance(unknown, Sym):
                factor: Dim = env.get(unknown.name, Poly({(unknown,): 1}))
            else:
                a, b = substitute(unknown.a, env), substitute(unknown.b, env)
                factor = {"//": floordiv, "%": mod, "min": minimum, "max": maximum}[unknown.kind](
                    a, b
                )
            value = value * factor
        total = total + value
    return total


def hint(dim: Dim) -> int:
    """The value of dim under the hints of its symbols; ValueError if one has none."""
    if isinstance(dim, int):
        return dim
    env = {}
    for s in dim.symbols():
        if s.hint is None:
            raise ValueError(f"the symbolic size {s!r} has no known value")
        env[s.name] = s.hint
    return evaluate(dim, env)


class Guards(list[tuple[str, Dim, Dim]]):
    """Relations between dims, (relation, a, b), that a symbolic derivation relied on."""

    def hold(self, env: Mapping[str, int]) -> bool:
        for rel, a, b in self:
            x, y = evaluate(a, env), evaluate(b, env)
            if not (
                x == y
                if rel == "=="
                else x != y
                if rel == "!="
                else x < y
                if rel == "<"
                else x <= y
            ):
                return False
        return True


_active: list[Guards] = []


@contextmanager
def guards() -> Iterator[Guards]:
    """Collects the relations that are decided by hint inside the block.

    If the block raises, whoever collects outside gets them too: they led to the error.
    """
    collected = Guards()
    _active.append(collected)
    done = False
    try:
        yield collected
        done = True
    finally:
        _active.pop()
        if not done:
            rely(collected)


def rely(relations: Guards) -> None:
    """Leaves relations that were decided earlier with whoever collects guards now."""
    if _active:
        _active[-1].extend(relations)


def symbols_in(thing: object) -> Iterator[Sym]:
    """The symbols of a dim, a tensor type, or a tuple of such; with repetitions."""
    if isinstance(thing, Poly):
        yield from sorted(thing.symbols(), key=lambda s: s.name)
    elif isinstance(thing, tuple):
        for item in thing:
            yield from symbols_in(item)
    else:
        yield from symbols_in(getattr(thing, "shape", ()))


def decide(rel: str, a: Dim, b: Dim) -> bool:
    """Whether `a rel b` ("==", "<", "<="); symbolic cases ask the hints and leave a guard."""
    if isinstance(a, int) and isinstance(b, int):
        return a == b if rel == "==" else a < b if rel == "<" else a <= b
    difference = a - b
    if isinstance(difference, int):
        return difference == 0 if rel == "==" else difference < 0 if rel == "<" else difference <= 0
    # symbols are at least 2, so a polynomial with positive coefficients is bounded below
    low, high = _lower_bound(difference), _lower_bound(-difference)
    if rel == "==" and ((low is not None and low > 0) or (high is not None and high > 0)):
        return False
    if rel != "==":
        strict = rel == "<"
        if low is not None and (low >= 0 if strict else low > 0):
            return False
        if high is not None and (high > 0 if strict else high >= 0):
            return True
    x, y = hint(a), hint(b)
    answer = x == y if rel == "==" else x < y if rel == "<" else x <= y
    if _active:
        if answer:
            _active[-1].append((rel, a, b))
        else:
            _active[-1].append(("!=", a, b) if rel == "==" else ("<=" if rel == "<" else "<", b, a))
    return answer


def _lower_bound(dim: Dim) -> int | None:
    """A lower bound if every unknown has a positive coefficient and is a symbol, else None."""
    if isinstance(dim, int):
        return dim
    total = 0
    for mono, coef in dim.terms.items():
        if mono and (coef < 0 or any(isinstance(u, Atom) for u in mono)):
            return None
        total += coef * 2 ** len(mono)
    return total


def same(a: Dim, b: Dim) -> bool:
    """Whether two dims are equal (structurally, else by hint with a guard)."""
    return a == b or decide("==", a, b)
