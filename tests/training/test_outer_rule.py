"""The outer rule: beta and its schedules, groups with rates of their own, and optimizers of the wrong kind."""

import functools
import math

import pytest
import torch
from torch.nn.functional import mse_loss
from torch.optim import LBFGS, SGD, Adam, SparseAdam

from mamlbook import ALGORITHMS, Data, Model, Tasks, fit, maml, mlp
from mamlbook.training.outer_rule import OuterRule
from training_cases import WAVES, learner, same_weights


def steps_of(beta, optimizer, steps=3):
    """The rates of every group at every step."""
    seen = []

    def spied(params, lr):
        rule = optimizer(params, lr=lr)
        rule.register_step_pre_hook(lambda rule, *_: seen.append([float(g["lr"]) for g in rule.param_groups]))
        return rule

    fit(learner(), WAVES, steps=steps, tasks=2, beta=beta, optimizer=spied)
    return seen


def relative(params, lr):
    return Adam([{"params": params[:2], "lr": 0.1 * lr}, {"params": params[2:], "lr": lr}])


def absolute(params, lr):
    return SGD([{"params": params[:2]}, {"params": params[2:], "lr": 1e-5}], lr=lr)


@pytest.mark.parametrize(
    ("beta", "optimizer", "expected"),
    [
        (0.5, Adam, [[0.5]] * 3),
        (1e-2, relative, [[1e-3, 1e-2]] * 3),
        (1e-3, absolute, [[1e-3, 1e-5]] * 3),
        (lambda step: 0.1 / (step + 1), relative, [[0.01, 0.1], [0.005, 0.05], [0.1 / 30, 0.1 / 3]]),
        # From 0, as a warm-up begins: the ratio is that to the first rate above 0.
        (lambda step: 1e-3 * step, absolute, [[0, 0], [1e-3, 1e-5], [2e-3, 2e-5]]),
        (0.0, relative, [[0, 0]] * 3),
    ],
)
def test_each_group_keeps_the_ratio_of_its_rate_to_beta(beta, optimizer, expected):
    for found, wanted in zip(steps_of(beta, optimizer), expected, strict=True):
        assert found == pytest.approx(wanted, rel=1e-12)


def test_a_rate_held_in_a_tensor_is_followed():
    tensor_rate = lambda params, lr: SGD(params, lr=torch.tensor(lr))  # noqa: E731
    assert steps_of(lambda step: 0.25 * step, tensor_rate) == [[0.0], [0.25], [0.5]]


def test_groups_move_as_by_hand():
    one, other = learner(), learner()
    batch = WAVES.draw(3, torch.Generator().manual_seed(0))
    gradient = other.meta_gradient(batch)
    groups = lambda p, lr: SGD([{"params": p[:2], "lr": lr / 4}, {"params": p[2:]}], lr=lr)  # noqa: E731
    fit(one, WAVES, steps=1, tasks=3, beta=0.5, optimizer=groups)
    for number, (moved, start, g) in enumerate(zip(one.model.theta, other.model.theta, gradient, strict=True)):
        torch.testing.assert_close(moved, start - (0.125 if number < 2 else 0.5) * g)


def test_at_beta_zero_nothing_moves():
    fit(one := learner(), WAVES, steps=3, tasks=2, beta=0)
    assert same_weights(one, learner())


@pytest.mark.parametrize("beta", [-1, math.nan, math.inf, "fast", None, True, [0.1], 1j, torch.tensor([0.1, 0.2])])
def test_a_beta_that_is_no_rate_is_refused(beta):
    with pytest.raises(ValueError, match="beta: expected a finite outer rate of at least 0 or a function of the step"):
        fit(learner(), WAVES, steps=2, beta=beta)


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "fast", None, torch.tensor(0.1, requires_grad=True)])
def test_a_bad_value_of_a_schedule_is_refused_before_anything_runs(value):
    one = learner()
    with pytest.raises(ValueError, match=r"beta\(7\), the rate of meta-step 8: expected"):
        fit(one, WAVES, steps=9, tasks=2, beta=lambda step: value if step == 7 else 0.1)
    assert same_weights(one, learner())


def test_a_schedule_may_give_a_number_of_torch_or_numpy():
    expected = fit(learner(), WAVES, steps=3, tasks=2, beta=0.125).losses
    assert fit(learner(), WAVES, steps=3, tasks=2, beta=lambda step: torch.tensor(0.125)).losses == expected


