"""Whose statistics: the command, the statistics that are kept, the compositions, and what is stored."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments import batch_norm as experiment
from experiments.batch_norm import MODES, network, statistics, with_statistics
from mamlbook import BatchNorm, Data, GradientDescent, Model, Tasks, distance
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
    kept = [(torch.full((64,), 0.5), torch.full((64,), 2.0))] * 2
    fixed = with_statistics(model.theta, kept)
    assert distance(fixed.theta, model.theta) == 0
    assert distance([fixed.net.norm1.mean, fixed.net.norm2.variance], [kept[0][0], kept[0][1]]) == 0


@pytest.mark.parametrize(("name", "alike"), [(name, name != "the batch's") for name in MODES])
def test_only_the_batchs_own_statistics_depend_on_its_composition(name, alike):
    model, tasks = Model(network(MODES[name].norm), cross_entropy), pictures()
    adapted = experiment.solver_of(MODES[name])(model, tasks.support, unroll=0)
    together = adapted.predict(adapted.phi, tasks.query.x)
    alone = torch.cat([adapted.predict(adapted.phi, x) for x in tasks.query.x.split(1, 1)], 1)
    assert (distance([together], [alone]) < 1e-4) == alike


def test_kept_statistics_of_the_support_set_itself_adapt_as_that_set_does_for_the_first_prediction():
    model, tasks = Model(network(BatchNorm), cross_entropy), pictures(1)
    adapted = experiment.adapted_with_kept(model, Known(tasks), tasks, by_step=True)
    assert [p.shape for p in adapted.phi] == [(1, *t.shape) for t in model.theta]
    assert (
        distance(adapted.phi, GradientDescent(experiment.ALPHA, experiment.STEPS)(model, tasks.support, unroll=0).phi)
        > 0
    )


class Known:
    """The same task, as often as it is asked for."""

    def __init__(self, tasks):
        self.tasks = tasks

    def draw(self, tasks, generator):
        return self.tasks.pick([0] * tasks)


def test_the_command_records_every_kind_and_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "TEST_TASKS", 4)
    monkeypatch.setattr(experiment, "GATHERED_TASKS", 3)
    experiment.main(["--seeds", "2", "--iterations", "1", "--results", str(tmp_path)])
    assert str(tmp_path / "batch-norm.json") in capsys.readouterr().out
    accuracy = recall("batch-norm", folder=tmp_path)["accuracy"]
    assert set(accuracy) == {*MODES, *experiment.KEPT}
    assert all(torch.tensor(rows).shape == (2, 3) for rows in accuracy.values())


def test_what_is_stored_belongs_to_the_table():
    stored = recall("batch-norm")
    assert stored["training"]["iterations"] == experiment.ITERATIONS
    assert set(stored["accuracy"]) == {*MODES, *experiment.KEPT}
    assert all(torch.tensor(rows).shape == (experiment.SEEDS, 3) for rows in stored["accuracy"].values())
    for name, rows in stored["accuracy"].items():
        together, alone, by_class = torch.tensor(rows).T
        assert (max((together - alone).abs().max(), (together - by_class).abs().max()) < 0.01) == (
            name != "the batch's"
        )
