"""What people do by habit is right, or one sentence names the argument, what came and what to do."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from mamlbook import (
    ALGORITHMS,
    BatchNorm,
    Clipped,
    ConflictAverseWeights,
    Data,
    DropGrad,
    EvoGrad,
    EvolutionStrategies,
    FixedNorm,
    GradientDescent,
    LinearRegression,
    LocalMOML,
    MetaLearner,
    Mixture,
    Model,
    MultiStepLoss,
    PathwiseGradient,
    Recurrent,
    Sinusoids,
    TaskNorm,
    Tasks,
    TaskTable,
    WaveCollection,
    check_tasks,
    contextual,
    conv4,
    distance,
    evaluate,
    fit,
    fit_replicas,
    gradient_check,
    maml,
    meta_sgd,
    mlp,
    pretrained,
)

WAVES = Sinusoids(shots=5, queries=5)


def waves():
    return WAVES.draw(3, torch.Generator().manual_seed(0))


def learner(build=maml):
    return build(Model(mlp(1, 8, 1, seed=0), mse_loss), 0.01, 2)


def twice(x, y):
    return Tasks(Data(x, y), Data(x, y))


LABELS, POINTS = torch.tensor([0, 1, 2, 0]).expand(3, 4), torch.ones(3, 4, 2)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (one_hot(LABELS), r"int64 \(4, 3\).*got cross_entropy.*classes are whole numbers"),
        (LABELS.float(), r"float32 \(4,\).*got cross_entropy.*classes are whole numbers"),
        (LABELS[..., None], r"int64 \(4, 1\).*got cross_entropy.*classes are whole numbers"),
        (LABELS + 3, r"int64 \(4,\).*got cross_entropy.*out of bounds.*from 0"),
    ],
)
def test_targets_that_the_loss_cannot_read(y, said):
    classifier = maml(Model(mlp(2, 8, 3, seed=0), cross_entropy), 0.01, 2)
    with pytest.raises(ValueError, match=f"^loss: expected one that reads.*{said}"):
        classifier.meta_gradient(twice(POINTS, y))


@pytest.mark.parametrize(
    "loss",
    [
        F.poisson_nll_loss,
        F.soft_margin_loss,
        F.hinge_embedding_loss,
        F.kl_div,
        torch.dist,
        nn.PoissonNLLLoss(),
        lambda y_hat, y: F.gaussian_nll_loss(y_hat, y, torch.ones(())),
        lambda y_hat, y: 1 - F.cosine_similarity(y_hat, y, 0).mean(),
        lambda y_hat, y: F.pairwise_distance(y_hat, y).mean(),
    ],
    ids=["poisson", "margin", "hinge", "kl", "dist", "module", "gaussian", "cosine", "pairwise"],
)
def test_no_loss_broadcasts_targets_without_a_word(loss):
    x, y = waves().support
    with pytest.raises(ValueError, match=r"^y: expected targets that match the predictions, got \(5,\) for \(5, 1\)"):
        maml(Model(mlp(1, 8, 1, seed=0), loss), 0.01, 2).meta_gradient(twice(x, y[..., 0]))


def test_a_loss_of_pairs_gives_both_two_axes():
    def ranking(scores, y):
        s = scores[:, 0]
        return torch.relu(1 - (s[:, None] - s[None]) * (y[:, 0, None] - y[None, :, 0]).sign()).mean()

    assert maml(Model(mlp(1, 8, 1, seed=0), ranking), 0.01, 2).meta_gradient(waves())
    hidden = Model(mlp(1, 8, 1, seed=0), lambda scores, y: (scores - scores[:, 0]).square().mean())
    with pytest.raises(ValueError, match=r"if every pair is meant, give both two axes"):
        maml(hidden, 0.01, 2).meta_gradient(waves())


def test_a_label_out_of_range_is_named_whichever_task_has_it():
    y = LABELS.clone()
    y[2, 1] = 3
    with pytest.raises(ValueError, match=r"^loss: expected one that reads.*Target 3 is out of bounds"):
        maml(Model(mlp(2, 8, 3, seed=0), cross_entropy), 0.01, 2).meta_gradient(twice(POINTS, y))


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.ones(3, 4, 2), r"^net: expected a network that reads x, float32 \(4, 2\).*got Sequential.*shapes"),
        (torch.ones(3, 4, 1, dtype=torch.int64), r"^net: expected a network that reads x, int64 \(4, 1\).*dtype"),
        (torch.ones(4, 1), r"^x: expected \(tasks, examples, features\), got \(4, 1\).*x\[None\]"),
    ],
)
def test_inputs_that_the_network_cannot_read(x, said):
    with pytest.raises(ValueError, match=said):
        learner().meta_gradient(twice(x, torch.ones(x.shape[:2])[..., None] if x.ndim > 2 else x))


class OfNames(nn.Module):
    """Inputs that are arguments."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(1, 1)

    def forward(self, one, other):
        return self.body(one) * other


