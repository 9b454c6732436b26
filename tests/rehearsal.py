"""A GPU rehearsed on the CPU: real numbers, and the mistakes that a GPU would refuse.

``DEVICE`` is a device of its own. Its tensors hold a tensor of the CPU, on which every operation is carried out, and
refuse what CUDA refuses: an operand that was left on the CPU, a generator of the CPU, ``.numpy()``. A number without
dimensions may stay on the CPU where the operation works element by element, and an index anywhere, as on CUDA. Noise is
drawn from a generator of its own. ``waits()`` collects what makes Python wait for the device.

It stands below autograd, ``vmap`` and ``higher``, as a GPU does: PyTorch's hook for a backend written in Python gives
the device its name, and a tensor with ``__torch_dispatch__`` its operations. Import it before anything is
differentiated, which is when PyTorch counts its devices. What it does not show: rounding, speed, memory, streams, fused
optimizers, ``is_cuda``, a generator of the device's own, and the identity of a weight that comes back to the CPU.
"""

import contextlib
import functools
import sys
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._mode_utils import no_dispatch

NAME = "rehearsal"
aten = torch.ops.aten


# ---------------------------------------------------------------- the device


class Module:
    """``torch.rehearsal``: what ``torch.cuda`` offers for a GPU, under the names that it has there."""

    def __init__(self):
        self.manual_seed_all(0)

    def is_available(self):
        return True

    def is_initialized(self):
        return True

    def _is_in_bad_fork(self):
        return False

    def device_count(self):
        return 1

    def current_device(self):
        return 0

    def device(self, device):
        return contextlib.nullcontext()

    def get_amp_supported_dtype(self):
        return [torch.bfloat16, torch.float16]

    def synchronize(self, device=None):
        waited("synchronize")

    def manual_seed_all(self, seed):
        # Other numbers than the CPU draws from the same seed, as on a GPU.
        self.noise = torch.Generator().manual_seed(seed ^ 0x5EED)

    def get_rng_state(self, device=None):
        return self.noise.get_state()

    def set_rng_state(self, state, device=None):
        self.noise.set_state(state)

    def get_rng_state_all(self):
        return [self.get_rng_state()]

    @contextlib.contextmanager
    def drawing(self):
        """Let the CPU draw what the device is asked for."""
        kept = torch.get_rng_state()
        torch.set_rng_state(self.get_rng_state())
        try:
            yield
        finally:
            self.set_rng_state(torch.get_rng_state())
            torch.set_rng_state(kept)


MODULE = Module()
backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=MODULE)
DEVICE = torch.device(NAME, 0)
# A GPU's own thread would differentiate, and let go of the gradients a little after ``backward`` returns. PyTorch
# converts a module of such tensors only where nobody else holds their gradients.
torch.autograd.set_multithreading_enabled(False)
# Autocast is let pass, since PyTorch has no casts for a device of Python's.
_AUTOCAST = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
_AUTOCAST.fallback(torch.library.fallthrough_kernel)


# ---------------------------------------------------------------- what Python waits for

_collecting: list[list[str]] = []


