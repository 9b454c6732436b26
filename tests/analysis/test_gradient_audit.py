"""The audit names every gradient rightly or says why it cannot, and leaves everything as it was."""

import functools

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import linear, mse_loss

from battery import model_for, tasks_for
from mamlbook import (
    ALGORITHMS,
    BatchNorm,
    Data,
    Exact,
    GradientDescent,
    MetaLearner,
    Model,
    Sinusoids,
    Tasks,
    fomaml,
    joint,
    maml,
    mlp,
    reptile,
)
from mamlbook.algorithms import conflict_averse, dropgrad, kernel_ridge, softmax_weights
from mamlbook.analysis.gradient_audit import gradient_check
from mamlbook.inner import LearnedRates, keep

ALPHA, STEPS = 0.1, 2


def tasks(seed=0):
    return Sinusoids(shots=5).draw(4, torch.Generator().manual_seed(seed)).to(torch.float64)


def model():
    return Model(mlp(1, 8, 8, 1, activation=nn.Tanh), mse_loss).double()


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(
    ("build", "verdict"), [(maml, "MAML"), (fomaml, "FOMAML"), (reptile, "neither")], ids=["maml", "fomaml", "reptile"]
)
def test_the_rows_of_the_table_are_named(build, verdict, steps):
    gradient = build(model(), 0.05, steps).meta_gradient(tasks())
    assert gradient_check(gradient, maml(model(), 0.05, steps), tasks()).verdict == verdict


def test_joint_training_is_neither():
    found = gradient_check(joint(model()).meta_gradient(tasks()), maml(model(), 0.05, 2), tasks())
    assert found.verdict == "neither"
    assert str(found).startswith("neither")


def test_a_verdict_is_one_line():
    line = str(gradient_check(maml(model(), 0.05, 2).meta_gradient(tasks()), maml(model(), 0.05, 2), tasks()))
    assert line.startswith("MAML         slopes: objective ")
    assert line.count("\n") == 0
    assert [part.split()[0] for part in line.partition("slopes: ")[2].split("   ")] == ["objective", "this", "FOMAML"]


@pytest.mark.parametrize("scale", [2, 1.001, -1, 0])
def test_a_gradient_in_the_wrong_scale_is_neither(scale):
    gradient = [scale * g for g in maml(model(), 0.05, 2).meta_gradient(tasks())]
    assert gradient_check(gradient, maml(model(), 0.05, 2), tasks()).verdict == "neither"


@pytest.mark.parametrize("tensor", range(6))
def test_a_gradient_without_one_tensor_is_neither(tensor):
    gradient = list(maml(model(), 0.05, 2).meta_gradient(tasks()))
    gradient[tensor] = torch.zeros_like(gradient[tensor])
    assert gradient_check(gradient, maml(model(), 0.05, 2), tasks()).verdict == "neither"


def test_two_tensors_that_changed_places_are_neither():
    gradient = list(maml(model(), 0.05, 2).meta_gradient(tasks()))
    gradient[1], gradient[3] = gradient[3], gradient[1]  # two biases of eight
    assert gradient_check(gradient, maml(model(), 0.05, 2), tasks()).verdict == "neither"


def test_a_missing_gradient_is_named():
    found = gradient_check([None] * 6, maml(model(), 0.05, 1), tasks())
    assert (found.verdict, found.reason) == ("no gradient", "")
    gradient = list(maml(model(), 0.05, 1).meta_gradient(tasks()))
    gradient[2] = None
    found = gradient_check(gradient, maml(model(), 0.05, 1), tasks())
    assert found.verdict == "no gradient"
    assert "linear2.weight" in found.reason


def test_the_finite_difference_is_the_slope_of_the_objective():
    gradient = maml(model(), 0.05, 2).meta_gradient(tasks())
    found = gradient_check(gradient, maml(model(), 0.05, 2), tasks())
    assert found.gradient == pytest.approx(found.finite_difference, rel=1e-9)
    assert abs(found.fomaml - found.gradient) > 1e-2 * abs(found.gradient)
    direction = torch.Generator().manual_seed(0)
    along = sum((g * torch.randn(g.shape, generator=direction, dtype=g.dtype)).sum().item() for g in gradient)
    assert found.gradient == pytest.approx(along, rel=1e-12)


# Networks of all kinds, whose gradient is computed here, one task at a time, without the package.


