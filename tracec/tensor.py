"""The Tensor: a view of a storage, with PyTorch's face.

Here stand the attributes, the operators (tuned: they are the hot path) and autograd's methods.
Views are in `views.py`, indexing in `indexing.py`, the op methods come from `ops/`.
"""

from __future__ import annotations

import builtins

from tracec_ir import dtypes
from tracec_ir.dtypes import DType

from . import record
from .autograd import backward as _backward
from .device import CPU, Device
from .inplace import check, update
from .record import Flush, apply, binary, flush, unary
from .spec import Size, Spec, private
from .storage import Storage, storage
from .trie import Wrapped

_new = object.__new__


class Tensor:
    """A multi-dimensional array of one dtype. Make one with `tracec.tensor` or a factory
    function."""

    __slots__ = ("_st", "_spec", "_rg", "__dict__", "__weakref__")
    __array_priority__ = 1000  # NumPy's operators leave mixed expressions to ours

    # rarely set, hence not slots: they live in the instance dictionary once they differ
    _leaf = None  # autograd.graph.Leaf of a leaf that requires grad
    _grad = None
    _base = None  # the tensor that this is a view of
    _hooks = None
    _post_hooks = None
    _retain = None
    _untracked = False  # made by `.data`: writes through it are not seen by autograd
    _fn = None  # name of the operation that made it, for repr
    name = None

    def __new__(cls, *args, device=None):
        from .legacy import new_of_class

        return new_of_class(cls, args, device)

    # -- description ------------------------------------------------------------------------------
    @property
    def shape(self) -> Size:
        """The size of every dimension."""
        return self._spec.shape

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return self._spec.dtype

    @property
    def device(self) -> Device:
        """Where the elements are."""
        return self._spec.device

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._spec.shape)

    def size(self, dim: int | None = None):
        """The shape, or the size of dimension `dim`. IndexError if there is no such dimension."""
        shape = self._spec.shape
        if dim is None:
            return shape
        return shape[wrap_dim(dim, len(shape))]

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self._spec.shape)

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return self._spec.numel

    nelement = numel

    def stride(self, dim: int | None = None):
        """The strides in elements, or that of dimension `dim`."""
        strides = self._spec.strides
        return strides if dim is None else strides[wrap_dim(dim, len(strides))]

    def storage_offset(self) -> int:
        """The place of the first element in the storage, in elements."""
        return self._spec.offset

    def element_size(self) -> int:
        """The bytes of one element."""
        return self._spec.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self._spec.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self._spec.nbytes

    def is_contiguous(self, memory_format=None) -> bool:
        """Whether the elements lie in memory in the order of their indices, without gaps."""
        return self._spec.contiguous

    def is_floating_point(self) -> bool:
        """Whether the dtype is a floating one (complex ones are not)."""
        return self._spec.dtype.kind == "f"

    def is_complex(self) -> bool:
        """Whether the dtype is a complex one."""
        return self._spec.dtype.kind == "c"

    def is_signed(self) -> bool:
        """Whether the dtype has negative numbers."""
        return self._spec.dtype.is_signed

    @property
    def is_cuda(self) -> bool:
        """Whether the elements are on a GPU."""
        return self._spec.device.type == "cuda"

    is_cpu = property(
        lambda self: self._spec.device.type == "cpu",
        doc="Whether the elements are in the memory of the CPU.",
    )
    is_sparse = property(lambda self: False, doc="Never: there are no sparse tensors.")
    is_quantized = property(lambda self: False, doc="Never: there are no quantized tensors.")
    is_meta = property(lambda self: False, doc="Never: every tensor has, or will have, values.")
    is_mps = property(lambda self: False, doc="Never: there are no tensors on Apple's GPUs.")
    layout = property(lambda self: _strided(), doc="How elements are kept: always tracec.strided.")

    def get_device(self) -> int:
        """The number of the GPU that holds the elements; -1 on the CPU."""
        return -1 if self._spec.device.type == "cpu" else self._spec.device.index or 0

    def __len__(self) -> int:
        shape = self._spec.shape
        if not shape:
            raise TypeError("len() of a 0-d tensor")
        return shape[0]

    @property
    def _version(self) -> int:
        """How often the storage was written in place."""
        return self._st.version

    # -- values -----------------------------------------------------------------------------------
    def _array(self, reason: Flush = Flush.VALUE):
        """The values as a NumPy array on the tensor's own memory; executes what is pending."""
        st = self._st
        tr = st.trace
        if tr is not None:
            if tr.nested:
                return tr.value(self, reason)
            if tr is record.current():
                flush(reason)
            elif st.buf is None or st.held > 1:
                record.flush_foreign(tr)
        if st.buf is None:
            raise RuntimeError(
                "the value of this tensor was never computed because an earlier operation failed"
            )
        return _of_buffer(st.buf, self._spec)

    def _known(self):
        """The values as a NumPy array if reading them executes nothing, else None."""
        st = self._st
        if st.buf is None or (st.trace is not None and (st.held > 1 or st.trace.nested)):
            return None
        return _of_buffer(st.buf, self._spec)

    def item(self):
        """The value of a tensor with one element as a Python number."""
        if self._spec.numel != 1:
            raise RuntimeError(
                f"a Tensor with {self._spec.numel} elements cannot be converted to Scalar"
            )
        value = self._array().reshape(()).item()
        return float(value) if self._spec.dtype.code == "bf16" else value

    def tolist(self):
        """The values as nested lists of Python numbers."""
        array = self._array()
        return (array.astype("float32") if self._spec.dtype.code == "bf16" else array).tolist()

    def numpy(self, *, force: builtins.bool = False):
        """A NumPy array sharing this tensor's memory."""
        if force:
            return self.detach().cpu().numpy()
        if self._rg:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        if self._spec.dtype.code == "bf16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self._array()

    def __array__(self, dtype=None, copy=None):
        array = self.numpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    def data_ptr(self) -> int:
        """The address of the first element."""
        self._array()
        return self._st.buf.addr + self._spec.offset * self._spec.dtype.itemsize

    def __dlpack__(self, **options):
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self):
        return (1, 0)

    def __bool__(self) -> builtins.bool:
        n = self._spec.numel
        if n != 1:
            if n == 0:
                raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return builtins.bool(self.item())

    def _only(self):
        """`item()` for a conversion by Python: ValueError for another number of elements."""
        if self._spec.numel != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return self.item()

    def __float__(self) -> float:
        return builtins.float(self._only())

    def __int__(self) -> int:
        return builtins.int(self._only())

    def __complex__(self) -> complex:
        return complex(self._only())

    def __index__(self) -> int:
        if self._spec.numel != 1 or self._spec.dtype.kind not in "iub":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return builtins.int(self.item())

    def __format__(self, spec: str) -> str:
        if self._spec.shape == () and type(self) is Tensor:
            return self.item().__format__(spec)
        return object.__format__(self, spec)

    def __repr__(self, *, tensor_contents=None) -> str:
        from .printing import tensor_text

        return tensor_text(self)

    __str__ = __repr__

    def __hash__(self) -> int:
        return id(self)

    def __contains__(self, element) -> builtins.bool:
        return (self == element).any().item()

    # -- autograd ---------------------------------------------------------------------------------
    @property
    def requires_grad(self) -> builtins.bool:
        """Whether gradients are computed for this tensor. Setting it: RuntimeError
        unless it is a floating or complex leaf."""
        return self._rg == 1 or (
            self._base is not None and self._base._rg == 1 and self._leaf is None
        )

    @requires_grad.setter
    def requires_grad(self, on: builtins.bool) -> None:
        """Whether gradients are computed for this tensor. Setting it: RuntimeError
        unless it is a floating or complex leaf."""
        self.requires_grad_(on)

    def requires_grad_(self, requires_grad: builtins.bool = True) -> Tensor:
        """Marks a leaf as wanting a gradient (or not). RuntimeError for what cannot have one."""
        if requires_grad == builtins.bool(self._rg):
            return self
        if not requires_grad:
            if self._leaf is None:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to "
                    "use a "
                    "computed variable in a subgraph that doesn't require differentiation use "
                    "var_no_grad = var.detach()."
                )
            if self._st.source is self._leaf:
                self._st.source = None
            self._spec, self._leaf, self._rg = self._spec.canonical, None, 0
            return self
        if self._spec.dtype.kind not in "fc":
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        from .autograd.edges import has_history
        from .autograd.graph import Leaf

        st = self._st
        self._leaf = Leaf(self)
        if self._spec is st.spec and st.source is None and not has_history(st):
            st.source = self._leaf
        else:  # the memory already belongs to another node of the graph
            self._spec = private(self._spec)
        self._rg = 1
        return self

    @property
    def is_leaf(self) -> builtins.bool:
        """Whether no recorded operation made this tensor."""
        return not self._rg or self._leaf is not None

    @property
    def grad(self):
        """What `backward()` has accumulated, or None."""
        return self._grad

    @grad.setter
    def grad(self, value) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    "assigned grad expected to be a Tensor or None but got grad of type "
                    f"{type(value).__name__}"
                )
            if value._spec.shape != self._spec.shape:
                raise RuntimeError(
                    f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor "
                    "of size "
                    f"'{list(self.shape)}'. Please ensure that the gradient and the tensor are "
                    "the same size"
                )
            if value._spec.dtype is not self._spec.dtype:
                raise RuntimeError(
                    f"attempting to assign a gradient with dtype '{value.dtype}' to a tensor with "
                    "dtype "
                    f"'{self.dtype}'. Please ensure that the gradient and the tensor have the "
                    "same dtype"
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def grad_fn(self):
        """The node of the graph that made this tensor; None for leaves."""
        if not self.requires_grad or self._leaf is not None:
            return None
        from .autograd.node import node_of

        return node_of(self)

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None) -> None:
        """Adds the gradient of this tensor to the `.grad` of the leaves it depends on."""
        _backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def detach(self) -> Tensor:
        """The same values (shared memory) without gradient history."""
        t = _new(Tensor)
        t._st, t._spec, t._rg = self._st, self._spec.canonical, 0
        return t

    def detach_(self) -> Tensor:
        """Cuts this tensor off its history, in place; RuntimeError for views."""
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        if self._rg:
            fresh = self.detach().clone()
            self._st, self._spec, self._rg, self._leaf = fresh._st, fresh._spec, 0, None
        return self

    @property
    def data(self) -> Tensor:
        """The same values without history; writes through it are not seen by autograd."""
        t = self.detach()
        t._untracked = True
        return t

    @data.setter
    def data(self, other: Tensor) -> None:
        if not isinstance(other, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(other).__name__}")
        if self._st is other._st:
            return
        leaf = self._leaf
        self._st, self._spec = other._st, other._spec.canonical
        if leaf is not None:
            self._rg, self._leaf = 0, None
            self.requires_grad_(True)

    def retain_grad(self) -> None:
        """Keeps the gradient of a non-leaf in `.grad` after backward."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._leaf is None and self._retain is None:
            from .autograd.cut import retain

            retain(self)

    @property
    def retains_grad(self) -> builtins.bool:
        """Whether a non-leaf keeps its gradient, see `retain_grad`."""
        return self._retain is not None

    def register_hook(self, hook):
        """Calls `hook(grad)` when the gradient of this tensor is known; its result replaces it."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        from .autograd.cut import add_hook

        return add_hook(self, hook)

    def register_post_accumulate_grad_hook(self, hook):
        """Calls `hook(tensor)` after a gradient was added to a leaf's `.grad`."""
        if self._leaf is None:
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        from .autograd.cut import RemovableHandle

        if self._post_hooks is None:
            self._post_hooks = {}
        return RemovableHandle(self._post_hooks, hook)

    def __deepcopy__(self, memo: dict) -> Tensor:
        if id(self) in memo:
            return memo[id(self)]
        if self._rg and self._leaf is None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol at the moment.  If you were attempting to deepcopy a module, this may be "
                "because of a torch.nn.utils.weight_norm usage, see "
                "https://github.com/pytorch/pytorch/pull/103001"
            )
        from copy import deepcopy

        fresh = self.detach().clone()
        out = _new(type(self))
        out._st, out._spec, out._rg = fresh._st, fresh._spec, 0
        memo[id(self)] = out
        for key, value in self.__dict__.items():
            if key not in ("_leaf", "_base"):
                out.__dict__[key] = deepcopy(value, memo)
        if self._rg:
            out.requires_grad_(True)
        return out

    def __reduce_ex__(self, protocol):
        return rebuild, (
            self.detach()._array().copy(),
            self._spec.dtype.code,
            builtins.bool(self._rg),
            type(self),
        )

    # -- operators --------------------------------------------------------------------------------
    def __add__(self, other):
        c = other.__class__
        if c is float or c is int or isinstance(other, Tensor):
            return binary("add", self, other)
        return _other("add", self, other)

    __radd__ = __add__

    def __sub__(self, other):
        c = other.__class__
        if c is float or c is int or isinstance(other, Tensor):
            return binary("sub", self, other)
        return _other("sub", self, other)

    def __rsub__(self, other):
        return _other("sub", other, self)

    def __mul__(self, other):
        c = other.__class__
        if c is float or c is int or isinstance(other, Tensor):
            return binary("mul", self, other)
        return _other("mul", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other):
        c = other.__class__
        if c is float or c is int or isinstance(other, Tensor):
            return binary("div", self, other)
        return _other("div", self, other)

    def __rtruediv__(self, other):
        return _other("div", other, self)

    def __neg__(self):
        return unary("neg", self)

    def __pos__(self):
        return self

    def __abs__(self):
        return unary("abs", self)

    def __iter__(self):
        if not self._spec.shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))


