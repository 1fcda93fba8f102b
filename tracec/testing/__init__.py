"""Comparing tensors in tests."""

from __future__ import annotations

import numpy as np

from ..tensor import Tensor

# PyTorch's default tolerances by dtype: (relative, absolute)
_TOLERANCE = {
    "f16": (1e-3, 1e-5), "bf16": (1.6e-2, 1e-5), "f32": (1.3e-6, 1e-5), "f64": (1e-7, 1e-7),
    "c64": (1.3e-6, 1e-5), "c128": (1e-7, 1e-7),
}  # fmt: skip


def assert_close(
    actual,
    expected,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg=None,
) -> None:
    """Raises AssertionError unless `|actual - expected| <= atol + rtol * |expected|` everywhere and
    shapes and dtypes agree. Sequences and mappings are compared item by item."""
    options = {
        "rtol": rtol,
        "atol": atol,
        "equal_nan": equal_nan,
        "check_dtype": check_dtype,
        "check_stride": check_stride,
        "msg": msg,
    }
    if isinstance(actual, dict) and isinstance(expected, dict):
        if actual.keys() != expected.keys():
            raise AssertionError("The keys of the mappings do not match")
        for key in expected:
            assert_close(actual[key], expected[key], **options)
        return
    if isinstance(actual, (list, tuple)) and isinstance(expected, (list, tuple)):
        if len(actual) != len(expected):
            raise AssertionError(
                f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
            )
        for a, b in zip(actual, expected):
            assert_close(a, b, **options)
        return
    if (rtol is None) != (atol is None):
        raise ValueError("rtol and atol must both be specified or both be unspecified")
    _compare(actual, expected, rtol, atol, equal_nan, check_dtype, check_stride, msg)


def _compare(actual, expected, rtol, atol, equal_nan, check_dtype, check_stride, msg) -> None:
    if isinstance(actual, Tensor) and isinstance(expected, Tensor):
        if actual.shape != expected.shape:
            raise AssertionError(
                f"The values for attribute 'shape' do not match: {actual.shape} != "
                f"{expected.shape}."
            )
        if check_dtype and actual.dtype is not expected.dtype:
            raise AssertionError(
                f"The values for attribute 'dtype' do not match: {actual.dtype} != "
                f"{expected.dtype}."
            )
        if check_stride and actual.stride() != expected.stride():
            raise AssertionError(
                f"The values for attribute 'stride()' do not match: {actual.stride()} != "
                f"{expected.stride()}."
            )
    codes = [t.dtype.code for t in (actual, expected) if isinstance(t, Tensor)]
    if rtol is None:
        found = [_TOLERANCE.get(c, (0.0, 0.0)) for c in codes] or [(1e-7, 1e-7)]
        rtol, atol = max(r for r, _ in found), max(a for _, a in found)
    a, b = (_array(t) for t in (actual, expected))
    close = np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if close.all():
        return
    if msg is not None:
        raise AssertionError(msg("Tensor-likes are not close!") if callable(msg) else msg)
    with np.errstate(all="ignore"):
        difference = np.abs(a - b)
        relative = difference / np.abs(b)
    raise AssertionError(
        "Tensor-likes are not close!\n\n"
        f"Mismatched elements: {int((~close).sum())} / {close.size} "
        f"({100 * (~close).mean():.1f}%)\n"
        f"Greatest absolute difference: {np.nanmax(difference)} (up to {atol} allowed)\n"
        f"Greatest relative difference: {np.nanmax(relative)} (up to {rtol} allowed)"
    )


def _array(t) -> np.ndarray:
    if isinstance(t, Tensor):
        array = t.detach().numpy() if t.dtype.code != "bf16" else t.detach().float().numpy()
    else:
        array = np.asarray(t)
    return array.astype("complex128" if array.dtype.kind == "c" else "float64")


def assert_allclose(
    actual, expected, rtol=None, atol=None, equal_nan: bool = True, msg: str = ""
) -> None:
    """`assert_close` under its old name: arrays and numbers are taken too, dtypes may differ."""
    import warnings

    from ..creation import as_tensor

    warnings.warn(
        "`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a "
        "future release. Please use `torch.testing.assert_close()` instead.",
        FutureWarning,
        stacklevel=2,
    )
    if not isinstance(actual, Tensor):
        actual = as_tensor(actual)
    if not isinstance(expected, Tensor):
        expected = as_tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        rtol, atol = max(
            ({"f16": (1e-3, 1e-3), "bf16": (1e-2, 1e-3), "f32": (1e-4, 1e-5), "f64": (1e-5, 1e-8)}
             .get(t.dtype.code, (0.0, 0.0)) for t in (actual, expected)),
        )  # fmt: skip
    assert_close(
        actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False,
        msg=msg or None,
    )  # fmt: skip
