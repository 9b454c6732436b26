"""Whose statistics: the command, the statistics that are kept, the compositions, and what is stored."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments import batch_norm as experiment
from experiments.batch_norm import KEPT, MODES, network, statistics, with_statistics
from mamlbook import BatchNorm, Data, MetaLearner, Model, Tasks, distance
from mamlbook.inner import PerStepNorms
from mamlbook.numerics import expand_over_tasks
from mamlbook.pages import recall


def pictures(tasks=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(experiment.WAYS)

    def data(each):
        x = torch.rand(tasks, experiment.WAYS * each, 1, 28, 28, generator=generator)
        return Data(x, labels.repeat_interleave(each).expand(tasks, -1))

    return Tasks(data(experiment.SHOTS), data(experiment.QUERIES), torch.full((tasks,), -1))


def test_statistics_are_those_of_the_first_layer_by_hand():
    model, tasks = Model(network(BatchNorm), cross_entropy), pictures()
    found = statistics(model, expand_over_tasks(model.theta, 2), tasks.query.x)
    with torch.no_grad():
        inner = model.net[:3](tasks.query.x.flatten(0, 1)).unflatten(0, (2, -1))
    assert distance(found[0], [inner.mean(1).mean(0), inner.var(1).mean(0)]) < 1e-6
    assert len(found) == 2
    assert not any(module._forward_pre_hooks for module in model.net.modules())


def test_a_network_with_kept_statistics_has_the_weights_and_the_statistics():
    model = Model(network(BatchNorm, seed=3), cross_entropy)
    kept = [(torch.full((experiment.WIDTH,), 0.5), torch.full((experiment.WIDTH,), 2.0))] * 2
    fixed = with_statistics(model.theta, kept)
    assert distance(fixed.theta, model.theta) == 0
    assert distance([fixed.net.norm1.mean, fixed.net.norm2.variance], [kept[0][0], kept[0][1]]) == 0


@pytest.mark.parametrize("name", MODES)
def test_only_the_batchs_own_statistics_depend_on_its_composition(name):
    learner, tasks = MODES[name].learner(0, 0.1), pictures()
    adapted = learner.adapt(tasks.support)
    together = adapted.predict(adapted.phi, tasks.query.x)
    alone = torch.cat([adapted.predict(adapted.phi, x) for x in tasks.query.x.split(1, 1)], 1)
    assert (distance([together], [alone]) < 1e-4) == (not name.startswith("the batch's"))


@pytest.mark.parametrize("name", MODES)
def test_no_task_adapts_a_gain_or_an_offset(name):
    learner, tasks = MODES[name].learner(0, 0.1), pictures()
    adapted = learner.adapt(tasks.support)
    still = {n for n, p, t in zip(learner.model.names, adapted.phi, learner.model.theta, strict=True) if (p == t).all()}
    assert still == {n for n in learner.model.names if n.startswith("norm")}
    assert any(isinstance(part, PerStepNorms) for part in learner.modules()) == MODES[name].per_step


def test_kept_statistics_are_the_means_over_training_tasks_and_steps(monkeypatch):
    monkeypatch.setattr(experiment, "GATHERED_TASKS", 2)
    learner, tasks = MODES["the batch's"].learner(0, 0.1), pictures()
    adapted = experiment.adapted_with_kept(learner, Known(tasks), tasks)
    path = list(learner.solver.path(learner.model, tasks.support, unroll=0))
    found = [statistics(learner.model, at.phi, tasks.support.x) for at in path]
    assert len(found) == experiment.STEPS + 1
    fixed = adapted.predict  # the network that the statistics were put into
    assert isinstance(fixed, Model)
    expected = [torch.stack([step[norm][kind] for step in found]).mean(0) for norm in (0, 1) for kind in (0, 1)]
    layers = (fixed.net.norm1, fixed.net.norm2)
    assert distance([t for norm in layers for t in (norm.mean, norm.variance)], expected) < 1e-5
    same = MetaLearner(fixed, learner.solver).adapt(tasks.support)
    assert distance(adapted.phi, same.phi) < 1e-6


class Known:
    """The same tasks, as often as they are asked for."""

    def __init__(self, tasks):
        self.tasks = tasks

    def draw(self, tasks, generator):
        return self.tasks.pick(list(range(tasks)))


def test_the_command_records_every_kind_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    short = {"TEST_TASKS": 4, "VALIDATION_TASKS": 4, "GATHERED_TASKS": 3, "ALPHAS": (0.3, 1.0), "BETAS": (1e-3,)}
    for name, value in {**short, "SEARCH_SEEDS": (100,)}.items():
        monkeypatch.setattr(experiment, name, value)
    words = ["--seeds", "2", "--iterations", "1", "--results", str(tmp_path)]
    experiment.main([*words, "--modes", "no norm"])
    assert str(tmp_path / "batch-norm.json") in capsys.readouterr().out
    first = recall("batch-norm", folder=tmp_path)["runs"]
    assert list(first) == ["no norm"]
    experiment.main([*words, "--modes", "the batch's", "no norm"])
    both = recall("batch-norm", folder=tmp_path)["runs"]
    assert list(both) == ["the batch's", "no norm"]
    assert both["no norm"] == first["no norm"]
    rows = [run["accuracy"] for run in both.values()] + [both["the batch's"][KEPT]["accuracy"]]
    assert all(torch.tensor(found).shape == (2, 3) for found in rows)
    assert [(one["alpha"], one["beta"]) for one in first["no norm"]["search"]] == [(0.3, 1e-3), (1.0, 1e-3)]


def test_what_is_stored_belongs_to_the_table():
    stored = recall("batch-norm")
    assert stored["training"]["iterations"] == experiment.ITERATIONS
    assert list(stored["runs"]) == list(MODES)
    for name, run in stored["runs"].items():
        rows = torch.tensor(run["accuracy"])
        assert rows.shape == (experiment.SEEDS, 3)
        assert ((rows - rows[:, :1]).abs().max() < 0.01) == (not name.startswith("the batch's"))
        chosen = max(run["search"], key=lambda one: sum(one["accuracy"]))
        assert (run["alpha"], run["beta"]) == (chosen["alpha"], chosen["beta"])
        assert len(run["search"]) == len(experiment.ALPHAS) * len(experiment.BETAS)
        assert run["lost"] == 0
    kept = stored["runs"]["the batch's"][KEPT]
    assert torch.tensor(kept["accuracy"]).shape == (experiment.SEEDS, 3)
    assert kept["alpha"] == max(kept["search"], key=lambda one: sum(one["accuracy"]))["alpha"]
    assert [one["alpha"] for one in kept["search"]] == list(experiment.ALPHAS)
