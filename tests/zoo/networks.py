"""A zoo of networks: what people hand to a meta-learner, and what they should not, each a few dozen weights.

Every specimen is built in double precision from a seed, draws tasks that fit it, and says what it is an instance of.
Nothing here knows how the package evaluates a network.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from mamlbook import Data, Tasks

SHOTS, QUERIES = 4, 5
CLASSES = 3


@dataclass(frozen=True)
class Specimen:
    """One kind of network.

    ``build(seed)`` gives the network, ``draw(tasks, seed)`` that many tasks for it, and ``loss(y_hat, y)`` judges one
    task's examples. ``head`` names the linear layer that comes last, if there is one; ``classes`` says that targets are
    classes; ``context`` says that it has a layer called ``context``.
    """

    about: str
    build: Callable[[int], nn.Module]
    draw: Callable[[int, int], Tasks]
    loss: Callable[[Any, Tensor], Tensor] = F.mse_loss
    head: str | None = None
    classes: bool = False
    context: bool = False


ZOO: dict[str, Specimen] = {}
"""Every specimen by its name."""


def specimen(name: str, about: str, inputs: Any, outputs: Any, *, by: Callable | None = None, **rest: Any) -> Callable:
    """Register the function or class below as the recipe of a network.

    ``inputs`` is the shape of one example, or a tuple or a dictionary of shapes; a function of a generator gives
    examples of another kind. ``outputs`` is the shape of one target, or "classes".
    """

    def register(recipe: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        classes = outputs == "classes"
        loss = {"loss": F.cross_entropy} if classes else {}
        assert name not in ZOO, name
        ZOO[name] = Specimen(
            about,
            partial(_built, by or recipe),
            partial(_drawn, inputs, None if classes else outputs),
            classes=classes,
            **{**loss, **rest},
        )
        return recipe

    return register


def _built(recipe: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old ways of building a network are part of the zoo
        torch.manual_seed(seed)
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            return recipe()
        finally:
            torch.set_default_dtype(before)


def _drawn(inputs: Any, outputs: tuple[int, ...] | None, tasks: int, seed: int) -> Tasks:
    generator = torch.Generator().manual_seed(seed)

    def examples(shape: Any, count: int) -> Any:
        if callable(shape):
            return shape((tasks, count), generator)
        if isinstance(shape, dict):
            return {key: examples(part, count) for key, part in shape.items()}
        if shape and not isinstance(shape[0], int):
            return tuple(examples(part, count) for part in shape)
        return torch.randn(tasks, count, *shape, generator=generator, dtype=torch.float64)

    def targets(count: int) -> Tensor:
        if outputs is not None:
            return torch.randn(tasks, count, *outputs, generator=generator, dtype=torch.float64)
        # Every class is there, in an order of the task's own.
        return torch.stack([torch.randperm(count, generator=generator) % CLASSES for _ in range(tasks)])

    sets = [Data(examples(inputs, count), targets(count)) for count in (SHOTS, QUERIES)]
    return Tasks(*sets, torch.arange(tasks))


def whole_numbers(below: int, *shape: int) -> Callable:
    """Examples that are whole numbers, such as words."""

    def draw(leading: tuple[int, int], generator: torch.Generator) -> Tensor:
        return torch.randint(below, (*leading, *shape), generator=generator)

    return draw


def scattered(net: nn.Module, size: float = 0.2) -> nn.Module:
    """Move every weight a little, so that no gain is one, no offset zero and no symmetry left."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_(size * torch.randn_like(p))
    return net


def layers(**named: nn.Module) -> nn.Sequential:
    """A chain of layers with names."""
    return scattered(nn.Sequential(OrderedDict(named)))


def perceptron(*sizes: int, activation: Callable[[], nn.Module] = nn.Tanh) -> nn.Sequential:
    """Linear layers with an activation between them, the last of them called ``head``."""
    named: dict[str, nn.Module] = {}
    for number, (wide, following) in enumerate(pairwise(sizes), 1):
        last = number == len(sizes) - 1
        named["head" if last else f"linear{number}"] = nn.Linear(wide, following)
        if not last:
            named[f"activation{number}"] = activation()
    return layers(**named)


# The ordinary.


@specimen("mlp", "a multilayer perceptron, smooth everywhere", (2,), (2,), head="head")
def _mlp() -> nn.Module:
    return perceptron(2, 4, 3, 2)


@specimen("classifier", "a multilayer perceptron that tells classes apart", (2,), "classes", head="head")
def _classifier() -> nn.Module:
    return perceptron(2, 4, 3, CLASSES)


@specimen("contextual", "a perceptron that reads numbers of the task", (2,), (1,), head="head", context=True)
def _contextual() -> nn.Module:
    return layers(context=Context(2), linear1=nn.Linear(4, 3), activation1=nn.Tanh(), head=nn.Linear(3, 1))


