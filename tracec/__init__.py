"""tracec: PyTorch-style eager programs, recorded, fused and compiled.

`import tracec as torch` runs ordinary PyTorch programs. Calls record instructions; values are
computed, by code compiled for the whole recorded trace, when somebody looks at them.
"""

from __future__ import annotations

import builtins as _builtins
from importlib import import_module as _import_module

from tracec_ir.dtypes import (
    DType as dtype,
)
from tracec_ir.dtypes import (
    b1 as bool,
)
from tracec_ir.dtypes import (
    bf16 as bfloat16,
)
from tracec_ir.dtypes import (
    c64 as complex64,
)
from tracec_ir.dtypes import (
    c128 as complex128,
)
from tracec_ir.dtypes import (
    f16 as float16,
)
from tracec_ir.dtypes import (
    f32 as float32,
)
from tracec_ir.dtypes import (
    f64 as float64,
)
from tracec_ir.dtypes import (
    i8 as int8,
)
from tracec_ir.dtypes import (
    i16 as int16,
)
from tracec_ir.dtypes import (
    i32 as int32,
)
from tracec_ir.dtypes import (
    i64 as int64,
)
from tracec_ir.dtypes import (
    u8 as uint8,
)
from tracec_ir.dtypes import (
    u16 as uint16,
)
from tracec_ir.dtypes import (
    u32 as uint32,
)
from tracec_ir.dtypes import (
    u64 as uint64,
)

from . import creation as _creation
from . import indexing as _indexing
from . import spaced as _spaced
from . import views as _views
from .autograd.mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .creation import (
    Layout as layout,
)
from .creation import (
    MemoryFormat as memory_format,
)
from .creation import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    preserve_format,
    sparse_bsc,
    sparse_bsr,
    sparse_coo,
    sparse_csc,
    sparse_csr,
    strided,
)
from .device import Device as device
from .parameter_names import numpy_names as _numpy_names
from .printing import set_printoptions
from .record import synchronize as _synchronize
from .spec import Size
from .tensor import Tensor
from .typeinfo import (
    can_cast,
    finfo,
    iinfo,
    is_complex,
    is_floating_point,
    is_tensor,
    promote_types,
)

float, double, half = float32, float64, float16
short, int, long = int16, int32, int64
cfloat, cdouble = complex64, complex128

inf = _builtins.float("inf")
nan = _builtins.float("nan")
pi = 3.141592653589793
e = 2.718281828459045
newaxis = None
__version__ = "0.1.0"

for _f in _views.FUNCTIONS + _creation.FUNCTIONS + _spaced.FUNCTIONS:
    globals()[_f.__name__] = _numpy_names(_f)
globals()["range"] = _spaced.range_

from . import dense as _dense  # noqa: E402
from . import resizing as _resizing  # noqa: E402  (needs the classes above)

for _f in _resizing.METHODS + _dense.METHODS:
    setattr(Tensor, _f.__name__, _f)
resize_as_ = _resizing.resize_as_

from . import ops as _ops  # noqa: E402  (needs the names above)

_ops.install(globals(), Tensor)

from .precision import (  # noqa: E402
    get_float32_matmul_precision,
    set_float32_matmul_precision,
)
from .random import (  # noqa: E402
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from .threads import (  # noqa: E402
    get_num_interop_threads,
    get_num_threads,
    set_num_interop_threads,
    set_num_threads,
)

_LAZY_MODULES = (
    "accelerator",
    "amp",
    "autograd",
    "backends",
    "compiler",
    "cpu",
    "cuda",
    "distributed",
    "distributions",
    "export",
    "fft",
    "func",
    "jit",
    "linalg",
    "masked",
    "mps",
    "multiprocessing",
    "nn",
    "optim",
    "random",
    "serialization",
    "signal",
    "special",
    "testing",
    "utils",
    "version",
    "xpu",
)
_SECOND_SPELLINGS = (
    "alpha_dropout",
    "as_strided_",
    "bilinear",
    "binary_cross_entropy_with_logits",
    "chain_matmul",
    "cosine_embedding_loss",
    "ctc_loss",
    "detach_",
    "embedding",
    "feature_alpha_dropout",
    "feature_dropout",
    "fill_",
    "frobenius_norm",
    "get_device",
    "gru_cell",
    "hinge_embedding_loss",
    "index_put_",
    "instance_norm",
    "is_anomaly_enabled",
    "is_same_size",
    "is_signed",
    "is_storage",
    "kl_div",
    "lstm_cell",
    "margin_ranking_loss",
    "norm_except_dim",
    "nuclear_norm",
    "poisson_nll_loss",
    "rnn_relu_cell",
    "rnn_tanh_cell",
    "rrelu",
    "set_anomaly_enabled",
    "set_flush_denormal",
    "triplet_margin_loss",
    "typename",
)
_LAZY_NAMES = {
    **dict.fromkeys(_SECOND_SPELLINGS, "spellings"),
    "save": "serialization",
    "load": "serialization",
    "script": "jit",
    "trace": "jit",
    "explain": "looking",
    "stats": "looking",
    "compile": "compiling",
    "vmap": "func",
    "Parameter": "nn.parameter",
    "autocast": "amp",
    "is_autocast_enabled": "amp.autocast_mode",
    "set_autocast_enabled": "amp.autocast_mode",
    "get_autocast_dtype": "amp.autocast_mode",
    "set_autocast_dtype": "amp.autocast_mode",
    "is_autocast_cache_enabled": "amp.autocast_mode",
    "set_autocast_cache_enabled": "amp.autocast_mode",
    "clear_autocast_cache": "amp.autocast_mode",
    "get_autocast_cpu_dtype": "amp.autocast_mode",
    "get_autocast_gpu_dtype": "amp.autocast_mode",
    "is_autocast_cpu_enabled": "amp.autocast_mode",
    "TypedStorage": "storages",
    "UntypedStorage": "storages",
    "set_default_tensor_type": "legacy",
    "_assert": "checks",
    "_check": "checks",
    "_check_index": "checks",
    "_check_is_size": "checks",
    "_check_not_implemented": "checks",
    "_check_tensor_all": "checks",
    "_check_type": "checks",
    "_check_value": "checks",
    "use_deterministic_algorithms": "settings",
    "are_deterministic_algorithms_enabled": "settings",
    "is_deterministic_algorithms_warn_only_enabled": "settings",
    "set_deterministic_debug_mode": "settings",
    "get_deterministic_debug_mode": "settings",
    "set_warn_always": "settings",
    "is_warn_always_enabled": "settings",
}


def __getattr__(name: str):
    if name in _LAZY_MODULES:
        return _import_module(f"{__name__}.{name}")
    owner = _LAZY_NAMES.get(name)
    if owner is not None:
        value = getattr(_import_module(f"{__name__}.{owner}"), name)
        globals()[name] = value
        return value
    if name.startswith("_foreach_"):
        value = _import_module(f"{__name__}.foreach").function(name)
        if value is not None:
            globals()[name] = value
            return value
    if name.endswith("Tensor"):
        value = _import_module(f"{__name__}.legacy").tensor_type(name)
        if value is not None:
            globals()[name] = value
            return value
    raise AttributeError(f"module 'tracec' has no attribute '{name}'")
