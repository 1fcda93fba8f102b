"""Functions on lists of tensors: values, in-place forms, errors, and few kernels."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import tracec
from tracec import foreach
from tracec_runtime import knobs
from tracec_runtime.events import counts

RNG = np.random.default_rng(0)
SHAPES = ((3,), (2, 2), (), (1, 4))
A, B, C = ([RNG.uniform(0.1, 0.9, s) for s in SHAPES] for _ in range(3))
SCALARS = [0.5, 2.0, 1.5, 0.25]


def operands(lib, *lists):
    return [[lib.from_numpy(np.array(a)) for a in arrays] for arrays in lists]


def binary(name):
    yield lambda f, a, b, c: f(a, b)
    yield lambda f, a, b, c: f(a, 0.5)
    yield lambda f, a, b, c: f(a, SCALARS)
    if name in ("add", "sub"):
        yield lambda f, a, b, c: f(a, b, alpha=2)
    if name in ("add", "mul", "div"):
        yield lambda f, a, b, c: f(a, b[2])
    if name == "pow":
        yield lambda f, a, b, c: f(a, exponent=2)


def pointwise(name):
    yield lambda f, a, b, c: f(a, b, c)
    yield lambda f, a, b, c: f(a, b, c, value=0.5)
    yield lambda f, a, b, c: f(a, b, c, SCALARS)
    yield lambda f, a, b, c: f(a, b, c, type(a[0])(SCALARS).to(a[0].dtype))


def calls(name):
    base = name.removeprefix("_foreach_").rstrip("_")
    if base in ("addcmul", "addcdiv"):
        return pointwise(base)
    if base == "lerp":
        return (lambda f, a, b, c: f(a, b, c), lambda f, a, b, c: f(a, b, 0.3),
                lambda f, a, b, c: f(a, b, weight=SCALARS))  # fmt: skip
    if base in ("norm", "powsum"):
        return (lambda f, a, b, c: f(a), lambda f, a, b, c: f(a, 1), lambda f, a, b, c: f(a, 3.0))
    if base == "copy":
        return (lambda f, a, b, c: f(a, b),)
    if base == "mm":
        return (lambda f, a, b, c: f([x.reshape(1, -1) for x in a], [x.reshape(-1, 1) for x in b]),)
    takes_one = base in ("add sub mul div clamp_min clamp_max maximum minimum pow").split()
    return binary(base) if takes_one else (lambda f, a, b, c: f(a),)


def test_all_of_them_are_there() -> None:
    assert set(foreach.names()) == {n for n in dir(torch) if n.startswith("_foreach")}
    assert all(inspect.isfunction(getattr(tracec, n)) for n in foreach.names())
    assert not hasattr(tracec, "_foreach_nothing")


@pytest.mark.parametrize("name", foreach.names())
def test_values(name: str) -> None:
    for call in calls(name):
        found = []
        for lib in (tracec, torch):
            a, b, c = operands(lib, A, B, C)
            r = call(getattr(lib, name), a, b, c)
            assert isinstance(r, list if name.endswith("_") else tuple)
            if name.endswith("_"):
                assert all(x is y for x, y in zip(r, a, strict=True))
            found.append([x.numpy() for x in r])
        for x, y in zip(*found, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)
            assert x.dtype == y.dtype


def test_a_number_to_several_powers() -> None:
    ours, theirs = (lib._foreach_pow(2.0, operands(lib, A)[0]) for lib in (tracec, torch))
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.numpy(), y.numpy())


def test_gradients_flow() -> None:
    def grads(lib):
        a, b = operands(lib, A, B)
        for x in a:
            x.requires_grad_()
        y = lib._foreach_exp(lib._foreach_mul(a, b))
        return lib.autograd.grad(sum(x.sum() for x in y), a)

    for x, y in zip(grads(tracec), grads(torch), strict=True):
        np.testing.assert_allclose(x.numpy(), y.numpy())


ERRORS = {
    "empty": lambda lib, a, b: lib._foreach_exp([]),
    "lengths": lambda lib, a, b: lib._foreach_add(a, b[:2]),
    "numbers": lambda lib, a, b: lib._foreach_mul(a, [1, 2]),
    "third": lambda lib, a, b: lib._foreach_addcmul(a, a, a[:1]),
    "packed": lambda lib, a, b: lib._foreach_addcmul(a, a, a, lib.tensor([1.0, 2.0])),
    "packed 0": lambda lib, a, b: lib._foreach_addcmul(a, a, a, lib.tensor(1.0)),
    "tensor": lambda lib, a, b: lib._foreach_add(a, lib.ones(2)),
    "leaf": lambda lib, a, b: lib._foreach_add_([lib.ones(2, requires_grad=True)], 1),
    "leaf of an extremum": lambda lib, a, b: lib._foreach_maximum_(
        [lib.ones(2, requires_grad=True)], 1),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    texts = []
    for lib in (tracec, torch):
        with pytest.raises(RuntimeError) as error:
            ERRORS[name](lib, *operands(lib, A, B))
        texts.append(str(error.value))
    assert texts[0] == texts[1]


def test_a_list_is_one_kernel() -> None:
    with knobs.override(tier=1):
        params, grads = ([tracec.rand(n, 5) for n in range(1, 21)] for _ in range(2))
        tracec.cat([x.reshape(-1) for x in params + grads]).sum().item()
        for _ in range(2):
            with counts() as c:
                tracec._foreach_mul_(params, 0.9)
                tracec._foreach_addcdiv_(params, grads, tracec._foreach_add(params, 1.0), value=-1)
                params[0].tolist()
            assert (c.flushes, c.kernels) == (1, 1)


def test_none_is_made_at_import() -> None:
    program = (
        "import sys, json, tracec\n"
        "print(json.dumps(['tracec.foreach' in sys.modules, '_foreach_add' in vars(tracec)]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert json.loads(done.stdout) == [False, False]