class Context(nn.Module):
    """Numbers of the task behind the inputs of every example."""

    def __init__(self, size: int):
        super().__init__()
        self.vector = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.vector.expand(len(x), -1)], 1)


@specimen("film", "a network whose features are scaled by numbers of the task", (2,), (1,), head="head", context=True)
class Film(nn.Module):
    """The context is read in the middle, by two layers, and it is not the first of the weights."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(2, 3)
        self.context = nn.ParameterDict({"scale": torch.randn(2), "shift": torch.randn(1)})
        self.read = nn.Linear(2, 3)
        self.head = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.body(x)) * (1 + self.read(self.context["scale"])) + self.context["shift"]
        return self.head(h.tanh())


@specimen("relu", "a perceptron with kinks", (2,), (2,), head="head")
def _relu() -> nn.Module:
    return perceptron(2, 5, 3, 2, activation=nn.ReLU)


@specimen("relu in place", "activations that overwrite their input", (2,), (2,), head="head")
def _relu_in_place() -> nn.Module:
    return perceptron(2, 5, 3, 2, activation=partial(nn.ReLU, inplace=True))


@specimen("activations", "activations with weights and gates of their own", (2,), (1,), head="head")
def _activations() -> nn.Module:
    return layers(
        linear1=nn.Linear(2, 4),
        prelu=nn.PReLU(4),
        linear2=nn.Linear(4, 6),
        glu=nn.GLU(),
        silu=nn.SiLU(),
        softmax=nn.Softmax(1),
        gelu=nn.GELU(),
        softplus=nn.Softplus(),
        head=nn.Linear(3, 1),
    )


@specimen("conv1d", "a convolution over time", (2, 5), (1,), head="head")
def _conv1d() -> nn.Module:
    return layers(conv=nn.Conv1d(2, 3, 3, padding=1), tanh=nn.Tanh(), flat=nn.Flatten(), head=nn.Linear(15, 1))


@specimen("conv2d", "convolution, ReLU and max-pooling, as in every image network", (1, 6, 6), "classes", head="head")
def _conv2d() -> nn.Module:
    return layers(
        conv=nn.Conv2d(1, 3, 3, padding=1),
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(2),
        flat=nn.Flatten(),
        head=nn.Linear(27, CLASSES),
    )


@specimen("conv2d, all options", "strides, dilation, groups and circular padding", (2, 7, 7), (1,), head="head")
def _conv2d_options() -> nn.Module:
    return layers(
        depthwise=nn.Conv2d(2, 4, 3, stride=2, padding=2, dilation=2, groups=2, bias=False, padding_mode="circular"),
        tanh=nn.Tanh(),
        pool=nn.AdaptiveAvgPool2d(2),
        pointwise=nn.Conv2d(4, 2, 1),
        act=nn.Tanh(),
        flat=nn.Flatten(),
        head=nn.Linear(8, 1),
    )


@specimen("conv3d", "a convolution of volumes", (1, 3, 3, 3), (1,), head="head")
def _conv3d() -> nn.Module:
    return layers(
        conv=nn.Conv3d(1, 2, 2), tanh=nn.Tanh(), pool=nn.AvgPool3d(2), flat=nn.Flatten(), head=nn.Linear(2, 1)
    )


@specimen("transposed convolution", "a decoder, whose output is an image", (2, 2, 2), (1, 3, 3))
def _transposed() -> nn.Module:
    up = nn.ConvTranspose2d(2, 1, 3, stride=2, padding=1)
    return layers(conv=nn.Conv2d(2, 2, 1), tanh=nn.Tanh(), up=up)


@specimen("upsampling", "a decoder that interpolates between pixels", (1, 1, 2), (1, 3, 3))
def _upsampling() -> nn.Module:
    return layers(
        conv=nn.Conv2d(1, 4, 1),
        tanh=nn.Tanh(),
        shuffle=nn.PixelShuffle(2),
        up=nn.Upsample(size=(3, 3), mode="bilinear", align_corners=True),
        last=nn.Conv2d(1, 1, 3, padding=1),
    )


# Normalisation.


@specimen("layer norm", "examples normalised one by one", (3,), (1,), head="head")
def _layer_norm() -> nn.Module:
    return layers(linear1=nn.Linear(3, 4), norm=nn.LayerNorm(4), tanh=nn.Tanh(), head=nn.Linear(4, 1))


@specimen("layer norm over two axes", "one with a gain, and one without", (2, 3), (2,), head="linear2")
def _layer_norm_two_axes() -> nn.Module:
    return layers(
        linear1=nn.Linear(3, 3),
        norm=nn.LayerNorm((2, 3), bias=False),
        tanh=nn.Tanh(),
        bare=nn.LayerNorm(3, eps=0.1, elementwise_affine=False),
        flat=nn.Flatten(),
        linear2=nn.Linear(6, 2),
    )


@specimen("layer norm as a function", "F.layer_norm called by the network itself", (3,), (1,), head="head")
class FunctionalNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 1)
        self.gain, self.offset = nn.Parameter(torch.rand(4) + 0.5), nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(F.layer_norm(self.body(x), (4,), self.gain, self.offset)))


@specimen("group norm", "channels normalised in groups", (2, 5), (1,), head="head")
def _group_norm() -> nn.Module:
    return layers(
        conv=nn.Conv1d(2, 4, 3),
        norm=nn.GroupNorm(2, 4),
        tanh=nn.Tanh(),
        flat=nn.Flatten(),
        head=nn.Linear(12, 1),
    )


@specimen("instance norm", "each channel of each image normalised", (2, 3, 3), (1,), head="head")
def _instance_norm() -> nn.Module:
    return layers(
        conv=nn.Conv2d(2, 2, 1),
        norm=nn.InstanceNorm2d(2, affine=True),
        tanh=nn.Tanh(),
        flat=nn.Flatten(),
        head=nn.Linear(18, 1),
    )


@specimen("rms norm", "examples divided by their root mean square", (3,), (1,), head="head")
def _rms_norm() -> nn.Module:
    return layers(linear1=nn.Linear(3, 4), norm=nn.RMSNorm(4), tanh=nn.Tanh(), head=nn.Linear(4, 1))


@specimen("batch norm 1d", "a task's examples normalised together", (3,), (1,), head="head")
def _batch_norm_1d() -> nn.Module:
    return layers(
        linear1=nn.Linear(3, 4),
        norm=nn.BatchNorm1d(4, track_running_stats=False),
        tanh=nn.Tanh(),
        head=nn.Linear(4, 1),
    )


@specimen("batch norm 2d", "the same for images, with ReLU and max-pooling", (1, 6, 6), "classes", head="head")
def _batch_norm_2d() -> nn.Module:
    return layers(
        conv=nn.Conv2d(1, 2, 3, padding=1),
        norm=nn.BatchNorm2d(2, track_running_stats=False),
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(2),
        flat=nn.Flatten(),
        head=nn.Linear(18, CLASSES),
    )


@specimen("batch norm that tracks", "running statistics, which tasks would overwrite for one another", (3,), (1,))
def _batch_norm_tracking() -> nn.Module:
    return layers(linear1=nn.Linear(3, 4), norm=nn.BatchNorm1d(4), tanh=nn.Tanh(), head=nn.Linear(4, 1))


@specimen("batch norm, fixed", "running statistics in evaluation, which stand still", (3,), (1,), head="head")
def _batch_norm_fixed() -> nn.Module:
    net = layers(linear1=nn.Linear(3, 4), norm=nn.BatchNorm1d(4), tanh=nn.Tanh(), head=nn.Linear(4, 1))
    net.norm.running_mean.normal_()
    net.norm.running_var.uniform_(0.5, 2)
    return net.eval()


@specimen("instance norm that tracks", "the same, of another layer", (2, 3), (1,))
def _instance_norm_tracking() -> nn.Module:
    return layers(
        conv=nn.Conv1d(2, 2, 1),
        norm=nn.InstanceNorm1d(2, track_running_stats=True),
        flat=nn.Flatten(),
        head=nn.Linear(6, 1),
    )


# Attention.


class Attending(nn.Module):
    """Self-attention over three words, and a linear head on their mean."""

    def __init__(self, need_weights: bool):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, CLASSES)
        self.need_weights = need_weights
        scattered(self)

    def forward(self, x: Tensor) -> Tensor:
        mixed, weights = self.attention(x, x, x, need_weights=self.need_weights)
        return self.head((x + mixed).mean(1) if weights is None else (weights @ (x + mixed)).mean(1))


specimen(
    "attention with its weights", "multi-head attention, its weights used", (3, 4), "classes", head="head",
    by=partial(Attending, True),
)(Attending)  # fmt: skip
specimen(
    "attention without its weights", "multi-head attention by the fused kernel", (3, 4), "classes", head="head",
    by=partial(Attending, False),
)(Attending)  # fmt: skip


@specimen("attention, all options", "time first, key and value of other widths, a mask, added bias", (3, 4), (1,))
class AttendingAcross(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, bias=True, add_bias_kv=True, add_zero_attn=True, kdim=3, vdim=2)
        self.last = nn.Linear(4, 1)
        scattered(self)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1)
        mask = torch.ones(3, 3, dtype=torch.bool).triu(1)
        mixed, weights = self.attention(x, x[..., :3], x[..., 2:], attn_mask=mask, average_attn_weights=False)
        return self.last(mixed[-1]) + weights.square().mean((1, 2, 3))[:, None]


class Encoder(nn.Module):
    """One layer of a transformer and a head on its last word."""

    def __init__(self, **options: Any):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, batch_first=True, **options)
        self.head = nn.Linear(4, 1)
        scattered(self, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[:, -1])


@specimen("encoder with padding", "a stack of encoder layers, and words to be left out", (3, 4), (1,), head="head")
class Padded(nn.Module):
    """A stack of encoder layers that leaves out the last of three words, and reads the first."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, batch_first=True)
        self.layers, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(4, 1)
        scattered(self, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        padding = (torch.arange(3, device=x.device) == 2).expand(len(x), -1)
        return self.head(self.layers(x, src_key_padding_mask=padding)[:, 0])


@specimen("decoder", "an encoder and a decoder layer, the later words hidden", (3, 4), (1,), head="head")
class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.both = nn.Transformer(4, 2, 1, 1, 5, dropout=0.0, batch_first=True)
        self.head = nn.Linear(4, 1)
        scattered(self, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        later = nn.Transformer.generate_square_subsequent_mask(3, device=x.device, dtype=x.dtype)
        return self.head(self.both(x, x, tgt_mask=later, tgt_is_causal=True)[:, -1])


specimen(
    "transformer", "an encoder layer that normalises afterwards", (3, 4), (1,), head="head",
    by=partial(Encoder, activation="gelu"),
)(Encoder)  # fmt: skip
specimen(
    "transformer, norm first", "an encoder layer that normalises before", (3, 4), (1,), head="head",
    by=partial(Encoder, norm_first=True, activation=F.gelu),
)(Encoder)  # fmt: skip


@specimen("attention as a function", "F.scaled_dot_product_attention called by the network", (3, 2), (1,), head="head")
class FunctionalAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(2, 12)
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, 2, 2)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.head(mixed.transpose(1, 2).flatten(2)[:, -1])


# Recurrence.


class Cells(nn.Module):
    """A cell in a loop over four moments."""

    def __init__(self, kind: type[nn.RNNCellBase]):
        super().__init__()
        self.cell = kind(2, 3)
        self.head = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for now in x.unbind(1):
            state = self.cell(now, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


for kind in (nn.LSTMCell, nn.GRUCell, nn.RNNCell):
    specimen(kind.__name__, "a recurrent cell in a loop", (3, 2), (1,), head="head", by=partial(Cells, kind))(Cells)


class Recurrent(nn.Module):
    """A recurrent layer and a head on its last output, with what the layer says of its state."""

    def __init__(self, kind: Callable[..., nn.RNNBase], width: int, **options: Any):
        super().__init__()
        self.recurrent = kind(2, 2, batch_first=True, **options)
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        outputs, state = self.recurrent(x)
        state = state[1] if isinstance(state, tuple) else state
        return self.head(outputs[:, -1] * (1 + state.sum((0, 2))[:, None]))


for name, about, width, recipe in [
    ("LSTM", "a recurrent layer", 2, nn.LSTM),
    ("GRU", "a recurrent layer", 2, nn.GRU),
    ("RNN", "a recurrent layer", 2, nn.RNN),
    ("LSTM, deep", "two layers, in both directions", 4, partial(nn.LSTM, num_layers=2, bidirectional=True)),
    ("GRU, deep", "two layers, without biases", 2, partial(nn.GRU, num_layers=2, bias=False)),
    ("LSTM, projected", "a recurrent layer whose state is projected", 1, partial(nn.LSTM, proj_size=1)),
]:
    specimen(name, about, (3, 2), (1,), head="head", by=partial(Recurrent, recipe, width))(Recurrent)


@specimen("packed sequences", "a recurrent layer that skips padding by packing", (3, 2), (1,), head="head")
class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.recurrent, self.head = nn.LSTM(2, 2, batch_first=True), nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.full((len(x),), 2), batch_first=True)
        return self.head(self.recurrent(packed)[1][0][-1])


# What comes in and what goes out.


@specimen("embedding", "words as inputs, which have no gradient", whole_numbers(5, 3), "classes", head="head")
def _embedding() -> nn.Module:
    return layers(
        words=nn.Embedding(5, 2), flat=nn.Flatten(), body=nn.Linear(6, 3), tanh=nn.Tanh(), head=nn.Linear(3, CLASSES)
    )


@specimen("embedding with padding", "a word that is not learned", whole_numbers(4, 3), (1,), head="head")
def _embedding_padding() -> nn.Module:
    return layers(words=nn.Embedding(4, 2, padding_idx=0), flat=nn.Flatten(), tanh=nn.Tanh(), head=nn.Linear(6, 1))


@specimen("bag of words", "the mean of as many words as there are", whole_numbers(5, 4), (1,), head="head")
def _bag() -> nn.Module:
    return layers(words=nn.EmbeddingBag(5, 3, padding_idx=0), tanh=nn.Tanh(), head=nn.Linear(3, 1))


@specimen("distances", "distances from learned centres, and from the other examples", (2,), (1,), head="head")
class Distances(nn.Module):
    def __init__(self):
        super().__init__()
        self.centres, self.body = nn.Parameter(torch.randn(3, 2)), nn.Linear(2, 2)
        self.head = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.body(x))
        return self.head(torch.cdist(h, self.centres) + torch.cdist(h, h).mean(1, keepdim=True))


