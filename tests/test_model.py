"""The stateless network: right, tidy, and clear about wrong shapes."""

import copy
import gc
import pickle

import higher
import pytest
import torch
from torch import nn
from torch._C._functorch import is_batchedtensor
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.checkpoint import checkpoint

from mamlbook import Data, Model, Sinusoids, Tasks, distance, maml, mlp
from mamlbook.numerics import expand_over_tasks


def tensors_alive():
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


def test_each_task_is_predicted_by_its_own_weights():
    net = mlp(2, 5, 3).double()
    model = Model(net, mse_loss)
    phi = tuple(
        torch.randn(4, *t.shape, dtype=t.dtype, generator=torch.Generator().manual_seed(0)) for t in model.theta
    )
    x = torch.randn(4, 6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = [
        torch.func.functional_call(net, dict(zip(model.names, [p[b] for p in phi], strict=True)), x[b])
        for b in range(4)
    ]
    torch.testing.assert_close(model(phi, x), torch.stack(expected), rtol=0, atol=1e-14)


def test_memory_is_flat_over_a_thousand_forward_calls():
    model = Model(mlp(1, 40, 40, 1), mse_loss)
    x = torch.rand(5, 10, 1)
    model(expand_over_tasks(model.theta, 5), x)
    before = tensors_alive()
    for _ in range(1000):
        model(expand_over_tasks(model.theta, 5), x)
    assert tensors_alive() <= before


def test_the_leak_that_this_avoids_is_real():
    # higher's default keeps every params= that a patched network is called with.
    net = mlp(1, 40, 40, 1)
    leaking = higher.monkeypatch(net, copy_initial_weights=False)
    for _ in range(50):
        leaking(torch.rand(10, 1), params=list(net.parameters()))
    assert len(leaking._fast_params) == 51


def test_no_graph_stays_alive_after_a_call():
    model = Model(mlp(1, 4, 1), mse_loss)
    phi = tuple((t * 1).expand(2, *t.shape) for t in model.theta)
    model(phi, torch.rand(2, 3, 1))
    assert all(p.is_leaf for p in model.net.parameters())


def test_the_network_recovers_after_an_error_inside_it():
    model = Model(mlp(1, 4, 1), mse_loss)
    with pytest.raises(ValueError, match=r"net: expected a network that reads x, float32 \(3, 7\) for one task"):
        model(expand_over_tasks(model.theta, 2), torch.rand(2, 3, 7))
    assert model(expand_over_tasks(model.theta, 2), torch.rand(2, 3, 1)).shape == (2, 3, 1)


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_a_copy_is_independent(twin):
    model = Model(mlp(1, 4, 1), mse_loss)
    other = twin(model)
    x = torch.rand(2, 3, 1)
    before = other(expand_over_tasks(other.theta, 2), x)
    with torch.no_grad():
        for t in model.theta:
            t.zero_()
    torch.testing.assert_close(other(expand_over_tasks(other.theta, 2), x), before)


def test_precision_and_training_mode_are_the_networks():
    model = Model(nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.5), nn.Linear(4, 1)), mse_loss).double()
    x = torch.rand(2, 3, 1, dtype=torch.float64)
    model.eval()
    first, second = (model(expand_over_tasks(model.theta, 2), x) for _ in range(2))
    assert torch.equal(first, second)
    model.train()
    first, second = (model(expand_over_tasks(model.theta, 2), x) for _ in range(2))
    assert not torch.equal(first, second)


def test_buffers_follow_the_network():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(1, 1)
            self.register_buffer("scale", torch.ones(1))

        def forward(self, x):
            return self.scale * self.linear(x)

    model = Model(Scaled(), mse_loss).double()
    assert model(expand_over_tasks(model.theta, 1), torch.rand(1, 2, 1, dtype=torch.float64)).dtype == torch.float64


def test_running_statistics_are_refused():
    with pytest.raises(ValueError, match="layer '1' keeps running statistics"):
        Model(nn.Sequential(nn.Linear(1, 2), nn.BatchNorm1d(2)), mse_loss)


def test_a_network_without_weights_is_refused():
    with pytest.raises(ValueError, match="without parameters"):
        Model(nn.ReLU(), mse_loss)


def test_a_loss_that_is_not_per_task_is_refused():
    model = Model(mlp(1, 1), lambda y_hat, y: (y_hat - y) ** 2)
    with pytest.raises(ValueError, match=r"loss: expected one number per task, shape \(2,\), got \(2, 3, 1\)"):
        model.losses(torch.zeros(2, 3, 1), torch.zeros(2, 3, 1))


def test_predictions_and_targets_must_belong_together():
    model = Model(mlp(1, 1), mse_loss)
    with pytest.raises(ValueError, match="y: expected targets that match"):
        model.losses(torch.zeros(2, 3, 1), torch.zeros(2, 3))  # would broadcast to 3 x 3 without a word
    with pytest.raises(ValueError, match="y: expected targets that match"):
        Model(mlp(1, 4), cross_entropy).losses(torch.zeros(2, 3, 4), torch.zeros(2, 5, dtype=torch.int64))


def test_phi_needs_the_task_axis_and_every_tensor():
    model = Model(mlp(1, 4, 1), mse_loss)
    with pytest.raises(ValueError, match=r"phi: expected linear1.weight of shape \(2, 4, 1\), the task axis first"):
        model(model.theta, torch.rand(2, 3, 1))
    with pytest.raises(ValueError, match="phi: expected 4 tensors"):
        model(model.theta[:2], torch.rand(2, 3, 1))


