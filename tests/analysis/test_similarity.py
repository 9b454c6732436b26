"""Similarities of activations: what they ignore, independent definitions, and the trap of few examples."""

import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss

from battery import sine_model, sine_tasks
from mamlbook import Data, Model, Tasks, conv4, keep, maml, mlp
from mamlbook.analysis.similarity import activations, change, linear_cka, mean_cca
from mamlbook.numerics import expand_over_tasks


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def rotation():
    return torch.linalg.qr(noise(5, 5, seed=3))[0]


def test_cka_ignores_rotation_scale_and_offset(rotation):
    x = noise(60, 5)
    assert linear_cka(x, 3 * x @ rotation + 7).item() == pytest.approx(1, abs=1e-12)
    assert linear_cka(x, x @ torch.diag(torch.tensor([9.0, 1, 1, 1, 1]).double())).item() < 0.9


def test_cca_ignores_every_invertible_linear_map():
    x = noise(60, 5)
    assert mean_cca(x, x @ noise(5, 5, seed=1) - 2).item() == pytest.approx(1, abs=1e-10)


def test_cka_of_one_feature_is_the_squared_correlation_and_cca_its_size():
    x, y = noise(30, 1), noise(30, 1) + noise(30, 1, seed=1)
    r = torch.corrcoef(torch.cat([x, y], 1).T)[0, 1]
    assert linear_cka(x, y).item() == pytest.approx(r.square().item(), abs=1e-12)
    assert mean_cca(x, y).item() == pytest.approx(r.abs().item(), abs=1e-12)


def test_cca_by_an_independent_definition():
    # The squared canonical correlations are the eigenvalues of Sxx^-1 Sxy Syy^-1 Syx.
    x, y = noise(80, 4), noise(80, 3, seed=1)
    y[:, 0] += x[:, 0]
    covariance = torch.cat([x, y], 1).T.cov()
    xx, xy, yy = covariance[:4, :4], covariance[:4, 4:], covariance[4:, 4:]
    squares = torch.linalg.eigvals(torch.linalg.solve(xx, xy) @ torch.linalg.solve(yy, xy.T)).real
    expected = squares.clamp(min=0).sqrt().sort().values[-3:].mean()
    assert mean_cca(x, y).item() == pytest.approx(expected.item(), abs=1e-7)


def test_cka_by_its_kernels():
    x, y = noise(12, 4), noise(12, 3, seed=1)
    centre = torch.eye(12, dtype=torch.float64) - 1 / 12
    k, m = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre
    expected = (k * m).sum() / (k.norm() * m.norm())
    assert linear_cka(x, y).item() == pytest.approx(expected.item(), abs=1e-12)


def test_dead_units_change_nothing():
    x, y = noise(50, 4), noise(50, 4, seed=1)
    dead = torch.cat([x, torch.zeros(50, 3, dtype=torch.float64)], 1)
    assert mean_cca(dead, y).item() == pytest.approx(mean_cca(x, y).item(), abs=1e-12)
    assert linear_cka(dead, y).item() == pytest.approx(linear_cka(x, y).item(), abs=1e-12)


def test_few_examples_make_noise_look_alike():
    """The numbers that the docstrings give."""
    assert mean_cca(noise(20, 70, 64), noise(20, 70, 64, seed=1)).mean().item() == pytest.approx(0.94, abs=0.01)
    assert mean_cca(noise(64, 70), noise(64, 70, seed=1)).item() == pytest.approx(1, abs=1e-9)
    assert linear_cka(noise(20, 12, 64), noise(20, 12, 64, seed=1)).mean().item() == pytest.approx(0.87, abs=0.02)
    assert mean_cca(noise(2000, 10), noise(2000, 10, seed=1)).item() < 0.1
    assert linear_cka(noise(2000, 10), noise(2000, 10, seed=1)).item() < 0.05


def test_every_pair_of_a_batch_is_compared_by_itself():
    x, y = noise(3, 40, 4), noise(3, 40, 6, seed=1)
    for similarity in (linear_cka, mean_cca):
        torch.testing.assert_close(similarity(x, y), torch.stack([similarity(a, b) for a, b in zip(x, y, strict=True)]))


def test_activations_are_those_of_the_network():
    model, tasks = sine_model(), sine_tasks()
    phi = tuple(t + noise(5, *t.shape) for t in model.theta)
    found = activations(model, phi, tasks.query.x)
    assert list(found) == ["linear1", "activation1", "linear2", "activation2", "head"]
    torch.testing.assert_close(found["head"], model(phi, tasks.query.x), rtol=0, atol=1e-14)
    torch.testing.assert_close(found["activation2"], model.features(phi, tasks.query.x), rtol=0, atol=1e-14)