@specimen("bilinear", "two inputs, in a tuple", ((2,), (3,)), (1,), head="head")
class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Bilinear(2, 3, 4)
        self.head = nn.Linear(4, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.head(torch.tanh(self.mix(a, b)))


@specimen("dictionary in", "inputs by name", {"a": (2,), "word": whole_numbers(3)}, (1,), head="head")
class DictionaryIn(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.words, self.head = nn.Linear(2, 3), nn.Embedding(3, 3), nn.Linear(3, 1)

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        return self.head(torch.tanh(self.body(x["a"]) * self.words(x["word"])))


def _of_y(y_hat: dict[str, Tensor], y: Tensor) -> Tensor:
    return F.mse_loss(y_hat["y"], y) + y_hat["size"].mean()


@specimen("dictionary out", "outputs by name, which the loss knows", (2,), (1,), loss=_of_y)
class DictionaryOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.out = nn.Linear(2, 3), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = torch.tanh(self.body(x))
        return {"y": self.out(h), "size": h.square().sum(1)}


def _moments(y_hat: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
    return F.mse_loss(y_hat[0], y) + F.mse_loss(y_hat[1], y.square())


@specimen("tuple out", "a mean and a second moment", (2,), (1,), loss=_moments)
class TupleOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.mean, self.scale = nn.Linear(2, 3), nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(self.body(x))
        return self.mean(h), self.scale(h)


@specimen("one number out", "a prediction without an axis for its size", (2,), ())
class OneNumber(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.last = nn.Linear(2, 3), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.body(x))).squeeze(1)


# Where weights are, and how they are used.


@specimen("tied matrix", "an autoencoder whose decoder is the encoder's transpose", (3,), (3,))
class TiedMatrix(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(3, 2)
        self.offset = nn.Parameter(torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.tanh(self.encoder(x)), self.encoder.weight.T, self.offset)


@specimen("tied layers", "one tensor under two names, as in language models", whole_numbers(3), "classes")
class TiedLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.mix, self.last = nn.Embedding(CLASSES, 2), nn.Linear(2, 2), nn.Linear(2, CLASSES)
        self.last.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.mix(self.words(x))))


@specimen("shared layer", "one layer that is called three times and has two names", (2,), (1,), head="head")
class SharedLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.chain = nn.Sequential(self.first, nn.Tanh(), self.first)
        self.head = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.chain(torch.tanh(self.first(x)))))