def broken(change):
    tasks = Sinusoids(shots=3, queries=4).draw(2, torch.Generator().manual_seed(0))
    return change(tasks)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t._replace(query=Data(t.query.x[:1], t.query.y[:1])),
            "query: expected as many tasks as support has, 2, got 1",
        ),
        (lambda t: t._replace(support=Data(t.support.x[0], t.support.y)), "support: expected x and y to begin"),
        (lambda t: t._replace(support=Data(t.support.x, t.support.y[:, :2])), "support: expected x and y to begin"),
        (lambda t: t._replace(index=torch.zeros(3, dtype=torch.int64)), "index: expected one number per task"),
    ],
)
def test_a_batch_that_does_not_agree_is_refused(change, message):
    learner = maml(Model(mlp(1, 4, 1), mse_loss))
    with pytest.raises(ValueError, match=message):
        learner(broken(change))


def test_tasks_change_precision_but_labels_do_not():
    data = Data(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.int64))
    moved = Tasks(data, data, torch.tensor([0])).to(torch.float64)
    assert moved.support.x.dtype == torch.float64
    assert moved.support.y.dtype == torch.int64
    assert moved.index.dtype == torch.int64


def test_features_are_what_the_head_sees():
    model = Model(mlp(2, 5, 4, 3).double(), mse_loss)
    phi = tuple(torch.randn(2, *t.shape, dtype=torch.float64) for t in model.theta)
    x = torch.randn(2, 6, 2, dtype=torch.float64)
    features = model.features(phi, x)
    assert features.shape == (2, 6, 4)
    torch.testing.assert_close(features @ phi[-2].mT + phi[-1][:, None], model(phi, x), rtol=0, atol=1e-14)


def test_features_follow_the_weights_and_leave_no_graph():
    model = Model(mlp(1, 5, 1).double(), mse_loss)
    phi = tuple((2 * t).expand(2, *t.shape) for t in model.theta)
    gradients = torch.autograd.grad(
        model.features(phi, torch.ones(2, 3, 1).double()).sum(), model.theta, allow_unused=True
    )
    assert gradients[0].abs().max() > 0
    assert gradients[-1] is None


def test_without_a_head_there_are_no_features():
    model = Model(torch.nn.Linear(1, 1), mse_loss)
    with pytest.raises(
        ValueError, match=r"net: expected a network with a head.*name it, as in Model\(net, loss, head="
    ):
        model.features(tuple(t[None] for t in model.theta), torch.ones(1, 2, 1))


def test_the_slope_of_the_predictions_along_a_direction():
    model = Model(mlp(1, 5, 1, activation=torch.nn.Tanh).double(), mse_loss)
    phi = tuple(t.expand(2, *t.shape) for t in model.theta)
    v = tuple(torch.randn(2, *t.shape, dtype=torch.float64) for t in model.theta)
    x = torch.randn(2, 4, 1, dtype=torch.float64)
    y_hat, slope = model.jvp(phi, x, v)
    ends = [model(tuple(p + sign * 1e-6 * d for p, d in zip(phi, v, strict=True)), x) for sign in (1, -1)]
    torch.testing.assert_close(y_hat, model(phi, x))
    torch.testing.assert_close(slope, (ends[0] - ends[1]) / 2e-6, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_network_that_computes_a_part_again_is_adapted_like_any_other(reentrant):
    class Again(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(1, 4), nn.Linear(4, 1)

        def forward(self, x):
            return self.last(checkpoint(self.first, x, use_reentrant=reentrant).tanh())

    again = Again().double()
    plain = nn.Sequential(again.first, nn.Tanh(), again.last)
    tasks = Sinusoids().draw(3, torch.Generator().manual_seed(0)).to(torch.float64)
    found, right = (maml(Model(net, mse_loss), 0.1, 2).meta_gradient(tasks) for net in (again, plain))
    assert distance(found, right) == 0
    again(torch.ones(2, 1, dtype=torch.float64, requires_grad=True)).sum().backward()  # as ever, outside
    assert again.first.weight.grad is not None


def test_weights_without_gradients_are_refused():
    with torch.inference_mode():
        net = nn.Linear(1, 1)
    with pytest.raises(RuntimeError, match=r"^net: expected weights made outside of torch.inference_mode.*deepcopy"):
        Model(net, mse_loss)
    assert Model(copy.deepcopy(net), mse_loss).theta[0].requires_grad


def only_alone(y, w):
    if is_batchedtensor(y):
        raise RuntimeError("not for many")
    return y


class Together(nn.Module):
    """Does something to the numbers of all tasks that only each by itself can do."""

    def __init__(self, operation):
        super().__init__()
        self.body, self.operation = nn.Linear(1, 1), operation

    def forward(self, x):
        return self.operation(self.body(x), self.body.weight)


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        (lambda y, w: y + w.data.sum(), r"^net: expected operations.*for all tasks at once.*write detach\(\) instead"),
        (only_alone, r"^net: expected operations.*for all tasks at once.*while all together say: not for many"),
    ],
)
def test_what_only_one_task_can_do_is_said(operation, said):
    model = Model(Together(operation), mse_loss)
    with pytest.raises(ValueError, match=said):
        model(tuple(t.expand(3, *t.shape) for t in model.theta), torch.zeros(3, 5, 1))