class ReadsWeights(nn.Module):
    """The parent reads the weights of its children."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 8), nn.Linear(8, 1)

    def forward(self, x):
        return linear(torch.tanh(linear(x, self.a.weight, self.a.bias)), self.b.weight)


class ReadsThroughAClosure(nn.Module):
    """A function that refers to the network itself, which no copy of the network changes."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 8), nn.Linear(8, 1)
        self.features = lambda x: torch.tanh(linear(x, self.a.weight))

    def forward(self, x):
        return self.b(self.features(x))


class Listed(nn.Module):
    """Weights in a list."""

    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(5, 8)), nn.Parameter(torch.randn(8, 1))])

    def forward(self, x):
        return torch.tanh(x @ self.weights[0]) @ self.weights[1]


class Tied(nn.Module):
    """One weight in two layers."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 1)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.head(torch.tanh(self.b(torch.tanh(self.a(x)))))


class Sequence(nn.Module):
    """A head on the mean, over time, of a layer for sequences."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(8, 1)

    def forward(self, x):
        y = self.layer(x, x, x) if isinstance(self.layer, nn.MultiheadAttention) else self.layer(x)
        return self.head((y[0] if isinstance(y, tuple) else y).mean(1))


def two_layers(first=None, activation=nn.Tanh):
    return nn.Sequential(first or nn.Linear(5, 8), activation(), nn.Linear(8, 1))


def partly_frozen():
    net = two_layers()
    net[0].bias.requires_grad_(False)
    return net


def hooked():
    net = two_layers()
    net[0].register_forward_hook(lambda module, given, output: 2 * output)
    return net


def smooth(activation, *widths, **options):
    return lambda: mlp(5, *widths, 1, activation=activation, **options)


FLAT, SERIES = (5,), (4, 8)
NETWORKS = {
    "tanh": (smooth(nn.Tanh, 8, 8), FLAT),
    "wide": (smooth(nn.Tanh, 64), FLAT),
    "deep": (smooth(nn.Tanh, 6, 6, 6, 6), FLAT),
    "GELU": (smooth(nn.GELU, 8, 8), FLAT),
    "SiLU": (smooth(nn.SiLU, 8, 8), FLAT),
    "ELU": (smooth(nn.ELU, 8, 8), FLAT),
    "softplus": (smooth(nn.Softplus, 16, 16), FLAT),
    "sigmoid": (smooth(nn.Sigmoid, 8), FLAT),
    "mish": (smooth(nn.Mish, 8), FLAT),
    "ReLU": (smooth(nn.ReLU, 8, 8), FLAT),
    "leaky": (smooth(nn.LeakyReLU, 8, 8), FLAT),
    "layer norm": (smooth(nn.Tanh, 8, norm=nn.LayerNorm), FLAT),
    "batch norm": (smooth(nn.Tanh, 8, norm=BatchNorm), FLAT),
    "group norm": (lambda: two_layers(nn.Sequential(nn.Linear(5, 8), nn.GroupNorm(2, 8))), FLAT),
    "reads weights": (ReadsWeights, FLAT),
    "closure": (ReadsThroughAClosure, FLAT),
    "listed": (Listed, FLAT),
    "tied": (Tied, FLAT),
    "hooked": (hooked, FLAT),
    "dropout, eval": (lambda: two_layers(nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5))).eval(), FLAT),
    "attention": (lambda: Sequence(nn.MultiheadAttention(8, 2, batch_first=True)), SERIES),
    "transformer": (lambda: Sequence(nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True)), SERIES),
    "GRU": (lambda: Sequence(nn.GRU(8, 8, batch_first=True)), SERIES),
    "convolution": (
        lambda: nn.Sequential(nn.Conv1d(4, 6, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(18, 1)),
        SERIES,
    ),
}


def noise_tasks(shape, seed, count=3, examples=6):
    generator = torch.Generator().manual_seed(seed)

    def data():
        x, y = (torch.randn(count, examples, *s, generator=generator, dtype=torch.float64) for s in (shape, (1,)))
        return Data(x, y)

    return Tasks(data(), data(), torch.full((count,), -1))


def learning(net):
    named = [(name, weight) for name, weight in net.named_parameters() if weight.requires_grad]
    return zip(*named, strict=True)


