"""`out=`: what is written, resized, warned about and refused, as PyTorch does."""

import warnings

import numpy as np
import pytest
import torch

import tracec

F64 = "float64"
X = np.array([[0.25, 0.5, 0.75], [0.125, 0.375, 0.625]])
Y = np.array([[1.0, 2.0, 0.5], [3.0, 0.25, 1.5]])
# name: the call with tensors x and y; it passes keywords on
CALLS = {
    "abs": lambda lib, x, y, **k: lib.abs(x, **k),
    "add": lambda lib, x, y, **k: lib.add(x, y, alpha=2, **k),
    "special.expit": lambda lib, x, y, **k: lib.special.expit(x, **k),
    "sum": lambda lib, x, y, **k: lib.sum(x, 1, **k),
    "matmul": lambda lib, x, y, **k: lib.matmul(x, y.mT, **k),
    "cat": lambda lib, x, y, **k: lib.cat([x, y], **k),
    "max": lambda lib, x, y, **k: lib.max(x, 1, **k),
    "sort": lambda lib, x, y, **k: lib.sort(x, 1, **k),
    "linalg.qr": lambda lib, x, y, **k: lib.linalg.qr(x, **k),
    "renorm": lambda lib, x, y, **k: lib.renorm(x, 2, 0, 0.5, **k),
    "gelu": lambda lib, x, y, **k: lib.nn.functional.gelu(x, **k),
    "softplus": lambda lib, x, y, **k: (
        lib._C._nn.softplus(x, **k) if lib is torch else lib.nn.functional.softplus(x, **k)
    ),  # fmt: skip
    "hardshrink": lambda lib, x, y, **k: lib.hardshrink(x, 0.3, **k),
    "avg_pool2d": lambda lib, x, y, **k: lib.nn.functional.avg_pool2d(x[None], 2, **k),
    "slice_scatter": lambda lib, x, y, **k: lib.slice_scatter(x, y[:, :2], 1, 0, 2, **k),
    "narrow_copy": lambda lib, x, y, **k: lib.narrow_copy(x, 1, 1, 2, **k),
    "zeros": lambda lib, x, y, **k: lib.zeros(2, 3, **k),
    "eye": lambda lib, x, y, **k: lib.eye(2, **k),
    "linspace": lambda lib, x, y, **k: lib.linspace(0, 1, 4, **k),
}
NO_GRADIENT = ("slice_scatter", "zeros", "eye", "linspace")  # PyTorch does not refuse these


def outs(lib, results, shape, kind=None):
    """Fresh tensors for results of the given dtypes; shape: None for theirs."""
    made = []
    for r in results:
        dtype = getattr(lib, kind or str(r.dtype).removeprefix("torch."))
        made.append(lib.zeros(tuple(r.shape) if shape is None else shape, dtype=dtype))
    return tuple(made)


def outcome(lib, name, shape, kind=None, grad=False):
    x, y = (lib.from_numpy(a.copy()) for a in (X, Y))
    found = CALLS[name](torch, torch.from_numpy(X.copy()), torch.from_numpy(Y.copy()))
    made = outs(lib, found if isinstance(found, tuple) else (found,), shape, kind)
    if grad:
        x.requires_grad_()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            r = CALLS[name](lib, x, y, out=made if len(made) > 1 else made[0])
        except (RuntimeError, TypeError) as error:
            return type(error), str(error)
    assert all(a is b for a, b in zip(r if isinstance(r, tuple) else (r,), made, strict=True))
    texts = [str(w.message)[:120] for w in caught if "was resized" in str(w.message)]
    values = [np.abs(t.numpy()).round(5).tolist() for t in made]
    return values, [str(t.dtype) for t in made], len(texts)


@pytest.mark.parametrize("shape", [None, (0,), (4, 4)], ids=["fits", "empty", "other shape"])
@pytest.mark.parametrize("name", CALLS)
def test_written_and_resized(name: str, shape) -> None:
    assert outcome(tracec, name, shape) == outcome(torch, name, shape)


@pytest.mark.parametrize("name", [n for n in CALLS if n not in NO_GRADIENT])
def test_inputs_that_require_grad_are_refused(name: str) -> None:
    ours, theirs = (outcome(lib, name, None, grad=True) for lib in (tracec, torch))
    assert ours[0] is theirs[0] is RuntimeError
    assert ours[1].partition("():")[2] == theirs[1].partition("():")[2]
    if name not in ("linalg.qr", "sum"):
        assert ours[1] == theirs[1]


@pytest.mark.parametrize("name", ["add", "matmul", "special.expit"])
def test_results_are_cast_where_they_may_be(name: str) -> None:
    ours, theirs = (outcome(lib, name, None, "int64") for lib in (tracec, torch))
    assert ours[0] is theirs[0] is RuntimeError
    assert name == "matmul" or ours == theirs
    if name != "matmul":
        assert outcome(tracec, name, None, "complex128") == outcome(torch, name, None, "complex128")


def test_what_was_made_of_an_array_can_be_resized() -> None:
    for x in (tracec.linspace(0, 1, 3), tracec.tensor([1.0, 2.0]), tracec.zeros((0,))):
        x.sum().item()
        assert tuple(x.resize_(7).shape) == (7,)
    array = np.ones(3)
    with pytest.raises(RuntimeError, match="Trying to resize storage that is not resizable"):
        tracec.from_numpy(array).resize_(5)


@pytest.mark.parametrize("make", ["zeros", "full", "eye", "arange", "randn", "empty"])
def test_factories_take_the_dtype_of_out(make: str) -> None:
    def text(lib):
        arguments = {"full": ((2,), 1.5), "empty": (2,)}.get(make, (3,))
        kinds = ("float64",) if make == "randn" else ("int64", "float64")
        for kind in kinds:
            out = lib.zeros(5, dtype=getattr(lib, kind))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore" if make == "arange" else "error")
                assert getattr(lib, make)(*arguments, out=out) is out
            assert str(out.dtype) == f"torch.{kind}"
        with pytest.raises(RuntimeError) as error:
            getattr(lib, make)(*arguments, dtype=lib.float32, out=out)
        return str(error.value)

    assert text(tracec) == text(torch)