def test_a_dictionary_is_one_argument():
    named = {"one": torch.ones(3, 4, 1), "other": torch.ones(3, 4, 1)}
    with pytest.raises(ValueError, match=r"missing 1 required .*'other'; a dictionary is one argument, and forward"):
        maml(Model(OfNames(), mse_loss), 0.01, 2).meta_gradient(twice(named, torch.ones(3, 4, 1)))


def test_examples_that_are_numbers_are_read_where_the_network_gives_them_an_axis():
    class OfNumbers(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp(1, 8, 1, seed=0)

        def forward(self, x):
            return self.net(x[:, None])

    tasks = waves()
    numbers = Tasks(*(Data(data.x[..., 0], data.y) for data in tasks[:2]))
    found = maml(Model(OfNumbers(), mse_loss), 0.01, 2).meta_gradient(numbers)
    assert distance(found, learner().meta_gradient(tasks)) < 1e-7


@pytest.mark.parametrize(
    ("net", "loss", "said"),
    [
        (nn.Linear, mse_loss, r"^net: expected an nn.Module, got the class Linear; make one, as in Linear\(\.\.\.\)"),
        (lambda x: x, mse_loss, "^net: expected an nn.Module, got function"),
        (
            nn.Linear(1, 1),
            nn.MSELoss,
            r"^loss: expected a function.*got the class MSELoss; make one, as in MSELoss\(\)",
        ),
        (nn.Linear(1, 1), "mse", "^loss: expected a function.*got str"),
    ],
)
def test_a_model_of_other_things(net, loss, said):
    with pytest.raises(TypeError, match=said):
        Model(net, loss)


def test_gradients_are_computed_where_none_are_recorded():
    expected = learner().meta_gradient(waves())
    with torch.no_grad():
        found, same, adapted = learner().meta_gradient(waves()), learner().gradients(waves())[0], learner().adapt
        assert adapted(waves().support).phi[0].shape == (3, 8, 1)
    assert distance(found, expected) == distance(same, expected) == 0


def test_inference_mode_is_refused():
    for use in (
        lambda: learner().adapt(waves().support),
        lambda: learner().meta_gradient(waves()),
        lambda: evaluate(learner(), WAVES, steps=1),
    ):
        with torch.inference_mode(), pytest.raises(RuntimeError, match=r"outside of torch\.inference_mode\(\)"):
            use()


def test_layers_that_are_frozen_or_replaced_later():
    frozen = learner()
    frozen.model.net[0].requires_grad_(False)
    assert [tuple(g.shape) for g in frozen.meta_gradient(waves())] == [(1, 8), (1,)]
    own = learner(meta_sgd)
    own.model.net[0].requires_grad_(False)
    with pytest.raises(ValueError, match=r"^LearnedRates: expected the rates of this network.*make them anew after"):
        own.meta_gradient(waves())
    wide = learner(meta_sgd)
    wide.model.net[0], wide.model.net[2] = nn.Linear(1, 9), nn.Linear(9, 1)
    with pytest.raises(ValueError, match=r"^LearnedRates: expected the rates of this network.*make them anew after"):
        wide.adapt(waves().support)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (
            lambda y_hat, y: mse_loss(y_hat, y).detach(),
            "^net, loss: expected a loss that has a gradient in the weights",
        ),
        (lambda y_hat, y: (y_hat > y).float().mean(), "^net, loss: expected a loss that has a gradient in the weights"),
        (lambda y_hat, y: None, "^loss: expected one number per task in a tensor, got NoneType"),
        (lambda y_hat, y: (mse_loss(y_hat, y), 0.5), "^loss: expected one number per task in a tensor, got float"),
    ],
    ids=["detached", "counted", "nothing", "two things"],
)
def test_losses_that_nothing_can_be_learned_from(loss, said):
    one = maml(Model(mlp(1, 8, 1, seed=0), loss), 0.01, 2)
    for use in (
        lambda: one.meta_gradient(waves()),
        lambda: one.adapt(waves().support),
        lambda: evaluate(one, WAVES, tasks=2),
        lambda: fit(one, WAVES, steps=1, tasks=2),
    ):
        with pytest.raises(ValueError, match=said):
            use()


