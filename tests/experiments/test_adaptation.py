"""The comparison of what adapts, and how fast: its command, how it chooses, and what is stored measured again."""

import json

import pytest
import torch

from experiments import adaptation as experiment
from experiments.field_search import TEST
from mamlbook.pages import RESULTS, curves_of, recall

CPU = torch.device("cpu")
STORED = [name for name in experiment.PARTS if (RESULTS / f"adaptation-{name}.json").is_file()]


@pytest.fixture
def small(monkeypatch):
    for name, value in (("TEST_TASKS", 4), ("COMPARED_TASKS", 2), ("COMPARED_POINTS", 50)):
        monkeypatch.setattr(experiment, name, value)


def shrunk(name, *rows):
    """A part with a few meta-steps and one setting for each of some methods."""
    part = experiment.PARTS[name]()
    tried = {row: part.tried[row][:1] for row in rows}
    return part._replace(iterations=2, seeds=2, searched=1, betas=(1e-3, 2e-3), tried=tried)


def test_a_few_waves_come_back_at_fresh_points_and_others_for_another_seed():
    def waves(seed, draws):
        generator = torch.Generator().manual_seed(seed)
        return [experiment.FewWaves().draw(3, generator) for _ in range(draws)]

    def amplitudes(tasks):
        # A wave of ten points and more: its amplitude and phase are a linear fit in two features.
        x, y = (torch.cat([s, q], 1).double() for s, q in zip(tasks.support, tasks.query, strict=True))
        return torch.linalg.lstsq(torch.cat([x.sin(), x.cos()], 2), y).solution

    first, second = waves(0, 2)
    assert not torch.equal(first.support.x, second.support.x)
    torch.testing.assert_close(amplitudes(first), amplitudes(second), rtol=0, atol=1e-4)
    assert (amplitudes(first) - amplitudes(waves(1, 1)[0])).abs().max() > 0.1


def test_the_command_keeps_what_an_interrupted_part_has_finished(tmp_path, monkeypatch, small):
    part = shrunk("waves", "maml", "lslr")
    monkeypatch.setattr(experiment, "PARTS", {"waves": lambda: part})
    run, ran = experiment.Method.run, []

    def interrupted(method):
        ran.append(method.row)
        if ran == ["maml", "lslr"]:
            raise KeyboardInterrupt
        return run(method)

    monkeypatch.setattr(experiment.Method, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        experiment.main(["--parts", "waves", "--results", str(tmp_path)])
    experiment.main(["--parts", "waves", "--results", str(tmp_path)])
    assert ran == ["maml", "lslr", "lslr"]
    assert [path.name for path in tmp_path.iterdir()] == ["adaptation-waves.json"]
    methods = json.loads((tmp_path / "adaptation-waves.json").read_text())["methods"]
    assert curves_of(methods["maml"], "mean").shape == (2, 11)
    assert curves_of(methods["maml"], "layers").shape == (2, 7)
    assert curves_of(methods["maml"], "cka").shape == (2, 3)
    assert curves_of(methods["lslr"], "rates").shape == (2, 6, 3)


def test_the_best_outer_rate_is_followed_beyond_its_range_and_the_best_setting_is_chosen(monkeypatch):
    method = experiment.Method(
        shrunk("waves", "maml")._replace(tried={"maml": experiment.each((0.01, 0.03))}), "maml", CPU
    )

    def attempt(options, betas):
        # Alpha 0.03 is better, and the larger the outer rate up to 0.05.
        method.found += [
            {**options, "beta": beta, "mean": [9.0, abs(beta - 0.05) - options["alpha"], 9.0]} for beta in betas
        ]

    monkeypatch.setattr(method, "attempt", attempt)
    method.search()
    best = method.best()
    assert (best["alpha"], best["beta"]) == (0.03, pytest.approx(0.018))
    assert [one["beta"] for one in method.found if one["alpha"] == 0.03] == pytest.approx([1e-3, 2e-3, 6e-3, 0.018])


def test_a_setting_that_loses_a_seed_is_not_chosen(small):
    method = experiment.Method(shrunk("waves", "maml"), "maml", CPU)
    method.attempt({"alpha": 0.01, "steps": 3}, (1e18, 1e-3))
    assert method.found[0]["mean"] == [None] * 11
    assert method.best()["beta"] == 1e-3


def test_what_anil_leaves_alone_is_alike_before_and_after(small):
    method = experiment.Method(shrunk("own", "anil"), "anil", CPU)
    found = experiment.compared(method.learner({"alpha": 0.03, "steps": 3}, 0), method.part.world)
    assert found["cka"][1] == pytest.approx(1)
    assert found["cka"][2] < 1


def test_what_the_pages_read_is_stored():
    assert {"letters", "few-waves"} <= set(STORED)


@pytest.mark.parametrize("name", STORED)
def test_what_is_stored_belongs_to_the_experiment(name):
    stored, part = recall(f"adaptation-{name}"), experiment.PARTS[name]()
    assert stored["training"]["iterations"] == part.iterations
    assert list(stored["methods"]) == list(part.tried)
    for row, run in stored["methods"].items():
        method = experiment.Method(part, row, CPU)
        method.found = run["search"]
        best = method.best()
        chosen = {option: value for option, value in best.items() if option != "mean"}
        assert run["chosen"].items() >= chosen.items()
        assert run["chosen"]["inner_steps"] == experiment.least(best["mean"])[1]
        options = {option: value for option, value in chosen.items() if option != "beta"}
        assert run["configuration"] == str(method.learner(options, 0))
        assert {option for one in run["search"] for option in one} == {*options, "beta", "mean"}
        assert len(run["error"]) == part.seeds


def test_one_training_measured_again():
    """The same seed gives the same network, up to the rounding of another machine that 100 steps enlarge."""
    run, part = recall("adaptation-letters")["methods"]["anil"], experiment.PARTS["letters"]()
    chosen = dict(run["chosen"])
    beta, steps = chosen.pop("beta"), chosen.pop("inner_steps")
    method = experiment.Method(part, "anil", CPU)
    (learner,) = method.train(chosen, [beta], [2])
    assert method.judged(learner, TEST)["mean"][steps] == pytest.approx(run["error"]["2"]["mean"][steps], rel=0.1)