def _comparison(name: str):
    def compare(self, other):
        c = other.__class__
        if c is float or c is int or isinstance(other, Tensor):
            return binary(name, self, other)
        return _other(name, self, other)

    compare.__name__ = f"__{name}__"
    return compare


def _operator(name: str, reverse: bool = False):
    if reverse:

        def op(self, other):
            return _other(name, other, self)
    else:

        def op(self, other):
            return _other(name, self, other)

    return op


def _inplace(name: str):
    def op(self, other):
        check(self)
        return update(self, _other(name, self, other))

    return op


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Tensor, f"__{_name}__", _comparison(_name))
for _python, _name in (
    ("floordiv", "floor_divide"),
    ("mod", "remainder"),
    ("and", "bitwise_and"),
    ("or", "bitwise_or"),
    ("xor", "bitwise_xor"),
    ("lshift", "shl"),
    ("rshift", "shr"),
):
    setattr(Tensor, f"__{_python}__", _operator(_name))
    setattr(Tensor, f"__r{_python}__", _operator(_name, reverse=True))
    setattr(Tensor, f"__i{_python}__", _inplace(_name))
for _python, _name in (("add", "add"), ("sub", "sub"), ("mul", "mul"), ("truediv", "div")):
    setattr(Tensor, f"__i{_python}__", _inplace(_name))


