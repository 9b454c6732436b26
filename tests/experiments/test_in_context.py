"""Six ways to learn a wave: the command, its networks against PyTorch's, the trainings against the package's."""

import json
import math

import pytest
import torch
from torch.nn.functional import mse_loss

from experiments import in_context as experiment
from mamlbook import MetaLearner, Model, mlp
from mamlbook.algorithms import maml
from mamlbook.pages import RESULTS, load_theta, recall, recall_weights


@pytest.fixture
def quick(monkeypatch):
    for name, value in (("JUDGED", 4), ("POINTS", 5), ("LONG", 2), ("TASKS", 3), ("TESTED", (2, 5))):
        monkeypatch.setattr(experiment, name, value)
    for name, method in experiment.METHODS.items():
        knobs = method.knobs[:1]
        changed = experiment.Method(method.learner, knobs, (1e-3,), method.beyond, method.train)
        monkeypatch.setitem(experiment.METHODS, name, changed)
    monkeypatch.setitem(experiment.RULES, "Adam", (torch.optim.Adam, (0.01,)))
    monkeypatch.setitem(experiment.RULES, "SGD", (torch.optim.SGD, (0.01,)))


def command(folder, *methods):
    words = ["--seeds", "2", "--steps", "2", "--search", "1", "--results", str(folder), "--methods", *methods]
    experiment.main(words)


def test_the_command_records_and_goes_on(tmp_path, capsys, quick):
    command(tmp_path, "joint")
    before = recall(experiment.NAME, folder=tmp_path)
    assert list(before["methods"]) == ["joint", "fine-tuning", "adapter"]
    command(tmp_path, "joint", "transformer")
    assert "in-context.json" in capsys.readouterr().out
    stored = recall(experiment.NAME, folder=tmp_path)
    assert stored["methods"]["joint"] == before["methods"]["joint"]
    for method in stored["methods"].values():
        assert [len(row) for row in method["lengths"]] == [2, 2]
        assert [len(row) for row in method["shifts"]] == [3, 3]
    net = load_theta(experiment.Transformer(1), recall_weights(experiment.NAME, folder=tmp_path))
    assert not torch.equal(net.head.weight, experiment.Transformer(0).head.weight)


def test_the_search_goes_on_at_every_edge(monkeypatch):
    # The best outer rate is above the grid, the best inner rate below it.
    method = experiment.Method(lambda knob, seed: None, (1.0, 2.0), (1.0, 3.0), None, lambda m, settings, *_: settings)

    def validated(one, _):
        return abs(math.log(one.beta / 9)) + abs(math.log(one.knob / 0.3)), 0

    monkeypatch.setattr(experiment, "validated", validated)
    known = experiment.searched(method, 1, {})
    assert min(known, key=known.get) == experiment.Setting(beta=9.0, knob=0.3)
    assert not [one for one in experiment.beyond(known) if one not in known]
    assert {one.beta for one in known if one.knob == 0.3} >= {3.0, 9.0, 30.0}
    assert {one.knob for one in known if one.beta == 9.0} >= {1.0, 0.3, 0.1}


def test_what_has_no_knob_is_searched_for_its_outer_rate_alone(monkeypatch):
    method = experiment.Method(lambda knob, seed: None, (0.0,), (1.0, 3.0), None, lambda m, settings, *_: settings)
    errors = {1.0: 2.0, 3.0: 3.0, 0.3: 4.0}
    monkeypatch.setattr(experiment, "validated", lambda setting, beyond: (errors[setting.beta], 0))
    assert {one.beta: value for one, value in experiment.searched(method, 1, {}).items()} == errors


def test_a_layer_is_pytorch_s_attention():
    """Its attention against nn.MultiheadAttention with the same matrices, and the rest against nn.Sequential."""
    torch.manual_seed(0)
    layer = experiment.Attention().double()
    tokens, support = torch.randn(7, experiment.WIDTH).double(), torch.randn(5, experiment.WIDTH).double()
    other = torch.nn.MultiheadAttention(experiment.WIDTH, experiment.HEADS, bias=False, batch_first=True).double()
    with torch.no_grad():
        other.in_proj_weight.copy_(torch.cat([layer.ask.weight, layer.key.weight, layer.value.weight]))
        other.out_proj.weight.copy_(layer.out.weight)
    seen = layer.before(support)[None]
    between = tokens + other(layer.before(tokens)[None], seen, seen)[0][0]
    rest = torch.nn.Sequential(layer.after, layer.wide, torch.nn.ReLU(), layer.narrow)
    assert torch.allclose(layer(tokens, support), between + rest(between), atol=1e-12)