@specimen("parameter list", "weights without layers, in a list", (2,), (1,))
class InList(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.ParameterList([torch.randn(2, 3), torch.randn(3), torch.randn(3, 1)])

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.w[0] + self.w[1]) @ self.w[2]


@specimen("parameter dictionary", "weights without layers, by name", (2,), (1,))
class InDictionary(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.ParameterDict({"in": torch.randn(2, 3), "between": torch.randn(3), "out": torch.randn(3, 1)})

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.w["in"] + self.w["between"]) @ self.w["out"]


@specimen("weights borrowed", "a layer's weights used without calling the layer", (2,), (1,))
class Borrowed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(F.linear(x, self.a.weight) + self.a.bias)
        return F.linear(h, self.b.weight, self.b.bias) + self.a.weight.square().mean()


class WithMethod(nn.Linear):
    """A layer that is used by a method of its own."""

    def encode(self, x: Tensor) -> Tensor:
        return torch.tanh(F.linear(x, self.weight, self.bias))


@specimen("method instead of forward", "a part that is never called itself", (2,), (1,), head="head")
class ByMethod(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.head = WithMethod(2, 3), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder.encode(x))


@specimen("plain list", "layers in a python list that are registered under other names", (2,), (1,), head="head")
class PlainList(nn.Module):
    def __init__(self):
        super().__init__()
        self.walk = [nn.Linear(2, 3), nn.Linear(3, 3)]
        for number, layer in enumerate(self.walk):
            self.add_module(f"layer{number}", layer)
        self.head = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.walk:
            x = torch.tanh(layer(x))
        return self.head(x)


