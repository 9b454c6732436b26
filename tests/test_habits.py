"""What people do by habit is right, or one sentence names the argument, what came and what to do."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from mamlbook import Data, Model, Sinusoids, Tasks, distance, evaluate, fit, maml, meta_sgd, mlp

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