def test_the_order_of_the_examples_and_the_other_questions_do_not_matter():
    net, generator = experiment.Transformer(3).double(), torch.Generator().manual_seed(0)
    xs, ys, x = (torch.randn(n, 1, generator=generator).double() for n in (6, 6, 4))
    order = torch.randperm(6, generator=generator)
    answer = net(xs, ys, x)
    assert torch.allclose(net(xs[order], ys[order], x), answer, atol=1e-12)
    assert torch.allclose(net(xs, ys, x[:1]), answer[:1], atol=1e-12)
    assert not torch.allclose(net(xs, -ys, x), answer)


def test_readers_train_as_the_package_does():
    method = experiment.METHODS["transformer"]
    setting = experiment.Setting(1e-2)
    (one,), (other,) = (way(method, [setting], [4], 3) for way in (experiment.readers, experiment.replicas))
    begun = experiment.Transformer(4)
    for a, b, start in zip(one.model.theta, other.model.theta, begun.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-5)
        assert not torch.equal(a, start)


def test_an_adapter_changes_nothing_at_first_and_alone_moves():
    net = mlp(1, 40, 40, 1, seed=0)
    with_one = experiment.with_adapter(mlp(1, 40, 40, 1, seed=0), 0)
    x = torch.linspace(-5, 5, 9)[:, None]
    assert torch.equal(net(x), with_one(x))
    learner = maml(Model(with_one, mse_loss), 0.1, 3, experiment.keep(experiment.adapter))
    tasks = experiment.WAVES.draw(2, torch.Generator().manual_seed(0))
    moved = [
        name
        for name, phi, theta in zip(
            learner.model.names, learner.adapt(tasks.support).phi, learner.model.theta, strict=True
        )
        if not torch.equal(phi[0], theta)
    ]
    assert moved == ["linear2.down.weight", "linear2.up.weight"]
    assert sum(p.numel() for name, p in with_one.named_parameters() if experiment.adapter(name)) == 160


def test_operations_at_use_are_those_that_are_counted_by_hand():
    method = experiment.METHODS["joint"]
    found = experiment.at_use(method.learner(0.0, 0), 0)
    assert found == {"learn": 0, "predict": 2 * (40 + 40 * 40 + 40) + 0, "weights": 1761}


def test_what_is_stored_belongs_to_the_methods_and_is_json():
    text = (RESULTS / "in-context.json").read_text()
    stored = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert set(stored["methods"]) == {*experiment.METHODS, *experiment.TUNED}
    assert stored["protocol"] == experiment.PROTOCOL
    for name, method in stored["methods"].items():
        assert len(method["lengths"]) == experiment.SEEDS
        errors = [math.inf if tried["error"] is None else tried["error"] for tried in method["search"]]
        chosen = method["search"][errors.index(min(errors))]
        assert {key: chosen[key] for key in method["setting"]} == method["setting"], name
        if name in experiment.METHODS:
            tried = [experiment.Setting(one["beta"], one["knob"]) for one in method["search"]]
            known = dict(zip(tried, errors, strict=True))
            assert not experiment.beyond(known), name  # the best values are inside


def test_the_stored_transformer_is_measured_again():
    net = load_theta(experiment.Transformer(), recall_weights("in-context"))
    learner = MetaLearner(Model(net, mse_loss), experiment.InContext())
    stored = recall("in-context")["methods"]["transformer"]
    fresh = experiment.errors(learner, experiment.WAVES, 77, None).item()
    assert experiment.last(learner, experiment.WAVES, None) == pytest.approx(stored["shifts"][0][0], rel=0.05)
    assert fresh == pytest.approx(stored["shifts"][0][0], rel=0.6)
