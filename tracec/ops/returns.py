"""The named tuples that functions with several results return, as `torch.return_types`."""

from __future__ import annotations

from collections import namedtuple


def _text(self) -> str:
    rows = ",\n".join(f"{n}={v!r}" for n, v in zip(self._fields, self, strict=True))
    return f"torch.return_types.{type(self).__name__}(\n{rows})"


def _pair(name: str, *fields: str):
    kind = namedtuple(name, fields)
    kind.__module__ = "torch.return_types"
    kind.__repr__ = _text  # type: ignore[method-assign]
    return kind


max_ = _pair("max", "values", "indices")
min_ = _pair("min", "values", "indices")
median = _pair("median", "values", "indices")
nanmedian = _pair("nanmedian", "values", "indices")
mode = _pair("mode", "values", "indices")
kthvalue = _pair("kthvalue", "values", "indices")
sort = _pair("sort", "values", "indices")
topk = _pair("topk", "values", "indices")
cummax = _pair("cummax", "values", "indices")
cummin = _pair("cummin", "values", "indices")
aminmax = _pair("aminmax", "min", "max")
frexp = _pair("frexp", "mantissa", "exponent")
histogram = _pair("histogram", "hist", "bin_edges")
histogramdd = _pair("histogramdd", "hist", "bin_edges")
inv_ex = _pair("linalg_inv_ex", "inverse", "info")
lu_factor = _pair("linalg_lu_factor", "LU", "pivots")
lu_factor_ex = _pair("linalg_lu_factor_ex", "LU", "pivots", "info")
lu_with_info = _pair("_lu_with_info", "LU", "pivots", "info")
lu = _pair("linalg_lu", "P", "L", "U")
lu_unpack = _pair("lu_unpack", "P", "L", "U")
ldl_factor = _pair("linalg_ldl_factor", "LD", "pivots")
ldl_factor_ex = _pair("linalg_ldl_factor_ex", "LD", "pivots", "info")
lstsq = _pair("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
geqrf = _pair("geqrf", "a", "tau")
solve_ex = _pair("linalg_solve_ex", "result", "info")
cholesky_ex = _pair("linalg_cholesky_ex", "L", "info")
triangular_solve = _pair("triangular_solve", "solution", "cloned_coefficient")
slogdet = _pair("slogdet", "sign", "logabsdet")
linalg_slogdet = _pair("linalg_slogdet", "sign", "logabsdet")
eig = _pair("linalg_eig", "eigenvalues", "eigenvectors")
eigh = _pair("linalg_eigh", "eigenvalues", "eigenvectors")
qr = _pair("qr", "Q", "R")
linalg_qr = _pair("linalg_qr", "Q", "R")
svd = _pair("linalg_svd", "U", "S", "Vh")
svd_v = _pair("svd", "U", "S", "V")