@specimen("residual", "blocks around which the input is carried", (3,), (1,), head="head")
class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 3)) for _ in range(2)])
        self.head = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


@specimen("scalars", "weights that are single numbers without axes", (2,), (1,), head="head")
class Scalars(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain, self.offset = nn.Parameter(torch.tensor(1.3)), nn.Parameter(torch.tensor(-0.2))
        self.body, self.head = nn.Linear(2, 3), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.gain * self.body(x) + self.offset)) * self.gain


@specimen("slices", "pieces of one weight, picked by slices and whole numbers, and written in place", (3,), (2,))
class Slices(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(5, 6))

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.w[:3, ::2], self.w[[0, 4, 1]][:, -2:]
        diagonal = self.w.diagonal(1)[1:].sum()
        h = torch.tanh(x @ a)
        out = x.new_zeros(len(x), 2)
        out[:, 0] = (h @ b)[..., 0] * diagonal
        out[:, 1:] += torch.einsum("kd,de->ke", h, b[:, 1:])
        return out


@specimen("boolean mask", "entries picked by a condition, as many as meet it", (3,), (1,), head="head")
class BooleanMask(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.body(x))
        return self.head(h) + h[h > 0].square().sum()


@specimen("sorting", "examples that are sorted, gathered and accumulated", (4,), (1,), head="head")
class Sorting(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x)
        values, order = h.sort(1)
        best = h.gather(1, order[:, -2:]).logsumexp(1, keepdim=True)
        return self.head(torch.where(values > 0, values.cumsum(1).tanh(), values) * best)


