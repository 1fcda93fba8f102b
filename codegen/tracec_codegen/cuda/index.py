"""Index expressions (dims) as 64-bit integer expressions of C."""

from __future__ import annotations

from collections.abc import Callable

from tracec_ir.dims import Atom, Dim, Poly, Sym

Spelling = Callable[[str], str]
Natural = Callable[[str], bool]


def expression(dim: Dim, spell: Spelling, natural: Natural) -> str:
    """The value of `dim`. `spell(name)` is the C text of a symbol as a long long; `natural(name)`
    says that it is never negative (a size or a loop variable)."""
    if isinstance(dim, int):
        return str(dim) if abs(dim) < 1 << 31 else f"{dim}LL"
    parts: list[str] = []
    for mono, coef in sorted(dim.terms.items(), key=lambda t: (not t[0], repr(t[0]))):
        factors = [_unknown(u, spell, natural) for u in mono]
        if abs(coef) != 1 or not factors:
            factors.insert(0, expression(abs(coef), spell, natural))
        sign = "-" if coef < 0 else "+" if parts else ""
        parts.append(f" {sign} " if parts else sign)
        parts.append(" * ".join(factors))
    return "".join(parts)


def _unknown(u: Sym | Atom, spell: Spelling, natural: Natural) -> str:
    if isinstance(u, Sym):
        return spell(u.name)
    a, b = (expression(d, spell, natural) for d in (u.a, u.b))
    if u.kind in ("//", "%") and nonnegative(u.a, natural) and nonnegative(u.b, natural):
        sign = "/" if u.kind == "//" else "%"  # C divides toward zero
        return f"({_operand(a)} {sign} {_operand(b)})"
    name = {"//": "floor_divide", "%": "remainder"}.get(u.kind, u.kind)
    return f"tc::{name}({long_long(u.a, a)}, {long_long(u.b, b)})"


def _operand(text: str) -> str:
    return f"({text})" if " " in text else text


def long_long(dim: Dim, text: str) -> str:
    """The text of a dim such that its type is long long; only numbers may be narrower."""
    return f"{dim}LL" if isinstance(dim, int) else text


def nonnegative(dim: Dim, natural: Natural) -> bool:
    """Whether `dim` is surely not negative."""
    if isinstance(dim, int):
        return dim >= 0
    return all(
        coef >= 0 and all(_unknown_nonnegative(u, natural) for u in mono)
        for mono, coef in dim.terms.items()
    )


def _unknown_nonnegative(u: Sym | Atom, natural: Natural) -> bool:
    if isinstance(u, Sym):
        return natural(u.name)
    a, b = nonnegative(u.a, natural), nonnegative(u.b, natural)
    if u.kind == "max":
        return a or b
    return b if u.kind == "%" else a and b


def upper_bound(dim: Dim) -> int | None:
    """A number that `dim` never exceeds, if its text alone tells one."""
    if isinstance(dim, int):
        return dim
    if isinstance(dim, Poly) and len(dim.terms) == 1:
        ((mono, coef),) = dim.terms.items()
        if coef == 1 and len(mono) == 1 and isinstance(mono[0], Atom) and mono[0].kind == "min":
            bounds = [b for b in map(upper_bound, (mono[0].a, mono[0].b)) if b is not None]
            return min(bounds, default=None)
    return None