def by_hand(net, tasks, first_order=False):
    """MAML's or FOMAML's gradient, by plain autograd through ``functional_call``."""
    names, theta = learning(net)

    def loss(phi, data, b):
        return mse_loss(functional_call(net, dict(zip(names, phi, strict=True)), (data.x[b],)), data.y[b])

    total = 0
    for b in range(len(tasks.index)):
        phi = theta
        for _ in range(STEPS):
            gradients = torch.autograd.grad(loss(phi, tasks.support, b), phi, create_graph=True, materialize_grads=True)
            phi = [p - ALPHA * (g.detach() if first_order else g) for p, g in zip(phi, gradients, strict=True)]
        total = total + loss(phi, tasks.query, b) / len(tasks.index)
    return torch.autograd.grad(total, theta, allow_unused=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_other_peoples_networks_are_named(name):
    build, shape = NETWORKS[name]
    torch.manual_seed(0)
    net, drawn = build().double(), noise_tasks(shape, 0)
    learner = maml(Model(net, mse_loss), ALPHA, STEPS)
    with sdpa_kernel(SDPBackend.MATH):  # which can be differentiated twice
        right, first_order = by_hand(net, drawn), by_hand(net, drawn, first_order=True)
        right = [torch.zeros_like(p) if g is None else g for g, p in zip(right, net.parameters(), strict=True)]
        largest = max(range(len(right)), key=lambda number: right[number].abs().max())
        without = [torch.zeros_like(g) if number == largest else g for number, g in enumerate(right)]
        gradients = right, first_order, [1.001 * g for g in right], without
        verdicts = [gradient_check(gradient, learner, drawn).verdict for gradient in gradients]
    assert verdicts == ["MAML", "FOMAML", "neither", "neither"]


@pytest.mark.parametrize("seed", range(10))
def test_no_draw_of_weights_and_tasks_is_condemned(seed):
    for activation in (nn.Tanh, nn.ReLU):
        torch.manual_seed(seed)
        net, drawn = two_layers(activation=activation).double(), noise_tasks(FLAT, seed)
        learner = maml(Model(net, mse_loss), ALPHA, STEPS)
        assert gradient_check(by_hand(net, drawn), learner, drawn, seed=seed).verdict == "MAML"


def test_the_network_is_the_judge_and_not_the_model():
    torch.manual_seed(0)
    net, drawn = ReadsWeights().double(), noise_tasks(FLAT, 0)

    class Blind(Model):
        """Evaluates the network at theta, whatever the weights are that it is given."""

        def forward(self, phi, x):
            theta = tuple(t.expand_as(p) for t, p in zip(self.theta, phi, strict=True))
            return super().forward(tuple(t + 0 * p for t, p in zip(theta, phi, strict=True)), x)

    learner = maml(Blind(net, mse_loss), ALPHA, STEPS)
    found = gradient_check(learner.meta_gradient(drawn), learner, drawn)
    assert found.verdict == "neither"
    assert "the learner computes something else than its network does" in found.reason
    right = gradient_check(by_hand(net, drawn), learner, drawn)
    assert (right.verdict, right.judged_by) == ("MAML", "the network itself")
    assert "the learner computes something else" in right.reason


def test_none_is_right_for_a_weight_that_is_not_used():
    torch.manual_seed(0)
    net = ReadsWeights().double()  # the bias of its second layer is not read
    gradient = by_hand(net, noise_tasks(FLAT, 0))
    assert gradient[3] is None
    assert gradient_check(gradient, maml(Model(net, mse_loss), ALPHA, STEPS), noise_tasks(FLAT, 0)).verdict == "MAML"


# Solvers and weightings.


@pytest.mark.parametrize("name", [name for name, row in ALGORITHMS.items() if name != "sgld-score"])
def test_the_exact_gradient_of_every_solver_and_weighting_is_right(name):
    learner = ALGORITHMS[name].offer(model_for(name), steps=2, after=0).eval()
    exact = MetaLearner(learner.model, learner.solver, Exact(), learner.weighting).eval()
    drawn = tasks_for(name)
    found = gradient_check(exact.meta_gradient(drawn), exact, drawn)
    assert found.verdict == "MAML"
    assert not found.reason or "Adam" in str(learner.solver)


def test_an_inner_rule_is_judged_by_pytorchs_own():
    rule = functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=0.01)
    learner = MetaLearner(model(), GradientDescent(0.02, 3, rule=rule, lam=0.5))
    found = gradient_check(learner.meta_gradient(tasks()), learner, tasks())
    assert (found.verdict, found.judged_by, found.reason) == ("MAML", "the network itself", "")


