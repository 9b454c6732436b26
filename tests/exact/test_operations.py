"""Operations spelled out: PyTorch's own values and first derivatives, and second ones that finite differences confirm.

Whole networks of them are in ``zoo``.
"""

import itertools
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.functional import mse_loss
from torch.utils import checkpoint

from mamlbook import Data, MetaLearner, Model, Tasks, fomaml, maml
from mamlbook.exact import exact_operations

CLASSES, EXAMPLES = 4, 6
DRAWN = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(shape, generator=DRAWN, dtype=torch.float64)


def whole(below, *shape):
    return torch.randint(below, shape, generator=DRAWN)


def product(**options):
    return [dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())]


SCORES, LABELS, BALANCE = normal(EXAMPLES, CLASSES), whole(CLASSES, EXAMPLES), normal(CLASSES).exp()
IGNORED = LABELS.where(torch.arange(EXAMPLES) != 1, -100)
WORDS, PICTURES, ENDS = whole(5, EXAMPLES, 3), normal(2, CLASSES, 3, 3), ["none", "sum", "mean"]
VARIANCES, TARGETS = normal(EXAMPLES, CLASSES).exp(), normal(EXAMPLES, CLASSES)

# Functions of one tensor, and that tensor.
CASES = {
    "layer norm": (lambda x: F.layer_norm(x, (3, 3)), PICTURES),
    "rms norm": (lambda x: F.rms_norm(x, (3,)), PICTURES),
    "group norm": (lambda x: F.group_norm(x, 2, BALANCE), PICTURES),
    "instance norm": (lambda x: F.instance_norm(x, weight=BALANCE), PICTURES),
    "batch norm": (lambda x: F.batch_norm(x, None, None, BALANCE, training=True), PICTURES),
    "known norm": (lambda x: F.batch_norm(x, BALANCE, BALANCE), PICTURES),
    "bilinear": (lambda w: F.bilinear(SCORES, TARGETS, w), normal(2, CLASSES, CLASSES)),
    "lengths": (lambda x: torch.cdist(x, TARGETS), SCORES),
    "lengths at once": (lambda x: torch.cdist(PICTURES, x[:, None].expand(-1, CLASSES, 3, 3), 3), normal(2, 3, 3)),
    "pairs": (lambda x: F.pdist(x, 2), SCORES),
    **{
        f"bag {options}": (lambda w, options=options: F.embedding_bag(WORDS, w, **options), normal(5, 2))
        for options in product(mode=["mean", "sum", "max"], padding_idx=[None, 0, -1])
    },
    "weighted bag": (
        lambda w: F.embedding_bag(WORDS, w, mode="sum", per_sample_weights=SCORES[:, :3]),
        normal(5, 2),
    ),
    **{
        f"cross entropy {number}": (lambda x, options=options: F.cross_entropy(x, IGNORED, BALANCE, **options), SCORES)
        for number, options in enumerate(product(label_smoothing=[0.0, 0.3], reduction=ENDS))
    },
    **{
        f"margin {options}": (lambda x, options=options: F.multi_margin_loss(x, LABELS, **options), SCORES)
        for options in product(p=[1, 2], weight=[None, BALANCE], margin=[0.7], reduction=ENDS)
    },
    "margin, summed the old way": (lambda x: F.multi_margin_loss(x, LABELS, size_average=False), SCORES),
    **{
        f"gaussian {options}": (lambda x, o=options: F.gaussian_nll_loss(x, TARGETS, VARIANCES, **o), SCORES)
        for options in product(full=[True, False], reduction=ENDS)
    },
}


