"""Short-time Fourier transforms: spectra of overlapping windows of a signal, and back."""

from __future__ import annotations

import warnings

from ..record import apply
from ..tensor import Tensor
from .arguments import need_tensor
from .face import face
from .fourier import fft as _fft
from .fourier import ifft, irfft, rfft


def _lengths(name: str, n_fft: int, hop: int | None, width: int | None) -> tuple[int, int]:
    width = n_fft if width is None else width
    hop = n_fft // 4 if hop is None else hop
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < width <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={width}")
    return hop, width


def _whole_window(name: str, window: Tensor | None, like: Tensor, n_fft: int, width: int) -> Tensor:
    """The window of `width` numbers (ones if there is none) in the middle of n_fft."""
    if window is None:
        real = like.dtype.to_real()
        window = apply("full", (1.0,), (("shape", (width,)), ("dtype", real)))
    elif window.dim() != 1 or window.shape[0] != width:
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={width}, but got "
            f"window with size {list(window.shape)}"
        )
    left = (n_fft - width) // 2
    if width == n_fft:
        return window
    from ..nn.functional import pad

    return pad(window, (left, n_fft - width - left))


@face("torch method")
def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect",
    normalized: bool = False, onesided: bool | None = None, return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    """The spectra of windows of a signal (length) or of signals (batch x length).

    Window t begins at t * hop_length (n_fft // 4 unless given) of the signal, which `center` pads
    by n_fft // 2 on both sides; it is multiplied by `window` and transformed. Result: batch x
    frequencies x windows, complex; frequencies are n_fft // 2 + 1 if `onesided` (the default for
    real numbers), else n_fft. `normalized` divides by sqrt(n_fft). With return_complex=False the
    parts are a last dimension of two. RuntimeError for sizes that do not fit.
    """
    need_tensor(input, "stft")
    if return_complex is None:
        if not (input.is_complex() or (window is not None and window.is_complex())):
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will "
                "further require that return_complex=True in a future PyTorch release."
            )
        return_complex = True
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError("stft: expected a tensor of floating point or complex values")
    if not 1 <= input.dim() <= 2:
        raise RuntimeError("stft: expected a 1D or 2D tensor")
    if align_to_window is not None and center:
        raise RuntimeError("stft: align_to_window should only be set when center = false")
    hop, width = _lengths("stft", n_fft, hop_length, win_length)
    x = input if input.dim() == 2 else input.unsqueeze(0)
    if center:
        from ..nn.functional import pad

        x = pad(x.unsqueeze(0), (n_fft // 2, n_fft // 2), mode=pad_mode).squeeze(0)
    if not 0 < n_fft <= x.shape[1]:
        raise RuntimeError(f"stft: expected 0 < n_fft < {x.shape[1]}, but got n_fft={n_fft}")
    frames = x.unfold(-1, n_fft, hop)
    if window is not None or width != n_fft:
        frames = frames * _whole_window("stft", window, input, n_fft, width)
    norm = "ortho" if normalized else None
    if frames.is_complex():
        if onesided:
            raise RuntimeError("Cannot have onesided output if window or input is complex")
        y = _fft(frames, norm=norm)
    else:
        y = rfft(frames, norm=norm) if onesided is not False else _fft(frames, norm=norm)
    y = y.transpose(1, 2)
    y = y if input.dim() == 2 else y.squeeze(0)
    if return_complex:
        return y
    return y.resolve_conj().view_as_real() if hasattr(y, "view_as_real") else _pairs(y)


def _pairs(y: Tensor) -> Tensor:
    from ..views import view_as_real

    return view_as_real(y)


def _overlapped(frames: Tensor, hop: int) -> Tensor:
    """batch x windows x n: the sum of the windows, each hop after the one before."""
    _, count, n = frames.shape
    from ..nn.functional import fold

    total = n + hop * (count - 1)
    if frames.is_complex():
        from .convert import complex

        return complex(_overlapped(frames.real, hop), _overlapped(frames.imag, hop))
    sums = fold(frames.transpose(1, 2), (1, total), (1, n), stride=(1, hop))
    return sums.reshape(frames.shape[0], total)


@face("torch method")
def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, normalized: bool = False,
    onesided: bool | None = None, length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal whose `stft` is nearest to `input` (Griffin and Lim, 1984): the windowed inverse
    transforms added up and divided by the sum of the squared windows.

    `input`: (batch x) frequencies x windows, complex. `length`: of the result, which is cut or
    padded with zeros. RuntimeError for sizes that do not fit and where no window reaches.
    """
    need_tensor(input, "istft")
    hop, width = _lengths("istft", n_fft, hop_length, win_length)
    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    if not input.numel():
        raise RuntimeError("istft: input tensor cannot be empty.")
    if input.dim() not in (2, 3):
        raise RuntimeError(
            "istft: expected a tensor with 3 dimensions or 4 dimensions when viewed as real, but "
            f"got {input.dim() + 1}"
        )
    half = onesided if onesided is not None else input.shape[-2] != n_fft
    wanted = n_fft // 2 + 1 if half else n_fft
    if input.shape[-2] != wanted:
        raise RuntimeError(
            f"istft: expected the frequency dimension (3rd to the last) of the input tensor to "
            f"match {'n_fft / 2 + 1 when onesided=True' if half else 'n_fft when onesided=False'}, "
            f"but got {input.shape[-2]}"
        )
    if return_complex and half:
        raise RuntimeError("istft: cannot have onesided output if window or input is complex")
    if not return_complex and window is not None and window.is_complex():
        raise RuntimeError("istft: complex windows are incompatible with return_complex=False")
    x = (input if input.dim() == 3 else input.unsqueeze(0)).transpose(1, 2)
    norm = "ortho" if normalized else None
    if return_complex:
        frames = ifft(x, norm=norm)
    else:
        if not half:
            x = x[..., : n_fft // 2 + 1]
        frames = irfft(x, n_fft, norm=norm)
    whole = _whole_window("istft", window, input, n_fft, width)
    y = _overlapped(frames * whole, hop)
    weights = (whole * whole).expand(1, frames.shape[1], n_fft)
    envelope = _overlapped(weights, hop)
    start = n_fft // 2 if center else 0
    total = y.shape[1]
    end = start + length if length is not None else total - n_fft // 2 if center else total
    y, envelope = y[:, start:end], envelope[:, start:end]
    if float(envelope.abs().min()) <= 1e-11:
        raise RuntimeError(
            "istft: window overlap add min: 1"  # what PyTorch prints there is a truth value
        )
    y = y / envelope
    if end > total:
        warnings.warn("The length of signal is shorter than the length parameter. Result is being "
                      "padded with zeros in the tail. Please check your center and hop_length "
                      "settings.", stacklevel=2)  # fmt: skip
        from ..nn.functional import pad

        y = pad(y, (0, end - total))
    return y if input.dim() == 3 else y.squeeze(0)