@specimen("spectrum", "filters in the frequency domain, with complex weights seen as pairs of numbers", (4,), (4,))
class Spectrum(nn.Module):
    def __init__(self):
        super().__init__()
        self.filter = nn.Parameter(torch.randn(3, 2))
        self.gain = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * torch.tanh(torch.fft.irfft(torch.fft.rfft(x) * torch.view_as_complex(self.filter), n=4))


@specimen("solver inside", "a linear system and a matrix exponential in the forward pass", (2,), (2,))
class SolverInside(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(2, 2)), nn.Parameter(torch.randn(2, 2))

    def forward(self, x: Tensor) -> Tensor:
        spread = torch.eye(2, dtype=x.dtype) + self.a @ self.a.T
        return torch.linalg.solve(spread, torch.tanh(x).T).T @ torch.linalg.matrix_exp(0.5 * self.b)


@specimen("gradient inside", "an energy whose slope is the prediction, as of a physicist's network", (2,), (2,))
class GradientInside(nn.Module):
    def __init__(self):
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.grad(lambda x: self.energy(x).sum())(x)


@specimen("output in the middle", "a last layer of another name, registered first", (2,), "classes", head="score.final")
class OutputInTheMiddle(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.ModuleDict({"final": nn.Linear(3, CLASSES)})
        self.body = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.score["final"](torch.tanh(self.body(x)))


@specimen("chain without names", "an nn.Sequential as most people write it", (2,), "classes", head="2")
def _chain() -> nn.Module:
    return scattered(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, CLASSES)))


@specimen("no bias in the head", "a last layer that is a matrix and nothing else", (2,), (1,), head="head")
def _no_bias() -> nn.Module:
    return layers(linear1=nn.Linear(2, 3), tanh=nn.Tanh(), head=nn.Linear(3, 1, bias=False))


@specimen("single layer", "linear regression", (2,), (1,))
def _single_layer() -> nn.Module:
    return nn.Linear(2, 1)


# Parts that are not learned.


@specimen("frozen body", "a body that is not learned", (2,), (2,), head="head")
def _frozen_body() -> nn.Module:
    net = perceptron(2, 4, 3, 2)
    for layer in (net.linear1, net.linear2):
        layer.requires_grad_(False)
    return net


@specimen("frozen bias", "one bias that is not learned", (2,), (2,), head="head")
def _frozen_bias() -> nn.Module:
    net = perceptron(2, 4, 3, 2)
    net.linear2.bias.requires_grad_(False)
    return net


@specimen("frozen norm", "a normalisation whose gain is not learned", (3,), (1,), head="head")
def _frozen_norm() -> nn.Module:
    net = _layer_norm()
    net.norm.requires_grad_(False)
    return net


@specimen("frozen head", "a last layer that is not learned", (2,), (2,))
def _frozen_head() -> nn.Module:
    net = perceptron(2, 4, 3, 2)
    net.head.requires_grad_(False)
    return net