def _other(name: str, x, y):
    """A binary operator on whatever Python hands over; NotImplemented for foreign types."""
    x, y = _operand(x), _operand(y)
    if x is NotImplemented or y is NotImplemented:
        return NotImplemented
    return apply(name, (x, y))


def _operand(x):
    if isinstance(x, (Tensor, float, int, builtins.bool, complex)):
        if x.__class__ in (float, int, builtins.bool, complex) or isinstance(x, Tensor):
            return x
        return x.item() if hasattr(x, "item") else type(x).__mro__[1](x)
    module = type(x).__module__
    if module == "numpy":
        import numpy as np

        if isinstance(x, np.generic):
            return x.item()
        from .creation import from_numpy

        return from_numpy(x)
    return NotImplemented


def _of_buffer(buf, spec: Spec):
    """The array in buf that spec describes."""
    size = spec.dtype.itemsize
    if spec.numel == 0:  # an empty view may point past the end
        return buf.array(tuple(spec.shape), spec.dtype.numpy)
    return buf.array(
        tuple(spec.shape),
        spec.dtype.numpy,
        [s * size for s in spec.strides],
        spec.offset * size,
    )


def wrap_dim(dim: int, rank: int) -> int:
    """`dim` counted from the front; IndexError with PyTorch's wording if it is out of range."""
    n = rank or 1
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    return dim % n


