"""The networks, and the batch norm that torch gets wrong in second order."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import grad, vmap

from mamlbook import BatchNorm, Data, Model, Tasks, conv4, maml, mlp
from mamlbook.layers import FixedNorm, TaskNorm
from mamlbook.networks import Recurrent, contextual


def meta_gradient(native, batched):
    """One inner step on weight, gain and offset, then the gradient of the query loss in the start, (4, 4)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 6, 4, dtype=torch.float64, generator=generator)
    weight = torch.randn(4, 4, dtype=torch.float64, generator=generator).requires_grad_()
    gain = torch.rand(4, dtype=torch.float64, generator=generator) + 0.5
    offset = torch.randn(4, dtype=torch.float64, generator=generator)
    norm = BatchNorm(4).double()

    def loss(phi, x):
        weight, gain, offset = phi
        if native:
            h = F.batch_norm(x @ weight, None, None, gain, offset, training=True)
        else:
            h = torch.func.functional_call(norm, {"gain": gain, "offset": offset}, x @ weight)
        return (h**3).mean() + h[:2].sin().sum()

    def adapted(x):
        theta = (weight, gain, offset)
        return loss([t - 0.1 * g for t, g in zip(theta, grad(loss)(theta, x), strict=True)], x)

    losses = vmap(adapted)(x) if batched else torch.stack([adapted(task) for task in x])
    return torch.autograd.grad(losses.mean(), weight)[0]