class LowRank(nn.Module):
    """A linear layer that is not learned, and beside it the product of two thin matrices that are."""

    def __init__(self, base: nn.Linear, rank: int = 1):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, base.in_features))
        self.up = nn.Parameter(0.3 * torch.randn(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.down.T @ self.up.T


@specimen("LoRA", "low-rank adapters beside layers that are not learned", (2,), (2,))
def _low_rank() -> nn.Module:
    return nn.Sequential(OrderedDict(body=LowRank(nn.Linear(2, 4)), tanh=nn.Tanh(), last=LowRank(nn.Linear(4, 2))))


class AddedProduct(nn.Module):
    """The same as a parametrisation of a weight."""

    def __init__(self, outputs: int, inputs: int):
        super().__init__()
        self.down, self.up = nn.Parameter(torch.randn(1, inputs)), nn.Parameter(0.3 * torch.randn(outputs, 1))

    def forward(self, w: Tensor) -> Tensor:
        return w + self.up @ self.down


@specimen("LoRA as a parametrisation", "the same, where the layer itself stays in its place", (2,), (1,), head="head")
def _low_rank_parametrised() -> nn.Module:
    body = nn.Linear(2, 3)
    nn.utils.parametrize.register_parametrization(body, "weight", AddedProduct(3, 2))
    body.parametrizations.weight.original.requires_grad_(False)
    return nn.Sequential(OrderedDict(body=body, tanh=nn.Tanh(), head=nn.Linear(3, 1)))


@specimen("unused weight", "a layer that is never called, and a weight in a branch that is not taken", (2,), (1,))
class Unused(nn.Module):
    def __init__(self, branch: bool = False):
        super().__init__()
        self.spare = nn.Linear(2, 2)
        self.body, self.last = nn.Linear(2, 3), nn.Linear(3, 1)
        self.scale = nn.Parameter(torch.randn(3))
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.body(x))
        return self.last(h * self.scale if self.branch else h)


@specimen("buffer", "a scale that is kept and not learned", (2,), (1,), head="head")
class Buffered(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(2, 3), nn.Linear(3, 1)
        self.register_buffer("scale", torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.body(x) * self.scale))


@specimen("buffer that is written", "a count of the calls, which the network itself advances", (2,), (1,), head="head")
class Counting(Buffered):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(x.mean())
        return super().forward(x) * torch.tanh(self.calls)


@specimen("buffer that is replaced", "a running mean, put in the place of the last one", (2,), (1,), head="head")
class Running(Buffered):
    def forward(self, x: Tensor) -> Tensor:
        self.scale = 0.9 * self.scale + 0.1 * x.mean().detach()
        return super().forward(x)


@specimen("dropout, off", "dropout in evaluation", (2,), (1,), head="head")
def _dropout_off() -> nn.Module:
    return layers(
        linear1=nn.Linear(2, 4), tanh=nn.Tanh(), dropout=nn.Dropout(0.5), head=nn.Linear(4, 1)
    ).eval()  # fmt: skip


# Weights that are computed, and parts that are wrapped.


@specimen("weight norm", "a weight as a length times a direction", (2,), (1,), head="head")
def _weight_norm() -> nn.Module:
    return layers(linear1=parametrizations.weight_norm(nn.Linear(2, 3)), tanh=nn.Tanh(), head=nn.Linear(3, 1))


@specimen("orthogonal", "a weight that is a rotation", (3,), (1,), head="head")
def _orthogonal() -> nn.Module:
    return layers(linear1=parametrizations.orthogonal(nn.Linear(3, 3)), tanh=nn.Tanh(), head=nn.Linear(3, 1))


class Softened(nn.Module):
    """A parametrisation of one's own, with weights of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.7))

    def forward(self, w: Tensor) -> Tensor:
        return self.scale * torch.tanh(w)


@specimen("own parametrisation", "a weight that is computed by a module with weights", (2,), (1,), head="head")
def _own_parametrisation() -> nn.Module:
    body = nn.Linear(2, 3)
    nn.utils.parametrize.register_parametrization(body, "weight", Softened())
    return layers(linear1=body, tanh=nn.Tanh(), head=nn.Linear(3, 1))


@specimen(
    "weight norm by hooks",
    "the same by a hook before every call",
    (2,),
    (1,),
    head="head",
)
def _weight_norm_by_hooks() -> nn.Module:
    return layers(linear1=nn.utils.weight_norm(nn.Linear(2, 3)), tanh=nn.Tanh(), head=nn.Linear(3, 1))


@specimen("spectral norm", "a weight divided by its norm, which is estimated in a buffer", (2,), (1,), head="head")
def _spectral_norm() -> nn.Module:
    return layers(linear1=parametrizations.spectral_norm(nn.Linear(2, 3)), tanh=nn.Tanh(), head=nn.Linear(3, 1))


@specimen("spectral norm by hooks", "the same the old way", (2,), (1,), head="head")
def _spectral_norm_by_hooks() -> nn.Module:
    return layers(linear1=nn.utils.spectral_norm(nn.Linear(2, 3)), tanh=nn.Tanh(), head=nn.Linear(3, 1))


@specimen("spectral norm, fixed", "the same in evaluation, where the estimate stands still", (2,), (1,), head="head")
def _spectral_norm_fixed() -> nn.Module:
    return _spectral_norm().eval()


@specimen("spectral norm by hooks, fixed", "the same the old way, in evaluation", (2,), (1,), head="head")
def _spectral_norm_by_hooks_fixed() -> nn.Module:
    return _spectral_norm_by_hooks().eval()


@specimen("random slopes", "a leaky ReLU whose slope is drawn", (2,), (1,), head="head")
def _random_slopes() -> nn.Module:
    return perceptron(2, 3, 1, activation=nn.RReLU)


@specimen("hooks", "hooks that change what goes in and what comes out", (2,), (1,), head="head")
def _hooks() -> nn.Module:
    net = perceptron(2, 3, 1)
    net.linear1.register_forward_hook(lambda module, inputs, output: output * module.bias + output)
    net.head.register_forward_pre_hook(lambda module, inputs: (inputs[0].square(),))
    net.register_forward_hook(lambda module, inputs, output: output + net.head.weight.sum())
    return net


@specimen("embedding with a largest norm", "an embedding that shortens its weights", whole_numbers(4, 2), (1,))
def _max_norm() -> nn.Module:
    return layers(words=nn.Embedding(4, 2, max_norm=1.0), flat=nn.Flatten(), tanh=nn.Tanh(), last=nn.Linear(4, 1))


@specimen("sparse embedding", "an embedding whose gradient is sparse", whole_numbers(4, 2), (1,))
def _sparse() -> nn.Module:
    return layers(words=nn.Embedding(4, 2, sparse=True), flat=nn.Flatten(), tanh=nn.Tanh(), last=nn.Linear(4, 1))


@specimen("embedding scaled by frequency", "an embedding whose gradient is that of no loss", whole_numbers(4, 2), (1,))
def _by_frequency() -> nn.Module:
    words = nn.Embedding(4, 2, scale_grad_by_freq=True)
    return layers(words=words, flat=nn.Flatten(), tanh=nn.Tanh(), last=nn.Linear(4, 1))


@specimen("own generator", "noise from a generator that only the network knows", (2,), (1,), head="head")
class OwnGenerator(Buffered):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.randn(2, generator=torch.Generator().manual_seed(0)))


@specimen("object out", "predictions in an object that is no tuple or dictionary", (2,), (1,), loss=lambda y_hat, y: 0)
class ObjectOut(Buffered):
    def forward(self, x: Tensor) -> Any:
        return SimpleNamespace(y=super().forward(x))


@specimen("numpy inside", "a part that is computed by numpy", (2,), (1,), head="head")
class NumpyInside(Buffered):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.from_numpy(np.tanh(x.detach().numpy())))


class Square(torch.autograd.Function):
    """A derivative written by hand, as one writes it for one task."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


@specimen("derivative by hand", "an operation with a derivative of its own", (2,), (1,), head="head")
class ByHand(Buffered):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(Square.apply(x))


@specimen("gradient by autograd", "an input that is made to require a gradient", (2,), (1,), head="head")
class ByAutograd(Buffered):
    def forward(self, x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(super().forward(x).sum(), x, create_graph=True)
        return slope[:, :1]


@specimen("complex weights", "weights with an imaginary part", (2,), (1,))
class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(2, 1, dtype=torch.complex128))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(self.w.dtype) @ self.w).abs()