def view_of(x: Tensor, spec: Spec) -> Tensor:
    """The view of x's storage that `spec` describes, sharing gradients with x."""
    t = _new(Tensor)
    rg = x._rg
    try:
        t._st, t._spec, t._rg = x._st, spec, rg if rg and record.current().grad else 0
    except Wrapped as w:
        return w.wrapper.viewed(spec)
    base = x._base
    if base is None or x._leaf is not None:
        base = x
    t._base = base
    if base._spec.canonical is not base._spec:  # a leaf on shared memory
        whole = base._spec.canonical is x._st.spec
        if not whole and base._spec.overlaps():
            raise NotImplementedError(
                "views of a leaf whose own elements overlap in memory; clone() it first"
            )
        if spec is x._st.spec:  # gradients go to the leaf: never taken for the memory itself
            t._spec = private(spec)
    return t


def wrap(buf, spec: Spec, cls: type = Tensor) -> Tensor:
    """A tensor of its own storage holding `buf`."""
    t = _new(cls)
    t._st, t._spec, t._rg = storage(spec, buf), spec, 0
    return t


def rebuild(array, code: str, requires_grad: bool, cls: type) -> Tensor:
    """Unpickles a tensor."""
    from tracec_runtime.memory import from_array

    from .spec import dense

    t = wrap(from_array(array), dense(dtypes.by_code(code), array.shape), cls)
    return t.requires_grad_(True) if requires_grad else t


def _strided():
    from .creation import strided

    return strided


record.Tensor = Tensor
Tensor.__module__ = "tracec"
__all__ = ["CPU", "Storage", "Tensor", "view_of", "wrap", "wrap_dim"]