def test_activations_of_layers_that_share_weights_work_in_place_or_stand_twice():
    shared, twice = torch.nn.Linear(4, 4), torch.nn.Tanh()
    again = torch.nn.Linear(4, 4)
    again.weight = shared.weight
    net = torch.nn.Sequential(shared, torch.nn.ReLU(inplace=True), again, twice, torch.nn.Linear(4, 4), twice).double()
    model, x = Model(net, mse_loss), noise(2, 7, 4)
    phi = tuple(t.detach() + noise(2, *t.shape) for t in model.theta)
    found = activations(model, phi, x)
    assert list(found) == ["0", "1", "2", "3", "4", "5"]
    for b in range(2):
        weight, bias, again_bias, last, last_bias = (p[b] for p in phi)
        outputs = [x[b] @ weight.T + bias]
        outputs.append(outputs[-1].relu())
        outputs.append(outputs[-1] @ weight.T + again_bias)
        outputs.append(outputs[-1].tanh())
        outputs.append(outputs[-1] @ last.T + last_bias)
        outputs.append(outputs[-1].tanh())
        for name, output in zip(found, outputs, strict=True):
            torch.testing.assert_close(found[name][b], output, rtol=0, atol=1e-14)


def test_activations_of_convolutions_have_their_pixels():
    model = Model(conv4(3, filters=2, size=16), cross_entropy)
    x = torch.rand(2, 5, 1, 16, 16)
    found = activations(model, expand_over_tasks(model.theta, 2), x)
    assert found["block1"].shape == (2, 5, 2, 8, 8)
    torch.testing.assert_close(found["head"], model(expand_over_tasks(model.theta, 2), x))


def test_what_changes_is_what_adapts():
    model, tasks = sine_model(), sine_tasks(queries=30)
    found = change(maml(model, 0.1, 1, keep(lambda name: name.startswith("linear2"))), tasks, linear_cka, steps=3)
    assert all(alike.shape == (5,) for alike in found.values())
    assert torch.allclose(found["activation1"], torch.ones(5).double())
    assert (found["activation2"] < 1 - 1e-6).all()
    nothing = change(maml(model, 0.1, 1), tasks, mean_cca, steps=0)
    assert all(torch.allclose(alike, torch.ones(5).double()) for alike in nothing.values())


def test_pixels_are_points():
    model = Model(conv4(3, filters=2, size=16), cross_entropy)
    x, y = torch.rand(2, 6, 1, 16, 16), torch.arange(3).repeat(2, 2)
    shapes = {}
    seen = iter(activations(model, expand_over_tasks(model.theta, 2), x))
    change(
        maml(model, 0.1),
        Tasks(Data(x, y), Data(x, y), torch.tensor([-1, -1])),
        lambda one, other: shapes.setdefault(next(seen), one.shape),
    )
    assert shapes["block1"] == (2, 6 * 8 * 8, 2)
    assert shapes["head"] == (2, 6, 3)


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"one, other: expected features .* of the same n examples"):
        linear_cka(noise(5, 2), noise(6, 2))
    with pytest.raises(ValueError, match="one, other: expected features"):
        mean_cca(noise(5), noise(5))

    class Alone(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = mlp(1, 2, 1)

    with pytest.raises(
        ValueError, match=r"net: expected an nn\.Sequential, whose layers follow one another, got Alone"
    ):
        activations(Model(Alone(), mse_loss), (), torch.zeros(1, 1, 1))
    with pytest.raises(ValueError, match="phi: expected 6 tensors, one per weight that learns, got 0"):
        activations(sine_model(), (), torch.zeros(1, 1, 1))
    flat = Model(torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Flatten(0)), lambda y_hat, y: (y_hat**2).mean())
    data = Data(torch.zeros(2, 3, 1), torch.zeros(2, 3, 1))
    with pytest.raises(TypeError, match="net: expected layers that put out one tensor"):
        change(maml(flat), Tasks(data, data), linear_cka, steps=0)


def test_dropout_is_no_change():
    net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1)).double()
    found = change(maml(Model(net, mse_loss)), sine_tasks(), linear_cka, steps=0)
    assert all(torch.allclose(alike, torch.ones(5).double()) for alike in found.values())
    assert net.training