@specimen("script", "a network compiled by torch.jit.script", (2,), (2,))
def _script() -> nn.Module:
    return torch.jit.script(perceptron(2, 4, 3, 2))


@specimen("part in script", "a network with a layer compiled by torch.jit.script", (2,), (1,), head="head")
def _part_in_script() -> nn.Module:
    return nn.Sequential(OrderedDict(body=torch.jit.script(nn.Linear(2, 3)), tanh=nn.Tanh(), head=nn.Linear(3, 1)))


@specimen("lazy layer", "a layer whose weights do not exist yet", (2,), (1,))
def _lazy() -> nn.Module:
    return nn.Sequential(OrderedDict(body=nn.LazyLinear(3), tanh=nn.Tanh(), head=nn.Linear(3, 1)))


@specimen("compiled", "a network that torch.compile has wrapped", (2,), (2,))
def _compiled() -> nn.Module:
    return torch.compile(perceptron(2, 4, 3, 2))


@specimen("reads a value", "a network that decides by the value of an input", (2,), (1,), head="head")
class ReadsValue(Buffered):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > 0 else 2 * super().forward(x)


@specimen("no weights", "a network without anything to learn", (2,), (2,))
def _no_weights() -> nn.Module:
    return nn.Sequential(nn.Tanh())


@specimen("all frozen", "a network of which nothing is learned", (2,), (2,), head="head")
def _all_frozen() -> nn.Module:
    return perceptron(2, 3, 2).requires_grad_(False)