# ---------------------------------------------------------------- the wrong kind


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("adam", r"optimizer: expected a callable \(params, lr=...\) giving a .* does, got 'adam'"),
        (None, "got None"),
        (lambda params, lr: "adam", "which made a str"),
        (lambda params: Adam(params), "which refuses that call: .*'lr'"),
        (functools.partial(SGD, speed=3), "which refuses that call: .*speed"),
    ],
)
def test_what_makes_no_optimizer_is_refused(optimizer, message):
    with pytest.raises(TypeError, match=message):
        fit(learner(), WAVES, steps=2, optimizer=optimizer)


def test_a_finished_optimizer_is_refused():
    one = learner()
    with pytest.raises(
        TypeError, match=r"got an Adam object; pass the class, or lambda params, lr: Adam\(params, lr=lr\)"
    ):
        fit(one, WAVES, steps=2, optimizer=Adam(one.parameters()))


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (LBFGS, "got LBFGS, which evaluates the loss several times"),
        (SparseAdam, "dense gradients, as meta-gradients are, got SparseAdam"),
        (
            lambda params, lr: Adam(learner().parameters(), lr=lr),
            r"got one of shape \(8, 1\) that is not the learner's",
        ),
        (functools.partial(SGD, momentum=-1), "Invalid momentum value: -1"),
    ],
)
def test_an_optimizer_that_cannot_follow_meta_gradients_is_refused(optimizer, message):
    one = learner()
    with pytest.raises(ValueError, match=message):
        fit(one, WAVES, steps=2, optimizer=optimizer)
    assert same_weights(one, learner())


# ---------------------------------------------------------------- weights that stay


def test_a_frozen_weight_stays_whatever_gradient_it_had():
    one = ALGORITHMS["meta-sgd"](Model(mlp(1, 8, 1, seed=0), mse_loss))
    rates = list(one.solver.parameters())
    for rate in rates:
        rate.grad = torch.ones_like(rate)
        rate.requires_grad_(False)
    before, theta = [rate.clone() for rate in rates], [p.clone() for p in one.model.theta]
    fit(one, WAVES, steps=3, tasks=2, optimizer=lambda params, lr: Adam(one.parameters(), lr=lr))
    assert all(torch.equal(a, b) for a, b in zip(before, rates, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(theta, one.model.theta, strict=True))


def test_a_weight_that_the_optimizer_is_not_given_stays():
    one, start = learner(), learner()
    fit(one, WAVES, steps=3, tasks=2, optimizer=lambda params, lr: Adam(params[-2:], lr=lr))
    assert [torch.equal(a, b) for a, b in zip(one.model.theta, start.model.theta, strict=True)] == [True] * 2 + [
        False
    ] * 2


class Rows:
    """Whole numbers to look up, and targets."""

    def draw(self, tasks, generator):
        x = torch.randint(5, (tasks, 3), generator=generator)
        data = Data(x, torch.ones(tasks, 3, 1))
        return Tasks(data, data, torch.full((tasks,), -1))


def test_sparse_gradients_are_refused():
    net = torch.nn.Sequential(torch.nn.Embedding(5, 4, sparse=True), torch.nn.Linear(4, 1))
    with pytest.raises(ValueError, match="net: layer '0' has sparse gradients"):
        fit(maml(Model(net, mse_loss)), Rows(), steps=2)


@pytest.mark.parametrize(
    "optimizer", [Adam, torch.optim.AdamW, functools.partial(SGD, momentum=0.9), torch.optim.RMSprop]
)
def test_one_kernel_for_all_weights_takes_the_same_steps(optimizer):
    def stepped(fused):
        rule = OuterRule(optimizer, one := learner(), [1e-2] * 4)
        if fused:
            rule.fuse()
        for number in range(4):
            gradients = [torch.full_like(weight, 0.1 * (number + 1)) + weight.detach() for weight in one.learned]
            rule.step(1e-2 / (number + 1), gradients)
        return one, rule

    (one, plain), (other, fused) = stepped(False), stepped(True)
    kernel = type(fused.optimizer) is not torch.optim.RMSprop
    assert [group.get("fused") for group in fused.optimizer.param_groups] == [True if kernel else None]
    for a, b in zip(one.learned, other.learned, strict=True):
        assert torch.allclose(a, b, rtol=1e-12)
    assert fused.settings() == plain.settings()
    plain.remember(fused.state())  # a run may go on without the kernel


@pytest.mark.parametrize("chosen", [{"foreach": False}, {"fused": False}, {"foreach": True}])
def test_who_has_chosen_how_to_step_keeps_it(chosen):
    rule = OuterRule(functools.partial(Adam, **chosen), learner(), [1e-2])
    rule.fuse()
    assert not rule.optimizer.param_groups[0]["fused"]
