"""A frozen backbone with a head against training on tasks: the parts, the protocol, and what is stored."""

import itertools

import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments import pretrained as experiment
from experiments.worlds import pictures
from mamlbook import GradientDescent, MetaLearner, Model, accuracy, evaluate
from mamlbook.inner import PrototypeHead
from mamlbook.layers import FixedNorm
from mamlbook.pages import recall
from mamlbook.tasks import Pool

CPU = torch.device("cpu")


@pytest.fixture
def quick(monkeypatch):
    for name, value in {
        "FILTERS": 2,
        "TASKS_JUDGED": 4,
        "HEAD_STEPS": 2,
        "INNER_STEPS": 2,
        "PICTURES": 8,
        "BETAS": (1e-3, 1e-2),
    }.items():
        monkeypatch.setattr(experiment, name, value)


def few():
    return Pool(torch.randint(256, (6, 3, 28, 28), dtype=torch.uint8), looks=torch.tensor([0, 1, 1, 2, 5, 5]))


def test_pictures_have_the_number_of_their_look_as_label():
    pool = few()
    letters = experiment.Letters(pool)
    assert letters.labels.tolist() == [0] * 3 + [1] * 6 + [2] * 3 + [3] * 6
    drawn = letters.draw(2, torch.Generator().manual_seed(0))
    assert drawn.query.x.shape == (2, experiment.PICTURES, 1, 28, 28)
    looks = pool.looks.unique().tolist()
    for picture, label in zip(drawn.query.x.flatten(0, 1)[:20], drawn.query.y.flatten(), strict=False):
        own = [c for c in range(6) if ((pool.images[c] - (picture * 255).round()).abs().amax((1, 2)) == 0).any()]
        assert {looks.index(pool.looks[c].item()) for c in own} == {label.item()}


def test_the_nearest_mean_is_the_head_of_prototypes():
    world = pictures()
    tasks = world.judged[0].draw(20, torch.Generator().manual_seed(3))
    net = experiment.small(5, 0).net
    seen = [experiment.features(net, data) for data in tasks[:2]]
    learner = MetaLearner(Model(net, cross_entropy), GradientDescent(0.0, 0, start=PrototypeHead()))
    by_package = evaluate(learner, world.judged[0], tasks=20, steps=0, seed=3, metric=accuracy, progress=False)
    assert experiment.nearest_mean(tasks._replace(support=seen[0], query=seen[1])) == pytest.approx(
        by_package.mean().item(), abs=0.003
    )


def test_stored_statistics_are_those_of_the_training_pictures():
    net = experiment.small(5, 0).net
    fixed = experiment.frozen(net)
    drawings = pictures().training.pool.drawings
    x = drawings[torch.randint(len(drawings), (1000,), generator=torch.Generator().manual_seed(0))].float() / 255
    assert [type(block.norm) for block in fixed[:4]] == [FixedNorm] * 4
    with torch.no_grad():  # on the pictures that they are of, both networks are the same
        torch.testing.assert_close(fixed(x), net(x), rtol=1e-3, atol=1e-3)
        assert not torch.allclose(fixed(x[:5]), net(x[:5]), rtol=1e-2)


def test_the_three_sets_share_no_script():
    sets = [set(on.pool.alphabets) for on in (pictures().training, *pictures().judged)]
    assert not any(a & b for a, b in itertools.combinations(sets, 2))


def test_the_command_searches_and_measures_and_goes_on_where_it_stopped(tmp_path, quick, monkeypatch):
    words = ["--steps", "2", "--seeds", "2", "--results", str(tmp_path)]
    experiment.main(words)
    stored = recall("pretrained", folder=tmp_path)["trainings"]
    assert tuple(stored) == experiment.NAMES
    tried = {(setting["alpha"], setting["beta"]) for setting in stored["maml"]["search"]}
    best = stored["maml"]["rows"]["MAML"]["beta"]
    assert len(tried) >= len(experiment.BETAS) + len(experiment.ALPHAS) - 1
    assert {(experiment.ALPHAS[0], beta) for beta in experiment.BETAS} <= tried
    assert best in experiment.BETAS
    for training in stored.values():
        for row, what in training["rows"].items():
            assert what["use"].startswith(row)
            assert len(what["accuracy"]) == 2
            if "search" in training:
                assert what["validation"] == max(setting["best"][row] for setting in training["search"])
    monkeypatch.setattr(experiment, "run", None)  # nothing is left to run
    experiment.main(words)
    assert recall("pretrained", folder=tmp_path)["trainings"] == stored


def test_a_run_that_comes_to_no_end_is_counted(quick):
    training = experiment.trainings(pictures())["maml"]
    (lost,) = experiment.trained(training, 2, [(1e30, 1.0)], [0], CPU)
    assert experiment.judged(training, lost, pictures().judged[0], 0) is None
    assert experiment._best(None, "MAML") is None