def test_a_twin_that_differs_from_its_rule_is_no_wrong_gradient():
    """Adam's first step is nearly the sign of the gradient: its derivative is all in the small constant."""
    learner = MetaLearner(model(), GradientDescent(0.02, 3, rule=torch.optim.Adam))
    right = learner.meta_gradient(tasks())
    assert gradient_check(right, learner, tasks()).verdict == "MAML"
    assert gradient_check([1.001 * g for g in right], learner, tasks()).verdict == "neither"


def test_a_transform_is_applied():
    start = model()
    rates = LearnedRates(start, "tensor", 2)
    with torch.no_grad():
        for number, rate in enumerate(rates.rates):
            rate.mul_(1 + number / 4)
    chosen = keep(lambda name: not name.startswith("linear2"))
    learner = MetaLearner(start, GradientDescent(0.05, 3, chosen, rates.double()))
    found = gradient_check(learner.meta_gradient(tasks()), learner, tasks())
    assert (found.verdict, found.judged_by, found.reason) == ("MAML", "the network itself", "")
    other = maml(start, 0.05, 3).meta_gradient(tasks())
    assert gradient_check(other, learner, tasks()).verdict == "neither"


def test_a_kernel_is_judged_by_the_learner_and_says_so():
    learner = kernel_ridge(model())
    found = gradient_check(learner.meta_gradient(tasks()), learner, tasks())
    assert (found.verdict, found.judged_by) == ("MAML", "the learner's own objective")
    assert str(found).endswith("judged by the learner's own objective")


@pytest.mark.parametrize("build", [conflict_averse, softmax_weights])
def test_weights_of_tasks_are_held(build):
    learner = build(model())
    assert gradient_check(learner.meta_gradient(tasks()), learner, tasks()).verdict == "MAML"
    uniform = maml(model(), 0.01, 1)
    assert gradient_check(learner.meta_gradient(tasks()), uniform, tasks()).verdict == "neither"


def test_tasks_in_several_batches_count_alike():
    learner = maml(model(), 0.05, 2)
    few, many = (Sinusoids(shots=shots).draw(2, torch.Generator().manual_seed(0)).to(torch.float64) for shots in (3, 7))
    one, other = learner.meta_gradient(few), learner.meta_gradient(many)
    both = [(a + b) / 2 for a, b in zip(one, other, strict=True)]
    assert gradient_check(both, learner, [few, many]).verdict == "MAML"


# What cannot be judged.


def test_dropout_in_training_cannot_be_judged_and_in_evaluation_can():
    net = two_layers(nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5))).double()
    learner, drawn = maml(Model(net, mse_loss), ALPHA, STEPS), noise_tasks(FLAT, 0)
    found = gradient_check(learner.meta_gradient(drawn), learner, drawn)
    assert found.verdict == "cannot judge"
    assert "random" in found.reason
    assert "eval()" in found.reason
    assert found.reason in str(found)
    learner.eval()
    assert gradient_check(learner.meta_gradient(drawn), learner, drawn).verdict == "MAML"


def test_random_transforms_cannot_be_judged():
    learner = dropgrad(model(), 0.05, 2, p=0.3)
    found = gradient_check(learner.meta_gradient(tasks()), learner, tasks())
    assert (found.verdict, "random" in found.reason) == ("cannot judge", True)


def test_a_kink_at_the_weights_cannot_be_judged():
    """Biases of zero before a ReLU, and an input of zeros: every unit stands on its kink."""
    net = two_layers(activation=nn.ReLU).double()
    nn.init.zeros_(net[0].bias)
    drawn = noise_tasks(FLAT, 0)
    drawn.query.x[:, 0] = drawn.support.x[:, 0] = 0
    learner = maml(Model(net, mse_loss), ALPHA, 1)
    found = gradient_check(by_hand(net, drawn), learner, drawn)
    assert found.verdict == "cannot judge"
    assert "kink" in found.reason
    assert "smooth activation" in found.reason


def test_a_large_step_over_a_kink_is_made_smaller():
    """|x| at 1e-4 has its kink within the first steps."""
    x = torch.tensor(1e-4, dtype=torch.float64)
    assert gradient_check(torch.ones_like(x), lambda x: x.abs(), x).verdict == "gradient of the objective"
    assert gradient_check(-torch.ones_like(x), lambda x: x.abs(), x).verdict == "not its gradient"