@pytest.mark.filterwarnings("ignore:size_average and reduce args")  # of the old way
@pytest.mark.parametrize("name", list(CASES))
def test_values_and_slopes_are_pytorchs(name):
    function, at = CASES[name]
    x = at.clone().requires_grad_()
    theirs = function(x)
    with exact_operations():
        ours = function(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    u = torch.linspace(1, 2, ours.numel(), dtype=torch.float64).view_as(ours)
    slopes = [torch.autograd.grad(y, x, u)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", [name for name in CASES if "max" not in name and "old way" not in name])
def test_second_derivatives_are_those_of_differences(name):
    function, at = CASES[name]

    def spelled_out(x):
        with exact_operations():
            return function(x)

    assert torch.autograd.gradgradcheck(spelled_out, (at.clone().requires_grad_(),))


def test_points_that_are_the_same_have_derivatives():
    x = normal(3, 2)
    x[1] = x[0]
    x.requires_grad_()
    with exact_operations():
        total = torch.cdist(x, x).sum() + F.pdist(x).square().sum()
    (slope,) = torch.autograd.grad(total, x, create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), x)
    assert second.isfinite().all()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda: F.embedding_bag(WORDS[0], SCORES, torch.tensor([0, 2])), "with offsets; pad the bags"),
        (lambda: F.embedding(WORDS, SCORES, max_norm=1.0), "with max_norm or scale_grad_by_freq"),
        (lambda: F.embedding(WORDS, SCORES, scale_grad_by_freq=True), "with max_norm or scale_grad_by_freq"),
        (lambda: torch.rand(3, generator=torch.Generator()), "rand with a generator of its own.*leave generator out"),
        (lambda: SCORES.clone().normal_(generator=torch.Generator()), "normal_ with a generator of its own"),
        (lambda: F.batch_norm(PICTURES, BALANCE, BALANCE, training=True), "writes running statistics"),
        (lambda: F.layer_norm(PICTURES, (2,)), r"a norm over \(2,\) reads to end in these axes, got \(2, 4, 3, 3\)"),
        (lambda: F.layer_norm(SCORES[:, :1], (4,), BALANCE), r"over \(4,\) reads to end in these axes, got \(6, 1\)"),
        (lambda: F.rms_norm(SCORES[:, :1], (4,), BALANCE), r"over \(4,\) reads to end in these axes, got \(6, 1\)"),
        (lambda: F.batch_norm(SCORES[:, :1], None, None, BALANCE, training=True), "4 channels.*got 1 in"),
        (lambda: F.batch_norm(SCORES[:, :1], BALANCE, BALANCE), "4 channels.*got 1 in.*as many channels as its input"),
        (lambda: F.group_norm(SCORES[:, :1], 1, BALANCE), "4 channels.*got 1 in"),
        (lambda: F.group_norm(SCORES, 3), "3 groups of a norm can share alike, got 4"),
        (lambda: F.bilinear(SCORES[:, :1], TARGETS, torch.ones(2, 4, 4)), "4 and 4 features.*got .6, 1. and"),
        (lambda: torch.cdist(SCORES[:, :1], TARGETS), r"of one dimension.*got \(6, 1\) and \(6, 4\)"),
        (
            lambda: F.batch_norm(SCORES[:1], None, None, training=True),
            r"got one in \(1, 4\).*nn.LayerNorm",
        ),
        (lambda: F.group_norm(SCORES[:1, :2], 2), "several numbers for each mean and variance.*got one"),
        (lambda: F.instance_norm(PICTURES[:, :, :1, :1]), "several numbers for each mean and variance.*got one"),
    ],
)
def test_what_tasks_cannot_share_is_refused(function, said):
    with exact_operations(), pytest.raises(ValueError, match=f"^net: expected.*{said}"):
        function()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "norm",
    [nn.LayerNorm(4), nn.RMSNorm(4), nn.GroupNorm(2, 4), nn.BatchNorm1d(4, track_running_stats=False)],
    ids=lambda norm: type(norm).__name__,
)
def test_numbers_of_16_bits_are_squared_as_pytorch_squares_them(norm, kind):
    for size in (1e-3, 1, 1000):  # the square of the last is no float16
        x = (size * normal(EXAMPLES, CLASSES)).to(kind)
        theirs = norm.to(kind)(x)
        with exact_operations():
            torch.testing.assert_close(norm(x), theirs, rtol=0, atol=4 * torch.finfo(kind).eps)


@pytest.mark.parametrize("bad", [4, -1])
@pytest.mark.parametrize("task", [0, 1, 2])
@pytest.mark.parametrize("words", [nn.Embedding, nn.EmbeddingBag], ids=lambda kind: kind.__name__)
def test_an_index_that_is_out_of_range_finds_no_word_of_another_task(words, task, bad):
    net = nn.Sequential(words(4, 2), nn.Flatten(), nn.LazyLinear(1)).double()
    x, y = whole(4, 3, 5, 2), normal(3, 5, 1)
    net(x[0])
    x[task, 1, 0] = bad
    said = "^net: expected a network that reads x, int64.*got Sequential, which says: index out of range.*whole numbers"
    with pytest.raises(ValueError, match=said):
        maml(Model(net, mse_loss), 0.1, 1).meta_gradient(Tasks(Data(x, y), Data(x, y)))


def settings():
    """What PyTorch has set for all threads."""
    return (
        torch.backends.mha.get_fastpath_enabled(),
        torch.backends.cuda.flash_sdp_enabled(),
        checkpoint.CheckpointFunction.apply,
        vars(checkpoint).get("_checkpoint_without_reentrant_generator"),
    )


def test_threads_that_overlap_leave_nothing_set():
    before = settings()
    inside, over = (threading.Event() for _ in range(2))

    def first():
        with exact_operations():
            inside.set()
            over.wait(10)

    one = threading.Thread(target=first)
    one.start()
    assert inside.wait(10)
    with exact_operations():  # begins within the first, and ends after it
        assert settings() != before
        over.set()
        one.join(10)
        assert settings() != before
        assert not torch.backends.mha.get_fastpath_enabled()
    assert settings() == before


def alignments(scores, y):
    """The likelihood of a sequence, of which PyTorch has one derivative."""
    of = torch.full((len(scores),), 3), torch.full((len(scores),), 1)
    return F.ctc_loss(scores.unflatten(1, (3, 2)).log_softmax(2).transpose(0, 1), y.long(), *of)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch's, of a loss for each task by itself
def test_a_derivative_that_pytorch_does_not_have_is_named():
    data = Data(normal(2, 5, 3), torch.ones(2, 5, 1))
    model = Model(nn.Linear(3, 6).double(), alignments)
    assert all(g.isfinite().all() for g in fomaml(model, 0.1, 1).meta_gradient(Tasks(data, data)))
    said = "^net, loss: expected operations.*got ctc_loss, of which.*write it out.*such as fomaml"
    for compute in (MetaLearner.meta_gradient, MetaLearner.gradients):
        with pytest.raises(ValueError, match=said):
            compute(maml(model, 0.1, 1), Tasks(data, data))
    assert maml(Model(nn.Linear(3, 1).double(), mse_loss), 0.1, 1).meta_gradient(Tasks(data, data))