def waited(what):
    """Note that Python waits for the device, with the line of the package or of the test that makes it."""
    if not _collecting:
        return
    frame = sys._getframe(1)
    while frame is not None and ("site-packages" in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
        frame = frame.f_back
    place = f" at {frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""
    for found in _collecting:
        found.append(f"{what}{place}")


@contextlib.contextmanager
def waits():
    """Collect what makes Python wait for the device, as ``torch.cuda.set_sync_debug_mode`` finds it on a GPU."""
    found: list[str] = []
    _collecting.append(found)
    try:
        yield found
    finally:
        _collecting.remove(found)


# A value goes to Python, is needed to know the size of what comes out, or steers CUDA's own algorithm.
READS = {
    aten._linalg_check_errors.default,
    aten._linalg_eigh.default,
    aten._linalg_svd.default,
    aten._local_scalar_dense.default,
    aten._unique2.default,
    aten.allclose.default,
    aten.bincount.default,
    aten.equal.default,
    aten.linalg_eig.default,
    aten.linalg_matrix_exp.default,
    aten.masked_select.default,
    aten.nonzero.default,
    aten.repeat_interleave.Tensor,
    aten.unique_consecutive.default,
    aten.unique_dim.default,
}
INDEXES = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
COPIES = {aten.copy_.default, aten._to_copy.default}
# Beside the element by element operations: where CUDA takes a number without dimensions from the CPU.
TAKES_NUMBERS = {aten.fill.Tensor, aten.fill_.Tensor, aten.masked_fill.Tensor, aten.masked_fill_.Tensor}


# ---------------------------------------------------------------- operations


class Nature(NamedTuple):
    """What has to be known of an operation."""

    reads: bool
    indexes: bool
    copies: bool
    takes_numbers: bool
    random: bool
    written: tuple[tuple[str, int], ...] | None
    """The arguments that it writes to and returns, by name and position; None where what it returns is new."""


@functools.cache
def nature(func):
    """What has to be known of an operation, looked up once."""
    arguments, tags = func._schema.arguments, func.tags
    written = tuple((a.name, i) for i, a in enumerate(arguments) if a.alias_info and a.alias_info.is_write)
    fresh = any(not (r.alias_info and r.alias_info.is_write) for r in func._schema.returns)
    return Nature(
        reads=func in READS,
        indexes=func in INDEXES,
        copies=func in COPIES,
        takes_numbers=torch.Tag.pointwise in tags or func in TAKES_NUMBERS or func in INDEXES,
        random=torch.Tag.nondeterministic_seeded in tags,
        written=None if fresh or not written else written,
    )


class Operands:
    """The arguments of an operation as the CPU takes them, and those that were left there."""

    def __init__(self):
        self.strangers = []

    def held(self, value):
        """The numbers behind an argument."""
        if isinstance(value, Rehearsed):
            return value.held
        if isinstance(value, Tensor):
            self.strangers.append(value)
        elif type(value) in (list, tuple):
            return type(value)(map(self.held, value))
        elif isinstance(value, torch.Generator):
            raise RuntimeError(f"Expected a '{NAME}' device type for generator but found '{value.device.type}'")
        return value


def waits_for(known, func, args, kwargs):
    """Whether Python waits until this operation is done."""
    if known.indexes:
        found = [i for i in args[1] if i is not None]
        masks = any(i.dtype in (torch.bool, torch.uint8) for i in found)
        return masks or not all(isinstance(t, Rehearsed) for t in (*found, *args[2:3]))
    if func is aten.where.self:
        return not all(isinstance(t, Rehearsed) for t in args)  # a number of the CPU's is sent
    if func is aten._to_copy.default:
        place = kwargs.get("device")
        return place is not None and place.type != NAME
    if func is aten.copy_.default:
        to, source, *waiting = args
        leaves = isinstance(source, Rehearsed) != isinstance(to, Rehearsed)
        return leaves and not (isinstance(to, Rehearsed) and (waiting or [kwargs.get("non_blocking", False)])[0])
    return known.reads


def outputs(known, args, kwargs):
    """The arguments that an operation writes to and returns."""
    return [kwargs[name] if name in kwargs else args[i] for name, i in known.written or ()]


def refuse_strangers(known, func, args, kwargs, strangers):
    """Refuse operands that were left on the CPU."""
    if known.indexes:
        if not isinstance(args[0], Rehearsed):
            raise RuntimeError(f"indices should be either on cpu or on the same device as the indexed tensor ({func})")
        strangers = [t for t in strangers if not any(t is index for index in args[1])]
    kept = [id(t) for t in tensors(outputs(known, args, kwargs))]  # a sum that begins on the CPU stays there
    strangers = [t for t in strangers if t.ndim or not known.takes_numbers or id(t) in kept]
    if strangers:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {DEVICE} and "
            f"{strangers[0].device}! ({func}, shape {tuple(strangers[0].shape)})"
        )