def test_native_batch_norm_is_silently_wrong_in_second_order_and_ours_is_right():
    right = meta_gradient(native=False, batched=False)
    assert torch.allclose(meta_gradient(native=True, batched=False), right, rtol=1e-12)
    assert torch.allclose(meta_gradient(native=False, batched=True), right, rtol=1e-12)
    error = (meta_gradient(native=True, batched=True) - right).norm() / right.norm()
    # When a later torch repairs this, the test fails: then BatchNorm may become F.batch_norm again.
    assert error > 0.01


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 5, 5)])
def test_batch_norm_equals_torch_in_value_and_gradient(shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ours = BatchNorm(4).double()
    theirs = F.batch_norm(x, None, None, ours.gain, ours.offset, training=True)
    torch.testing.assert_close(ours(x), theirs, rtol=0, atol=1e-12)
    pulled = [torch.autograd.grad((y**3).sum(), x)[0] for y in (ours(x), theirs)]
    torch.testing.assert_close(*pulled, rtol=0, atol=1e-10)


def test_second_derivative_of_batch_norm():
    x = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradgradcheck(BatchNorm(2).double(), (x,))


def test_strided_conv4_has_the_papers_size():
    net = conv4(5)
    assert net(torch.rand(7, 1, 28, 28)).shape == (7, 5)
    # The paper's 112,261 with its 64-wide head; ours reads all 256 values that are left: 192 more per way.
    assert sum(p.numel() for p in net.parameters()) == 112_261 + 5 * 192


def test_max_pool_conv4():
    assert conv4(20, pooling="max", channels=3, filters=8, size=32)(torch.rand(2, 3, 32, 32)).shape == (2, 20)


def test_glorot_bounds_of_the_kernels():
    kernel = conv4(5).block2.conv.weight
    bound = (6 / (9 * 64 + 9 * 64)) ** 0.5
    assert kernel.abs().max() <= bound
    assert kernel.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


def test_a_context_stands_behind_the_inputs():
    net, x = contextual(2, 8, 1, context=3, seed=4), torch.randn(5, 2)
    plain = mlp(5, 8, 1, seed=4)
    with torch.no_grad():
        net.context.vector.copy_(torch.tensor([1.0, -2.0, 0.5]))
    expected = plain(torch.cat([x, torch.tensor([[1.0, -2.0, 0.5]]).expand(5, 3)], 1))
    assert torch.equal(net(x), expected)
    assert [name for name, _ in net.named_children()] == ["context", "linear1", "activation1", "head"]


def test_a_context_begins_at_zero_and_counts_as_weights():
    net = contextual(1, 40, 40, 1)
    assert not net.context.vector.any()
    assert sum(p.numel() for p in net.parameters()) == 5 + 6 * 40 + 40 + 40 * 40 + 40 + 40 + 1


def test_seeds_decide_the_weights_and_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = mlp(1, 4, 1, seed=1), mlp(1, 4, 1, seed=1), mlp(1, 4, 1, seed=2)
    conv4(3, filters=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mlp(3), "sizes: expected at least two"),
        (lambda: mlp(3, 0, 1), "sizes: expected at least two"),
        (lambda: mlp(3, 4.0, 1), "sizes: expected at least two"),
        (lambda: contextual(1, 4, 1, context=0), "context: expected a whole number of inputs"),
        (lambda: contextual(1), "sizes: expected at least two"),
        (lambda: conv4(5, pooling="mean"), "pooling: expected 'stride' or 'max'"),
        (lambda: conv4(0), "ways: expected a whole number of at least 1, got 0"),
        (lambda: conv4(5, pooling="max", size=12), "size: expected at least 16"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("activation", ["relu", torch.nn.ReLU(), None])
def test_an_activation_is_what_makes_a_layer(activation):
    with pytest.raises(TypeError, match=r"^activation: expected what makes a layer, as the class nn.ReLU does, got"):
        mlp(1, 4, 1, activation=activation)


def test_statistics_of_the_first_examples_are_those_torch_would_have_kept():
    x = torch.randn(9, 4, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    norm = BatchNorm(4, first=6).double()
    mean, variance = x[:6].mean((0, 2, 3)), x[:6].var((0, 2, 3), unbiased=False)
    kept = F.batch_norm(x, mean, variance, norm.gain, norm.offset, training=False)
    torch.testing.assert_close(norm(x), kept, rtol=0, atol=1e-12)
    # The rest do not see one another.
    torch.testing.assert_close(norm(x)[:8], norm(x[:8]), rtol=0, atol=1e-14)
    assert "first=6" in str(norm)


@pytest.mark.parametrize("first", [0, 2.0, True])
def test_a_number_of_first_examples_that_is_none_is_refused(first):
    for norm in (BatchNorm, TaskNorm):
        with pytest.raises(ValueError, match="first: expected a number of examples of at least 1"):
            norm(4, first=first)


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 5, 5)])
def test_fixed_norm_is_torchs_batch_norm_in_evaluation(shape):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64, generator=generator)
    norm = FixedNorm(4).double()
    norm.mean.copy_(torch.randn(4, generator=generator))
    norm.variance.copy_(torch.rand(4, generator=generator) + 0.5)
    theirs = F.batch_norm(x, norm.mean, norm.variance, norm.gain, norm.offset, training=False)
    torch.testing.assert_close(norm(x), theirs, rtol=0, atol=1e-12)
    assert torch.allclose(norm(x)[2], norm(x[2:3])[0])  # no other example matters
    assert [name for name, _ in norm.named_parameters()] == [name for name, _ in BatchNorm(4).named_parameters()]


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 5, 5)])
def test_task_norm_blends_the_support_set_and_the_example(shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    norm, ends = TaskNorm(4, first=3).double(), {}
    for name, scale in (("support", 20.0), ("own", -20.0), ("both", 0.0)):
        with torch.no_grad():
            norm.scale.fill_(scale)
        ends[name] = norm(x)
    torch.testing.assert_close(ends["support"], BatchNorm(4, first=3).double()(x), rtol=0, atol=1e-10)
    torch.testing.assert_close(ends["own"], F.layer_norm(x, shape[1:]), rtol=0, atol=1e-10)
    # Half and half are the moments of a mixture of the two distributions.
    flat = x.unsqueeze(-1).flatten(2)
    support, own = flat[:3].transpose(0, 1).flatten(1), flat.flatten(1)
    for example, channel in ((0, 0), (5, 2)):
        one, other = support[channel], own[example]
        mean = (one.mean() + other.mean()) / 2
        variance = ((one - mean).square().mean() + (other - mean).square().mean()) / 2
        expected = (flat[example, channel] - mean) / (variance + 1e-5).sqrt()
        torch.testing.assert_close(
            ends["both"].unsqueeze(-1).flatten(2)[example, channel], expected, rtol=0, atol=1e-12
        )
    # The rest do not see one another.
    torch.testing.assert_close(norm(x)[:5], norm(x[:5]), rtol=0, atol=1e-14)
    assert "first=3" in str(norm)


@pytest.mark.parametrize("norm", [BatchNorm, FixedNorm, torch.nn.LayerNorm])
def test_a_norm_stands_before_each_activation(norm):
    net = mlp(3, 8, 6, 2, norm=norm)
    assert [name for name, _ in net.named_children()] == [
        *("linear1", "norm1", "activation1", "linear2", "norm2", "activation2", "head")
    ]
    assert net(torch.rand(5, 3)).shape == (5, 2)
    assert torch.equal(net.linear2.weight, mlp(3, 8, 6, 2).linear2.weight)


def test_recurrent_is_torchs_unit_where_the_two_have_the_same_form():
    """torch multiplies the reset gate after the matrix, ours before: the same when the state's part is a multiple of 1.

    Its gates are ordered reset, keep, new, and each has two biases.
    """
    width, generator = 3, torch.Generator().manual_seed(0)
    ours, theirs = Recurrent(2, width, 1).double(), torch.nn.GRU(2, width, batch_first=True).double()
    with torch.no_grad():
        ours.candidate.weight[:, 2:] = 0.7 * torch.eye(width)
        keep, reset = ours.gates.weight.chunk(2)
        new = ours.candidate.weight
        theirs.weight_ih_l0.copy_(torch.cat([reset[:, :2], keep[:, :2], new[:, :2]]))
        theirs.weight_hh_l0.copy_(torch.cat([reset[:, 2:], keep[:, 2:], new[:, 2:]]))
        keep, reset = ours.gates.bias.chunk(2)
        theirs.bias_ih_l0.copy_(torch.cat([reset, keep, ours.candidate.bias]))
        theirs.bias_hh_l0.zero_()
    x = torch.randn(4, 5, 2, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(ours(x), ours.head(theirs(x)[1][0]), rtol=0, atol=1e-12)


def test_meta_gradient_of_a_recurrent_network_equals_finite_differences():
    generator = torch.Generator().manual_seed(0)
    model = Model(Recurrent(1, 4, 1), F.mse_loss).double()
    series = torch.randn(3, 8, 5, 1, dtype=torch.float64, generator=generator)
    tasks = Tasks(*(Data(x, x.sum(2)) for x in series.split(4, 1)), index=torch.full((3,), -1))
    learner = maml(model, 0.1, 2)
    direction = [torch.randn(t.shape, dtype=t.dtype, generator=generator) for t in model.theta]
    slope = sum((g * d).sum() for g, d in zip(learner.meta_gradient(tasks), direction, strict=True)).item()
    ends = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            for t, d in zip(model.theta, direction, strict=True):
                t += step * d
        ends.append(learner(tasks)[1].mean().item())
    assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(slope, rel=1e-7)