def test_a_flat_objective_cannot_be_judged():
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    for objective in (lambda x: 3.0, lambda x: 1 + ((x - torch.tensor([1.0, 2.0])) ** 2).sum()):
        found = gradient_check([torch.zeros_like(x)], lambda theta, f=objective: f(theta[0]), [x])
        assert (found.verdict, "flat" in found.reason) == ("cannot judge", True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_infinite_objective_cannot_be_judged(value):
    x = torch.ones(2, dtype=torch.float64)
    found = gradient_check([x], lambda theta: theta[0].sum() * value, [x])
    assert (found.verdict, str(value) in found.reason) == ("cannot judge", True)


def test_an_objective_in_single_precision_cannot_be_judged():
    x = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    found = gradient_check(x.cos(), lambda x: x.float().sin().sum().double(), x)
    assert (found.verdict, "single precision" in found.reason) == ("cannot judge", True)


# Plain functions.


def rosenbrock(theta):
    x, y = theta
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def test_a_function_of_a_list_and_one_of_tensors_are_judged():
    x, y = torch.tensor([0.3, -0.7], dtype=torch.float64)
    right = [-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)]
    for objective in (rosenbrock, lambda x, y: rosenbrock((x, y)), lambda *theta: rosenbrock(theta)):
        assert gradient_check(right, objective, (x, y)).verdict == "gradient of the objective"
        assert gradient_check(right[::-1], objective, (x, y)).verdict == "not its gradient"
        assert gradient_check([1.001 * g for g in right], objective, iter((x, y))).verdict == "not its gradient"
        assert gradient_check([None, right[1]], objective, (x, y)).verdict == "no gradient"
    assert gradient_check(x.grad, lambda x: x**2, x).verdict == "no gradient"
    line = str(gradient_check(right, rosenbrock, (x, y)))
    assert "FOMAML" not in line


def test_a_function_may_use_numpy():
    import numpy as np

    x = torch.linspace(-1, 1, 7, dtype=torch.float64)
    gradient = gradient_check(torch.cos(x), lambda x: np.sin(x.numpy()).sum(), x)
    assert gradient.verdict == "gradient of the objective"


def test_a_function_may_take_gradients_itself():
    """MAML by hand, on the weights of a network that nobody wrapped."""
    net, drawn = two_layers().double(), noise_tasks(FLAT, 0)
    names, theta = learning(net)

    def objective(theta):
        total = 0
        for b in range(3):
            phi = dict(zip(names, theta, strict=True))
            for _ in range(STEPS):
                loss = mse_loss(functional_call(net, phi, (drawn.support.x[b],)), drawn.support.y[b])
                gradients = torch.autograd.grad(loss, list(phi.values()))
                phi = {name: p - ALPHA * g for (name, p), g in zip(phi.items(), gradients, strict=True)}
            total += mse_loss(functional_call(net, phi, (drawn.query.x[b],)), drawn.query.y[b]) / 3
        return total

    right, first_order = by_hand(net, drawn), by_hand(net, drawn, first_order=True)
    assert gradient_check(right, objective, net.parameters()).verdict == "gradient of the objective"
    found = gradient_check(first_order, objective, theta, first_order=first_order)
    assert found.verdict == "FOMAML"
    assert found.fomaml == found.gradient


def test_a_gradient_that_is_not_finite_is_wrong_and_named():
    x = torch.zeros(2, dtype=torch.float64)
    found = gradient_check([x, x / 0], lambda x, y: (x + y).sum(), [x, x])
    assert (found.verdict, found.reason) == ("not its gradient", "the gradient is not finite for theta[1]")


# Everything is left as it was.


def test_nothing_is_changed():
    net = nn.Sequential(nn.utils.spectral_norm(nn.Linear(5, 8)), nn.Tanh(), nn.Linear(8, 1)).double().eval()
    drawn = noise_tasks(FLAT, 0)
    net(drawn.query.x[0]).sum().backward()
    held = net(drawn.query.x[0]).sum()  # a graph that somebody still needs
    learner = maml(Model(net, mse_loss), ALPHA, 1)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    attributes, gradients = dict(vars(net[0])), [p.grad.clone() for p in net.parameters()]
    places, generator = [p.data_ptr() for p in net.parameters()], torch.get_rng_state()
    gradient_check([None] * 4, learner, drawn)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert vars(net[0]) == attributes
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), gradients, strict=True))
    assert [p.data_ptr() for p in net.parameters()] == places
    assert torch.equal(torch.get_rng_state(), generator)
    held.backward()