def tensors(values):
    """The tensors among arguments, in lists as well."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors(value)


def follow_form(tensor):
    """Give a tensor the shape that its numbers have got in place, by ``squeeze_`` or by being an ``out=``."""
    if isinstance(tensor, Rehearsed):
        form = tensor.held.shape, tensor.held.stride(), tensor.held.storage_offset()
        if form != (tensor.shape, tensor.stride(), tensor.storage_offset()):
            with no_dispatch():
                tensor.as_strided_(*form)


def on_the_device(value):
    """The results of an operation as tensors of the device."""
    if isinstance(value, Tensor):
        return Rehearsed(value)
    return type(value)(map(on_the_device, value)) if isinstance(value, list | tuple) else value


def perform(func, args, kwargs):
    """Carry out an operation as the device does."""
    known, operands = nature(func), Operands()
    numbers = [operands.held(value) for value in args]
    named = {name: operands.held(value) for name, value in kwargs.items()}
    if operands.strangers and not known.copies:
        refuse_strangers(known, func, args, kwargs, operands.strangers)
    if _collecting and waits_for(known, func, args, kwargs):
        waited(str(func))
    place = kwargs.get("device")
    if place is not None:
        named["device"] = "cpu"
    with MODULE.drawing() if known.random else contextlib.nullcontext():
        out = func(*numbers, **named)
    if known.written is not None:
        found = outputs(known, args, kwargs)
        for written in tensors(found):
            follow_form(written)
        return out if out is None else found[0] if isinstance(out, Tensor) else type(out)(found)
    return on_the_device(out) if place is None or place.type == NAME else out


# ---------------------------------------------------------------- tensors


class Rehearsed(Tensor):
    """A tensor of the device: in ``held`` its numbers, on the CPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, numbers):
        # No memory of its own, and any size of it: what is written as an ``out=`` may grow.
        layout = {"strides": numbers.stride(), "storage_offset": numbers.storage_offset(), "storage_size": 1 << 40}
        return Tensor._make_wrapper_subclass(cls, numbers.shape, dtype=numbers.dtype, device=DEVICE, **layout)

    def __init__(self, numbers):
        self.held = numbers

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return perform(func, args, kwargs or {})

    # These two say that Module.to keeps the identity of a weight by exchanging what it is.
    def __tensor_flatten__(self):
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner, context, size, stride):
        return Rehearsed(inner["held"])

    def __reduce_ex__(self, protocol):
        # torch.load brings it to where map_location says, as a tensor of a GPU.
        arguments = self.held.detach(), self.dtype, str(DEVICE), self.requires_grad
        return torch._utils._rebuild_device_tensor_from_cpu_tensor, arguments

    @property
    def data(self):
        return self.detach()

    @data.setter
    def data(self, other):
        Tensor.data.__set__(self, other)
        self.held = other.held

    def untyped_storage(self):
        # PyTorch's tracer copies the tensor itself, which has no memory of its own.
        asked_by_torch = sys._getframe(1).f_globals["__name__"].startswith("torch.")
        return super().untyped_storage() if asked_by_torch else self.held.untyped_storage()

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, *, force=False):
        if not force:
            raise TypeError(
                f"can't convert {DEVICE} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
                "memory first."
            )
        return self.detach().cpu().numpy()

    def __repr__(self, *, tensor_contents=None):
        return f"{repr(self.held).removesuffix(')')}, device='{DEVICE}')"

    def __format__(self, form):
        return format(self.item() if self.ndim == 0 else repr(self), form)


_library = torch.library.Library("aten", "IMPL")


def _empty(size, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
    return Rehearsed(torch.empty(size, dtype=dtype, memory_format=memory_format or torch.contiguous_format))


def _empty_strided(size, stride, dtype=None, layout=None, device=None, pin_memory=None):
    return Rehearsed(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source, to, non_blocking=False):
    return perform(aten.copy_.default, (to, source, non_blocking), {})


# From these torch makes all that begins without a tensor of the device: zeros, arange, randn, tensor, a copy.
_library.impl("empty.memory_format", _empty, "PrivateUse1")
_library.impl("empty_strided", _empty_strided, "PrivateUse1")
_library.impl("_copy_from", _copy_from, "PrivateUse1")