def test_one_rate_is_one_number():
    with pytest.raises(ValueError, match=r"^alpha: expected one number, got a tensor \(2,\)"):
        maml(Model(mlp(1, 8, 1), mse_loss), torch.tensor([0.1, 0.2]), 2)
    with pytest.raises(ValueError, match=r"^alpha: expected a finite inner rate of at least 0, got tensor\(\[1, 2\]\)"):
        maml(Model(mlp(1, 8, 1), mse_loss), torch.tensor([1, 2]), 2)
    assert maml(Model(mlp(1, 8, 1), mse_loss), torch.tensor(1), 2).solver.alpha == 1


@pytest.mark.parametrize(
    ("setting", "kind", "said"),
    [
        ({"checkpoint": True}, TypeError, "^checkpoint: expected the path of a file, got True"),
        ({"beta": torch.optim.lr_scheduler.StepLR}, ValueError, "^beta: expected a finite outer rate.*StepLR"),
    ],
)
def test_other_things_for_a_setting_of_fit(setting, kind, said):
    with pytest.raises(kind, match=said):
        fit(learner(), WAVES, steps=1, **setting)


def plain_maml(net, loss, tasks, alpha=0.01, steps=2):
    """MAML's gradient by one loop, in which the loss sees the weights that a task has."""
    names, theta = zip(*net.named_parameters(), strict=True)
    total = 0.0
    for b in range(tasks.size):
        phi = theta
        for _ in range(steps):
            value = loss(names, phi, tasks.support.x[b], tasks.support.y[b])
            gradients = torch.autograd.grad(value, phi, create_graph=True)
            phi = [p - alpha * g for p, g in zip(phi, gradients, strict=True)]
        total = total + loss(names, phi, tasks.query.x[b], tasks.query.y[b])
    return torch.autograd.grad(total / tasks.size, theta)


class Penalised(nn.Module):
    """Another network, which tells its loss how large its weights are."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return {"y": self.net(x), "penalty": sum(weight.square().sum() for weight in self.net.parameters())}


def test_a_loss_does_not_read_the_weights_of_its_network():
    net = mlp(1, 8, 1, activation=nn.Tanh, seed=0).double()

    def with_weights(y_hat, y):
        return mse_loss(y_hat, y) + 0.1 * sum(weight.square().sum() for weight in net.parameters())

    for loss in (
        with_weights,
        lambda y_hat, y: mse_loss(y_hat, y) + 0.1 * nn.utils.parameters_to_vector(net.parameters()).norm(),
        lambda y_hat, y: mse_loss(y_hat, y) + net(y).square().mean(),
    ):
        one = maml(Model(net, loss), 0.01, 2)
        for use in (lambda: one.meta_gradient(waves()), lambda: one.adapt(waves().support)):  # noqa: B023
            with pytest.raises(ValueError, match=r"^loss: expected a function of predictions.*return the penalty"):
                use()

    def with_its_form(y_hat, y):
        weight = net[0].bias
        return mse_loss(y_hat, y.to(weight) + torch.zeros_like(weight)[0])

    formed = Model(net, with_its_form)
    assert maml(formed, 0.01, 2).meta_gradient(waves())

    def penalised(names, phi, x, y):
        y_hat = torch.func.functional_call(net, dict(zip(names, phi, strict=True)), x)
        return (y_hat - y).square().mean() + 0.1 * sum(weight.square().sum() for weight in phi)

    told = Model(Penalised(net), lambda told, y: mse_loss(told["y"], y) + 0.1 * told["penalty"])
    tasks = waves().to(torch.float64)
    assert distance(maml(told, 0.01, 2).meta_gradient(tasks), plain_maml(net, penalised, tasks)) < 1e-14


class Remembers(nn.Module):
    """A network that keeps what it computes: once and for all, or to be looked at."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(1, 8), nn.Linear(8, 1)
        self.found = None

    def forward(self, x):
        if self.found is None:
            self.found = 2 * self.first.weight
        self.features = torch.tanh(F.linear(x, self.found, self.first.bias))
        return self.last(self.features)


