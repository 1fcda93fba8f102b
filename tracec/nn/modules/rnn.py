"""Owns the recurrent layers RNN, LSTM and GRU, over padded or packed sequences."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

import tracec

from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module
from .rnn_cell import GRUCell, LSTMCell, RNNCell, RNNCellBase, gru_step, lstm_step, rnn_step

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Module):
    """Layers of one recurrence, possibly in both directions."""

    __constants__ = [
        "mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout",
        "bidirectional", "proj_size",
    ]  # fmt: skip

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._check_options(dropout)
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        gate_size = _GATES[mode] * hidden_size
        state_size = proj_size if proj_size > 0 else hidden_size
        directions = 2 if bidirectional else 1
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(num_layers):
            layer_input = input_size if layer == 0 else state_size * directions
            for direction in range(directions):
                suffix = self._suffix(layer, direction)
                shapes[f"weight_ih{suffix}"] = (gate_size, layer_input)
                shapes[f"weight_hh{suffix}"] = (gate_size, state_size)
                if bias:
                    shapes[f"bias_ih{suffix}"] = (gate_size,)
                    shapes[f"bias_hh{suffix}"] = (gate_size,)
                if proj_size > 0:
                    shapes[f"weight_hr{suffix}"] = (proj_size, hidden_size)
        for name, shape in shapes.items():
            weight = tracec.empty(shape, device=device, dtype=dtype)
            self.register_parameter(name, Parameter(weight))
        self.reset_parameters()

    def _check_options(self, dropout: Any) -> None:
        if (
            not isinstance(dropout, numbers.Number)
            or not 0 <= dropout <= 1  # type: ignore[operator]
            or isinstance(dropout, bool)
        ):
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={self.num_layers}",
                stacklevel=4,
            )
        for name, kind in (
            ("bias", bool), ("batch_first", bool), ("input_size", int), ("hidden_size", int),
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise TypeError(
                    f"{name} should be of type {kind.__name__}, got: {type(value).__name__}"
                )
        for name in ("input_size", "hidden_size", "num_layers"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if self.proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if self.proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")

    @staticmethod
    def _suffix(layer: int, direction: int) -> str:
        return f"_l{layer}" + ("_reverse" if direction else "")

    def flatten_parameters(self) -> None:
        """Nothing to do: weights need no common block of memory here."""

    def reset_parameters(self) -> None:
        """Draw new weights."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    @property
    def all_weights(self) -> list[list[Any]]:
        """The weights of each layer and direction."""
        return [
            self._weights(layer, direction)
            for layer in range(self.num_layers)
            for direction in range(2 if self.bidirectional else 1)
        ]

    def _weights(self, layer: int, direction: int) -> list[Any]:
        suffix = self._suffix(layer, direction)
        names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        if self.proj_size > 0:
            names.append("weight_hr")
        return [getattr(self, name + suffix) for name in names]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size != 0:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.batch_first is not False:
            text += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            text += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text

    # ---- running -------------------------------------------------------------------------

    def _check_input(self, input: Any, packed: bool) -> None:
        weight = self.weight_ih_l0
        if input.dtype != weight.dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), or convert model: "
                f"model.to({input.dtype})"
            )
        expected = 2 if packed else 3
        if input.dim() != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {input.size(-1)}"
            )

    def _check_hidden(self, hidden: Any, batch: int, name: str, size: int) -> None:
        count = self.num_layers * (2 if self.bidirectional else 1)
        expected = (count, batch, size)
        if tuple(hidden.shape) != expected:
            raise RuntimeError(f"Expected {name} {expected}, got {list(hidden.shape)}")

    def _states(self, given: Any, input: Any, batch: int) -> list[Any]:
        """The first states: h, and c of an LSTM; zeros where none are given."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        lstm = self.mode == "LSTM"
        sizes = [self.proj_size or self.hidden_size] + [self.hidden_size] * lstm
        if given is None:
            return [
                tracec.zeros((count, batch, size), dtype=input.dtype, device=input.device)
                for size in sizes
            ]
        states = list(given) if lstm else [given]
        names = ["hidden[0] size", "hidden[1] size"] if lstm else ["hidden size"]
        for state, name, size in zip(states, names, sizes, strict=True):
            self._check_hidden(state, batch, name, size)
        return states

    def forward(self, input: Any, hx: Any = None) -> Any:
        from ..utils.rnn import PackedSequence

        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(
                f"{type(self).__name__}: Expected input to be 2D or 3D, got {input.dim()}D instead"
            )
        batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        if not batched:
            input = input.unsqueeze(batch_dim)
        hx = self._batched_hidden(hx, batched)
        self._check_input(input, False)
        x = input.transpose(0, 1) if self.batch_first else input
        steps, batch = x.size(0), x.size(1)
        states = self._states(hx, x, batch)
        parts, final = self._run(x.reshape(steps * batch, -1), [batch] * steps, states)
        output = tracec.stack(parts)
        if self.batch_first:
            output = output.transpose(0, 1)
        if not batched:
            output = output.squeeze(batch_dim)
            final = [state.squeeze(1) for state in final]
        return output, (tuple(final) if self.mode == "LSTM" else final[0])

    def _batched_hidden(self, hx: Any, batched: bool) -> Any:
        if hx is None:
            return None
        states = hx if self.mode == "LSTM" else (hx,)
        wanted = 3 if batched else 2
        if any(state.dim() != wanted for state in states):
            kind = "batched 3-D" if batched else "unbatched 2-D"
            if self.mode == "LSTM":
                raise RuntimeError(
                    f"For {kind} input, hx and cx should also be {wanted}-D but got "
                    f"({states[0].dim()}-D, {states[1].dim()}-D) tensors"
                )
            raise RuntimeError(
                f"For {kind} input, hx should also be {wanted}-D but got {hx.dim()}-D tensor"
            )
        if not batched:
            states = tuple(state.unsqueeze(1) for state in states)
        return states if self.mode == "LSTM" else states[0]

    def _forward_packed(self, packed: Any, hx: Any) -> Any:
        from ..utils.rnn import PackedSequence

        data, batch_sizes, sorted_indices, unsorted_indices = packed
        sizes = batch_sizes.tolist()
        self._check_input(data, True)
        if hx is not None and sorted_indices is not None:
            states = hx if self.mode == "LSTM" else (hx,)
            states = tuple(state.index_select(1, sorted_indices) for state in states)
            hx = states if self.mode == "LSTM" else states[0]
        parts, final = self._run(data, sizes, self._states(hx, data, sizes[0]))
        output = PackedSequence(tracec.cat(parts), batch_sizes, sorted_indices, unsorted_indices)
        if unsorted_indices is not None:
            final = [state.index_select(1, unsorted_indices) for state in final]
        return output, (tuple(final) if self.mode == "LSTM" else final[0])

    def _run(self, data: Any, sizes: list[int], states: list[Any]) -> tuple[list[Any], list[Any]]:
        """All layers over rows sorted by time; sizes[t] rows (the first ones) live at time t."""
        directions = 2 if self.bidirectional else 1
        finals: list[list[Any]] = [[] for _ in states]
        parts: list[Any] = []
        for layer in range(self.num_layers):
            sides = []
            for direction in range(directions):
                index = layer * directions + direction
                outputs, last = self._run_layer(
                    data, sizes, [state[index] for state in states],
                    self._weights(layer, direction), direction == 1,
                )  # fmt: skip
                sides.append(outputs)
                for column, state in zip(finals, last, strict=True):
                    column.append(state)
            if directions == 2:
                parts = [tracec.cat(pair, -1) for pair in zip(*sides, strict=True)]
            else:
                parts = sides[0]
            if layer < self.num_layers - 1:
                data = tracec.cat(parts)
                if self.dropout > 0 and self.training:
                    data = F.dropout(data, self.dropout, True)
        return parts, [tracec.stack(column) for column in finals]

    def _run_layer(
        self, data: Any, sizes: list[int], states: list[Any], weights: list[Any], reverse: bool
    ) -> tuple[list[Any], list[Any]]:
        w_ih, w_hh, *rest = weights
        b_ih, b_hh = rest[:2] if self.bias else (None, None)
        w_hr = rest[-1] if self.proj_size > 0 else None
        projected = F.linear(data, w_ih, b_ih)  # of all times at once
        starts = [0]
        for size in sizes:
            starts.append(starts[-1] + size)
        outputs: list[Any] = [None] * len(sizes)
        whole = sizes[0] == sizes[-1]
        order = reversed(range(len(sizes))) if reverse else range(len(sizes))
        for t in order:
            size = sizes[t]
            x = projected[starts[t] : starts[t] + size]
            current = states if whole else [state[:size] for state in states]
            new = self._step(x, current, w_hh, b_hh, w_hr)
            outputs[t] = new[0]
            states = new if whole else [
                n if size == s.size(0) else tracec.cat([n, s[size:]])
                for n, s in zip(new, states, strict=True)
            ]  # fmt: skip
        return outputs, states

    def _step(self, x: Any, states: list[Any], w_hh: Any, b_hh: Any, w_hr: Any) -> list[Any]:
        if self.mode == "LSTM":
            h, c = lstm_step(x, states[0], states[1], w_hh, b_hh)
            return [h if w_hr is None else F.linear(h, w_hr), c]
        if self.mode == "GRU":
            return [gru_step(x, states[0], w_hh, b_hh)]
        return [rnn_step(x, states[0], w_hh, b_hh, self.mode == "RNN_RELU")]


class RNN(RNNBase):
    """h' = tanh(W x + U h + b), or relu."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("proj_size", 0):
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        mode = "RNN_TANH" if nonlinearity == "tanh" else "RNN_RELU"
        super().__init__(mode, input_size, hidden_size, num_layers, *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class GRU(RNNBase):
    """Gated recurrent unit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.pop("proj_size", 0):
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)


__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]
