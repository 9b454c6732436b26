"""Starts that travel with the package: each is what its record says, and the record can be repeated."""

import shlex

import pytest
import torch

from experiments import omniglot, sinusoid
from mamlbook import ALGORITHMS, Pretrained, Sinusoids, evaluate, pretrained
from mamlbook.model_zoo import composed
from mamlbook.stored import RESULTS, recall, recall_weights, record

# Other results keep weights as well, of several networks or of figures: theirs are tested with their experiments.
STORED = sorted(path.stem for path in RESULTS.glob("*.npz") if "learner" in recall(path.stem))


def test_a_start_is_stored():
    assert {"omniglot-5w1s-maml", "sinusoid-maml"} < set(STORED)


@pytest.mark.parametrize("name", STORED)
def test_every_stored_start_is_a_learner_as_it_was_trained(name):
    found = pretrained(name)
    assert isinstance(found, Pretrained)
    assert str(found.learner) == found.record["training"]["configuration"]
    for weight, stored in zip(found.learner.model.theta, recall_weights(name), strict=True):
        assert torch.equal(weight, stored)


@pytest.mark.parametrize("name", STORED)
def test_the_command_of_a_record_composes_the_same_learner_and_writes_the_same_name(name):
    stored = recall(name)
    python, option, module, *words = shlex.split(stored["command"])
    assert (python, option) == ("python", "-m")
    if module == "experiments.sinusoid":
        assert words == ["--runs", name.removeprefix("sinusoid-")]
        assert stored["learner"] == sinusoid.settings(sinusoid.RUNS[words[1]])
    else:
        options = omniglot.arguments(words)
        assert (module, omniglot.named(options)) == ("experiments.omniglot", name)
        assert stored["learner"] == omniglot.settings(options)
        for key in ("algorithm", "iterations", "tasks", "beta", "pooling"):
            assert stored["training"][key] == getattr(options, key)
        assert stored["seed"] == options.seed


def test_a_papers_figure_belongs_to_the_papers_split():
    ours, theirs = recall("omniglot-5w1s-maml")["accuracy"]["1"]["1"], recall("omniglot-5w1s-maml")["paper"]["accuracy"]
    assert abs(ours[0] - theirs[0]) < 2 * (ours[1] ** 2 + theirs[1] ** 2) ** 0.5
    assert "paper" not in recall("omniglot-5w1s-maml-background")


def test_what_an_experiment_wrote_is_a_start_as_well(tmp_path):
    settings = {"network": {"name": "mlp", "sizes": [1, 6, 1]}, "algorithm": "maml", "alpha": 0.02, "steps": 2}
    learner = composed(settings, seed=3)
    record("mine", {"learner": settings}, learner.model.theta, folder=tmp_path)
    record("curves", {"error": 1}, learner.model.theta, folder=tmp_path)  # weights that are no learner's
    again = pretrained("mine", folder=tmp_path).learner
    waves = Sinusoids()
    found, wanted = (evaluate(each, waves, tasks=3, steps=2, seed=0) for each in (again, learner))
    torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-2)  # half precision
    with pytest.raises(ValueError, match=r"name: expected one of mine, got 'curves'"):
        pretrained("curves", folder=tmp_path)


def test_an_unknown_name_is_answered_by_those_there_are():
    with pytest.raises(ValueError, match=r"name: expected one of .*omniglot-5w1s-maml, .*got 'resnet'"):
        pretrained("resnet")


@pytest.mark.parametrize("algorithm", ["joint", "fomaml", "reptile", "anil", "boil", "meta-sgd", "protomaml", "imaml"])
def test_pictures_are_learned_by_rows_of_every_kind(algorithm):
    learner = omniglot.build(omniglot.arguments(["--algorithm", algorithm, "--filters", "4", "--steps", "2"]))
    wanted = ALGORITHMS[algorithm].offer(learner.model, alpha=0.4, steps=2)
    assert type(learner.metagradient) is type(wanted.metagradient)
    open_to_choice = algorithm in ("fomaml", "reptile")
    assert ("without_norms" in str(learner)) == open_to_choice