def test_what_a_network_keeps_is_of_one_call():
    torch.manual_seed(0)
    net = Remembers().double()
    learner, tasks = maml(Model(net, mse_loss), 0.1, 2), waves().to(torch.float64)

    def afresh(names, phi, x, y):
        w = dict(zip(names, phi, strict=True))
        hidden = torch.tanh(x @ (2 * w["first.weight"]).T + w["first.bias"])
        return (hidden @ w["last.weight"].T + w["last.bias"] - y).square().mean()

    expected = plain_maml(net, afresh, tasks, 0.1)
    for _ in range(2):
        assert distance(learner.meta_gradient(tasks), expected) < 1e-14
    assert net.found is None
    assert not hasattr(net, "features")
    copy.deepcopy(learner)
    net(tasks.query.x[0])  # its features hang on a graph now, and are no leaves
    net.found = None
    alone = learner.network(tasks.support, task=1)(tasks.query.x[1])
    adapted = learner.adapt(tasks.support)
    torch.testing.assert_close(alone, adapted.predict(adapted.phi, tasks.query.x)[1])


def test_weights_that_a_cache_keeps_are_not_those_of_a_task():
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    nn.utils.parametrizations.orthogonal(net[2])
    tasks, one = waves().to(torch.float64), maml(Model(net, mse_loss), 0.1, 2)

    def plain(names, phi, x, y):
        return mse_loss(torch.func.functional_call(net, dict(zip(names, phi, strict=True)), x), y)

    expected = plain_maml(net, plain, tasks, 0.1)
    with nn.utils.parametrize.cached():
        before = net(tasks.query.x[0])
        assert distance(one.meta_gradient(tasks), expected) < 1e-13
        assert nn.utils.parametrize._cache_enabled == 1
        assert torch.equal(before, net(tasks.query.x[0]))


def test_pictures_of_another_form_than_their_targets():
    pictures = torch.rand(3, 4, 1, 5, 5)
    same_size = nn.Conv2d(1, 1, 3, padding=1)
    for loss in (lambda y_hat, y: (y_hat - y).square().mean(), lambda y_hat, y: (y - y_hat).abs().sum()):
        one = maml(Model(same_size, loss), 0.01, 1)
        with pytest.raises(ValueError, match=r"^y: expected targets that match.*\(4, 5, 5\) for \(4, 1, 5, 5\)"):
            one.meta_gradient(twice(pictures, pictures[:, :, 0]))
        assert one.meta_gradient(twice(pictures, pictures))
    pairs = Model(mlp(2, 8, 2, seed=0), lambda y_hat, y: torch.cdist(y_hat, y).mean() + (y_hat[:, None] - y).mean())
    assert maml(pairs, 0.01, 1).meta_gradient(twice(POINTS, POINTS))