def test_the_weights_come_back_when_the_network_fails():
    net = two_layers().double()
    learner, calls = maml(Model(net, mse_loss), ALPHA, 1), []
    before = [t.detach().clone() for t in net.parameters()]

    def broken(y_hat, y):
        calls.append(1)
        if len(calls) > 20:
            raise ZeroDivisionError
        return mse_loss(y_hat, y)

    learner.model.loss = broken
    with pytest.raises(ZeroDivisionError):
        gradient_check([None] * 4, learner, noise_tasks(FLAT, 0))
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_what_a_weighting_remembers_stays():
    learner = ALGORITHMS["robust"].offer(model_for("robust"), steps=2)
    drawn = tasks_for("robust")
    learner(drawn)
    before = learner.weighting.staged
    gradient_check(learner.meta_gradient(drawn), learner, drawn.pick([1, 0]))
    assert torch.equal(learner.weighting.staged, before)


def test_wrong_arguments():
    learner = maml(model())
    with pytest.raises(ValueError, match="gradient: expected 6 tensors"):
        gradient_check([], learner, tasks())
    right = learner.meta_gradient(tasks())
    with pytest.raises(ValueError, match=r"gradient: expected shape \(8, 1\) for linear1\.weight, got \(1,\)"):
        gradient_check(right[::-1], learner, tasks())
    with pytest.raises(TypeError, match=r"gradient: expected a tensor or None for linear1\.weight, got float"):
        gradient_check([0.0, *right[1:]], learner, tasks())
    with pytest.raises(TypeError, match="gradient: expected a sequence of tensors, one per weight, got Tensor"):
        gradient_check(right[0], learner, tasks())
    single = Model(mlp(1, 4, 1), mse_loss)
    with pytest.raises(ValueError, match="double precision"):
        gradient_check([None] * 4, maml(single), tasks())
    with pytest.raises(TypeError, match="first_order: expected none beside a learner"):
        gradient_check(right, learner, tasks(), first_order=right)
    with pytest.raises(TypeError, match="objective: expected a MetaLearner or a function of tensors, got float"):
        gradient_check(right, 1.0, tasks())
    x = torch.ones(2, dtype=torch.float64)
    with pytest.raises(TypeError, match="theta: expected a tensor or a sequence of them, got float"):
        gradient_check([x], lambda x: x.sum(), 1.0)
    with pytest.raises(TypeError, match="theta: expected tensors, got str"):
        gradient_check([x], lambda x: x.sum(), {"x": x})
    with pytest.raises(ValueError, match="theta: expected weights in double precision"):
        gradient_check([x], lambda x: x.sum(), [x.float()])
    with pytest.raises(ValueError, match="objective: expected one number in double precision"):
        gradient_check([x], lambda x: x[0], [x])
    with pytest.raises(TypeError, match="objective: expected one number in double precision, got list"):
        gradient_check([x], lambda x: [1.0], [x])
    with pytest.raises(ValueError, match="step: expected a finite largest step above 0, got 0"):
        gradient_check([x], lambda x: x.sum(), [x], step=0)
    with pytest.raises(ValueError, match="theta: expected at least one tensor"):
        gradient_check([], lambda x: x, [])


def test_tasks_in_arrays_are_judged():
    learner, tasks = maml(model_for("maml"), ALPHA, STEPS), tasks_for("maml")
    arrays = Tasks(*(Data(data.x.numpy(), data.y.numpy()) for data in tasks[:2]))
    found = learner.meta_gradient(tasks)
    assert gradient_check(found, learner, arrays) == gradient_check(found, learner, tasks)
    with torch.inference_mode(), pytest.raises(RuntimeError, match=r"outside of torch\.inference_mode\(\)"):
        gradient_check(found, learner, tasks)


class OfOneTuple(nn.Module):
    """Two inputs that come in one argument."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(2, 1).double()

    def forward(self, both):
        one, other = both
        return self.body(one).tanh() * other


def test_a_tuple_that_is_one_argument_is_judged():
    drawn = torch.Generator().manual_seed(0)
    sets = [torch.randn(3, 4, 4, dtype=torch.float64, generator=drawn).split((2, 1, 1), 2) for _ in range(2)]
    tasks = Tasks(*(Data((one, other), y) for one, other, y in sets))
    learner = maml(Model(OfOneTuple(), mse_loss), 0.1, 2)
    check = gradient_check(learner.meta_gradient(tasks), learner, tasks)
    assert (check.verdict, check.judged_by, check.reason) == ("MAML", "the network itself", "")
