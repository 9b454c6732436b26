"""Which networks can be adapted for all tasks at once, how they are called, and where their head is."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from mamlbook.checks import kind_of
from mamlbook.torch_internals import BATCH_NORMS
from mamlbook.trees import Tree


def require_network(net: Any) -> None:
    """Refuse what is no network.

    Raises:
        TypeError: it is not a module.
    """
    if not isinstance(net, nn.Module):
        advice = f"; make one, as in {net.__name__}(...)" if isinstance(net, type) else ""
        raise TypeError(f"net: expected an nn.Module, got {kind_of(net)}{advice}")


def require_loss(loss: Any) -> None:
    """Refuse what is no loss.

    Raises:
        TypeError: it cannot be called, or is a class and not yet a loss.
    """
    if isinstance(loss, type) or not callable(loss):
        advice = f"; make one, as in {loss.__name__}()" if isinstance(loss, type) else ""
        raise TypeError(f"loss: expected a function (y_hat, y) to one number, got {kind_of(loss)}{advice}")


def require_adaptable(net: nn.Module) -> None:
    """Refuse a network that has nothing to adapt, or a layer that tasks cannot share.

    Raises:
        TypeError: the network is compiled or scripted.
        RuntimeError: its weights were made in inference mode.
        ValueError: names the layer, the reason and the cure.
    """
    for name, module in net.named_modules():
        where = f"layer {name!r}" if name else "the network"
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                f"net: {where} is scripted, and its weights cannot be exchanged; pass the nn.Module it "
                "was made of, and execution='compiled' to fit if speed is what you want"
            )
        if type(module).__name__ == "OptimizedModule" or module._compiled_call_impl is not None:
            raise TypeError(
                f"net: {where} is compiled by torch.compile, which does not see the weights of each task; pass the "
                "nn.Module it was made of, and execution='compiled' to fit"
            )
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            raise TypeError(
                f"net: {where} copies the network to several devices, where its weights cannot be exchanged; pass the "
                "module inside it, net.module, and share the tasks among processes (mamlbook.execution.processes)"
            )
        # torch says by a protocol whose method this is, and its own mixin does not meet it.
        if isinstance(module, nn.modules.lazy.LazyModuleMixin) and module.has_uninitialized_params():  # type: ignore[misc]
            raise ValueError(f"net: {where} does not know its shape yet; call the network once on an example first")
        _refuse_what_writes(where, module)
    for name, weight in net.named_parameters():
        if weight.is_inference():
            raise RuntimeError(
                f"net: expected weights made outside of torch.inference_mode(), got {name!r} made inside, which can "
                "have no gradient; make the network outside, or copy it there by copy.deepcopy(net)"
            )
        if weight.is_complex() and weight.requires_grad:
            raise ValueError(
                f"net: weight {name!r} is complex, and lengths and angles of weights are taken for real ones; keep its "
                "real and imaginary parts, as in torch.view_as_complex(self.weight)"
            )
    if not any(weight.requires_grad for weight in net.parameters()):
        raise ValueError(
            "net: expected a network with weights to adapt, got one without parameters that require a gradient; call "
            "requires_grad_() on the layers that shall learn"
        )


def _refuse_what_writes(where: str, module: nn.Module) -> None:
    if isinstance(module, BATCH_NORMS) and module.training and module.running_mean is not None:
        raise ValueError(
            f"net: {where} keeps running statistics, which adapting tasks would overwrite for one another; "
            "call torch.func.replace_all_batch_norm_modules_(net) to take each batch's own (setting "
            "track_running_stats=False afterwards is not enough), or net.eval() to keep them as they are"
        )
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        if module.max_norm is not None:
            raise ValueError(
                f"net: {where} has max_norm, which shortens the weights themselves whenever they are looked up; make "
                "it without, or divide by the norm in forward"
            )
        if module.sparse:
            raise ValueError(f"net: {where} has sparse gradients, which tasks cannot be stacked with; set sparse=False")
        if module.scale_grad_by_freq:
            raise ValueError(
                f"net: {where} divides the gradient of a word by how often it is met, which is then the gradient of no "
                "loss; set scale_grad_by_freq=False"
            )
    if _spectral(module) and module.training:
        raise ValueError(
            f"net: {where} has a spectral norm, which takes a step of its own in each forward pass of each task; call "
            "net.eval() to fix its vectors, or leave it out"
        )


def _spectral(module: nn.Module) -> bool:
    """A spectral norm as a parametrisation, or as the older hook."""
    parametrised = type(module).__name__ == "_SpectralNorm"
    return parametrised or any(type(hook).__name__ == "SpectralNorm" for hook in module._forward_pre_hooks.values())


def find_head(net: nn.Module, head: str | nn.Module | None) -> str | None:
    """The name of the layer that makes the predictions; None where it was not said and cannot be told.

    Raises:
        ValueError: ``head`` is no linear layer of the network.
    """
    layers = dict(net.named_modules(remove_duplicate=False))
    if head is None:
        last = list(net.named_children())[-1] if isinstance(net, nn.Sequential) and len(net) else ("", None)
        candidates = ["head", last[0]]
        return next((name for name in candidates if name and isinstance(layers.get(name), nn.Linear)), None)
    name = head if isinstance(head, str) else next((name for name, layer in layers.items() if layer is head), None)
    if name is None or not isinstance(layers.get(name), nn.Linear):
        linear = [name for name, layer in layers.items() if isinstance(layer, nn.Linear)]
        raise ValueError(f"head: expected one of the network's linear layers, {linear}, got {head!r}")
    return name


def call_arguments(net: nn.Module, x: Tree) -> tuple:
    """How a network takes one task's x: a tuple as several arguments if it takes so many, all else as one."""
    if isinstance(x, Tensor) or not isinstance(x, tuple):
        return (x,)
    return x if _takes(type(net).forward, len(x)) else (x,)


@lru_cache(maxsize=256)
def _takes(forward: Any, count: int) -> bool:
    try:
        inspect.signature(forward).bind(None, *range(count))
    except (TypeError, ValueError):
        return False
    return True


def one_tensor(y_hat: Tree) -> Tensor:
    """The predictions, if they are one tensor, as what is linear in them needs.

    Raises:
        ValueError: they are a tree of several.
    """
    if not isinstance(y_hat, Tensor):
        raise ValueError(
            "net: expected predictions (tasks, examples, outputs) in one tensor, got a "
            f"{type(y_hat).__name__}; kernels and line searches have no other, MAML has"
        )
    return y_hat


def refuse_missing_axis(net: nn.Module, x: Tree) -> None:
    """Refuse x (K, features), of one task and without its axis, where a linear layer would take K for features.

    Raises:
        ValueError: it is such.
    """
    if isinstance(x, Tensor) and x.ndim == 2 and x.is_floating_point():
        first = next((module for module in net.modules() if module._parameters), None)
        if isinstance(first, nn.Linear) and first.in_features == x.shape[1]:
            raise ValueError(
                f"x: expected (tasks, examples, features), got {tuple(x.shape)}, whose second axis the network would "
                "take for features; put the task axis first, as x[None], or give each example an axis, as x[..., None]"
            )