def test_weights_of_two_precisions():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.body, self.head = nn.Linear(1, 8).float(), nn.Linear(8, 1).double()

        def forward(self, x):
            hidden = torch.tanh(self.body(x.to(self.body.weight)))
            return self.head(hidden.to(self.head.weight))

    def loss(y_hat, y):
        return mse_loss(y_hat, y.to(y_hat))

    for name in ("maml", "finite-difference", "line-search", "ntk-ridge", "meta-rkhs-2", "imaml", "es-maml", "evograd"):
        found = []
        for net in (Mixed(), Mixed().double()):
            torch.manual_seed(1)
            one = ALGORITHMS[name].offer(Model(net, loss), alpha=0.01, steps=2)
            tasks = waves().to(torch.float64)
            found.append([g.double() for g in one.meta_gradient(tasks)])
        if name not in ("es-maml", "evograd"):  # whose draws depend on the precision
            assert distance(*found) < 1e-3 * max(g.abs().max() for g in found[1]), name


def few_numbers(kind, **usual):
    return lambda name, value: kind(**usual | {name: value})


NUMBERS = {
    "DropGrad": (few_numbers(DropGrad), "p"),
    "Clipped": (few_numbers(Clipped), "limit"),
    "ConflictAverseWeights": (few_numbers(ConflictAverseWeights, c=0.5), "c steps"),
    "EvoGrad": (few_numbers(EvoGrad), "candidates sigma temperature"),
    "EvolutionStrategies": (few_numbers(EvolutionStrategies, pairs=2, sigma=0.1), "pairs sigma"),
    "MultiStepLoss": (few_numbers(MultiStepLoss), "anneal floor until"),
    "LocalMOML": (few_numbers(LocalMOML, local_steps=2, beta=0.1, rate=0.5), "local_steps beta rate"),
    "PathwiseGradient": (few_numbers(PathwiseGradient), "last"),
    "BatchNorm": (few_numbers(BatchNorm, channels=3), "channels eps"),
    "FixedNorm": (few_numbers(FixedNorm, channels=3), "channels eps"),
    "TaskNorm": (few_numbers(TaskNorm, channels=3, first=2), "channels eps"),
    "conv4": (few_numbers(conv4, ways=3), "ways channels filters size"),
    "Recurrent": (few_numbers(Recurrent, inputs=1, width=2, outputs=1), "inputs width outputs"),
    "contextual": (lambda name, value: contextual(1, 4, 1, **{name: value}), "context"),
    "gradient_check": (lambda _, value: gradient_check(torch.ones(1), torch.sum, torch.ones(1), seed=value), "seed"),
    "check_tasks": (few_numbers(check_tasks, distribution=WAVES), "seed"),
    "LinearRegression": (few_numbers(LinearRegression), "centre spread noise"),
}


@pytest.mark.parametrize("value", ["1", None, [1, 2], torch.ones(2), 1j, float("nan"), True], ids=repr)
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in NUMBERS for name in NUMBERS[kind][1].split()])
def test_what_is_no_number_is_named(kind, name, value):
    with pytest.raises(ValueError, match=rf"^{name}: expected .*, got "):
        NUMBERS[kind][0](name, value)


SEVERAL = {
    "distributions": lambda value: Mixture(value),
    "shares": lambda value: Mixture([WAVES, WAVES], value),
    "shares of a split": lambda value: TaskTable([0, 0, 1, 1], *2 * [torch.ones(4)], shots=1, queries=1).split(value),
    "amplitudes": lambda value: WaveCollection(value),
    "seeds": lambda value: fit_replicas([learner(), learner()], WAVES, steps=1, seeds=value),
    "noise": lambda value: fit_replicas([learner(), learner()], WAVES, steps=1, noise=value),
    "after": lambda value: fit_replicas([learner(), learner()], WAVES, steps=1, after=value),
}


@pytest.mark.parametrize("value", [0, 2.5, "ab", True, [0, "a"]], ids=repr)
@pytest.mark.parametrize("name", SEVERAL)
def test_what_is_no_list_of_them_is_named(name, value):
    with pytest.raises((TypeError, ValueError), match=rf"^{name.split()[0]}: expected "):
        SEVERAL[name](value)


def test_other_things_for_a_learner_of_check_tasks_and_a_name_of_pretrained():
    with pytest.raises(TypeError, match=r"^learner: expected a MetaLearner.*got Model"):
        check_tasks(WAVES, learner=Model(mlp(1, 8, 1, seed=0), mse_loss))
    with pytest.raises(ValueError, match=r"^name: expected one of .*got \['a'\]"):
        pretrained(["a"])


def test_fit_goes_downhill():
    with pytest.raises(ValueError, match=r"^optimizer: expected one that makes the loss small, got Adam with maximize"):
        fit(learner(), WAVES, steps=1, optimizer=partial(torch.optim.Adam, maximize=True))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda g, place: None, "a list of 4 gradients or None, got NoneType"),
        (lambda g, place: g[:2], "a list of 4 gradients or None, got 2"),
        (lambda g, place: (each for each in g), "a list of 4 gradients or None, got generator"),
        (lambda g, place: [each.mean(0) for each in g], r"as \(3, 8, 1\), got \(8, 1\) from .*keepdim"),
        (lambda g, place: [each.mean() for each in g], r"as \(3, 8, 1\), got \(\) from .*keepdim"),
    ],
    ids=["nothing", "some", "generator", "mean over tasks", "mean"],
)
def test_a_transform_keeps_the_form_of_gradients(change, said):
    with pytest.raises(ValueError, match=f"^transforms: expected .*{said}"):
        maml(Model(mlp(1, 8, 1, seed=0), mse_loss), 0.01, 1, change).meta_gradient(waves())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lam": lambda: torch.ones(3, 1)}, r"^lam: expected one number, got a tensor \(3, 1\)"),
        ({"lam": lambda: None}, r"^lam: expected a finite number from lam\(\) of at least 0, got None"),
        ({"start": lambda *_: None}, r"^start: expected a function that gives a tuple of weights, got NoneType"),
    ],
    ids=["column", "nothing", "no start"],
)
def test_what_functions_of_a_solver_have_to_give(options, said):
    one = MetaLearner(Model(mlp(1, 8, 1, seed=0), mse_loss), GradientDescent(0.01, 1, **options))
    with pytest.raises((TypeError, ValueError), match=said):
        one.meta_gradient(waves())


def test_what_a_gradient_needs_is_not_written_over():
    def in_place(y_hat, y):
        value = y_hat.sigmoid()
        value += 1
        return mse_loss(value, y)

    with pytest.raises(ValueError, match=r"^net, loss: expected operations that leave alone .*inplace=True"):
        maml(Model(mlp(1, 8, 1, seed=0), in_place), 0.01, 1).meta_gradient(waves())


class Relative(nn.Module):
    """A loss over its running mean, which it keeps in a buffer, or in an attribute where ``buffer`` is False."""

    def __init__(self, buffer):
        super().__init__()
        one = torch.ones((), dtype=torch.float64)
        if buffer:
            self.register_buffer("mean", one)
        else:
            self.mean = one

    def forward(self, y_hat, y):
        value = mse_loss(y_hat, y)
        self.mean = 0.9 * self.mean + 0.1 * value.detach()
        return value / self.mean


def test_what_a_loss_keeps_is_of_one_call():
    net, tasks = mlp(1, 8, 1, activation=nn.Tanh, seed=0).double(), waves().to(torch.float64)
    kept = maml(Model(net, Relative(buffer=True)), 0.01, 2)
    with pytest.raises(ValueError, match=r"^loss: expected a loss that leaves its buffers alone.*into mean, or puts"):
        kept.meta_gradient(tasks)
    assert kept.model.loss.mean == 1

    def relative(names, phi, x, y):
        y_hat = torch.func.functional_call(net, dict(zip(names, phi, strict=True)), x)
        value = (y_hat - y).square().mean()
        return value / (0.9 + 0.1 * value.detach())

    one = maml(Model(net, Relative(buffer=False)), 0.01, 2)
    for _ in range(2):
        assert distance(one.meta_gradient(tasks), plain_maml(net, relative, tasks)) < 1e-14
    copy.deepcopy(one)
