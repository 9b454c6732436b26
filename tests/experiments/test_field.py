"""The protocol of the field: what is searched, what is chosen, what is reported, and that it can be stopped."""

import itertools
import json
import math

import pytest
import torch

from experiments import field
from mamlbook.algorithms import ALGORITHMS
from mamlbook.pages import recall

CPU = torch.device("cpu")


@pytest.fixture
def quick(monkeypatch):
    for name, value in {
        "TASKS_JUDGED": 5,
        "STEPS_JUDGED": 2,
        "BETAS": (1e-3, 1e-2),
        "FURTHER": 0,
        "TIMES": (1 / 3, 1),
    }.items():
        monkeypatch.setattr(field, name, value)


def words(folder, *rows, world="waves"):
    return ["--world", world, "--rows", *rows, "--steps", "4", "--seeds", "2", "--results", str(folder)]


def test_every_row_is_measured_or_refused_with_a_reason():
    for world in field.WORLDS.values():
        assert all(row in field.ROWS and reason for row, reason in world().refused.items())
    assert set(ALGORITHMS) - {row for row, _ in field.entries(list(field.ROWS))} == {"forward-mode"}
    few_first = [("kernel-ridge", None), ("reptile", 1), ("maml", 1), ("reptile", 5), ("maml", 5), ("reptile", 10)]
    assert field.entries(["reptile", "maml", "kernel-ridge"]) == few_first


@pytest.mark.parametrize(("row", "steps"), sorted(field.AS_MAML))
def test_a_row_without_a_run_of_its_own_has_the_meta_gradient_of_maml(row, steps):
    world = field.waves()
    batch = world.training.draw(3, torch.Generator().manual_seed(0))
    model = world.model(field.ROWS[row], 0)
    learners = [field.ROWS[name].build(model, 0.01, steps).double() for name in ("maml", row)]
    own, same = (learner.gradients(batch.to(torch.double))[0] for learner in learners)
    for one, other in zip(own, same, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_every_knob_is_a_parameter_of_its_row():
    world = field.waves()
    for row, knobs in field.KNOBS.items():
        search = field.Search(world, row, None, CPU)
        for name, values in knobs.items():
            kind = type(search.defaults[name])
            assert all(isinstance(search.learner(search.first() | {name: v}, 0), object) for v in values)
            assert kind in (int, float)
            assert len(set(values)) == len(values) > 1


def test_the_command_stores_search_and_fresh_seeds(tmp_path, quick):
    field.main(words(tmp_path, "maml", "kernel-ridge"))
    stored = recall("field-waves", folder=tmp_path)
    assert list(stored["entries"]) == ["kernel-ridge", "maml, S = 1", "maml, S = 5"]
    ridge, one, five = stored["entries"].values()
    assert one["budgets"]["meta-steps"]["meta_steps"] == one["budgets"]["arithmetic"]["meta_steps"] == 4
    # Five inner steps are four times the work of one, a solved ridge regression less than it.
    assert five["budgets"]["arithmetic"]["meta_steps"] == 1 < ridge["budgets"]["arithmetic"]["meta_steps"]
    assert {(s["alpha"], s["beta"]) for s in one["search"]} == set(itertools.product((0.003333, 0.01), field.BETAS))
    for entry in stored["entries"].values():
        for budget, chosen in entry["budgets"].items():
            tried = {tuple(s[k] for k in s if k not in entry["budgets"]): s[budget] for s in entry["search"]}
            best = min(min(curve) for curve in tried.values())
            curve = tried[tuple(chosen[k] for k in entry["search"][0] if k not in entry["budgets"])]
            assert curve[chosen["inner_steps"]] == best
            assert [c[chosen["inner_steps"]] for c in chosen["curves"]] == chosen["errors"]
            assert len(chosen["errors"]) == 2


def test_it_goes_on_where_it_stopped(tmp_path, quick, monkeypatch):
    field.main(words(tmp_path, "kernel-ridge"))
    before = json.loads((tmp_path / "field-waves.json").read_text())["entries"]["kernel-ridge"]
    monkeypatch.setattr(field.Search, "run", lambda self, *rest: {"row": self.fixed})
    field.main(words(tmp_path, "kernel-ridge", "joint"))
    after = json.loads((tmp_path / "field-waves.json").read_text())["entries"]
    assert after == {"kernel-ridge": before, "joint": {"row": {}}}


def test_a_rate_at_the_end_of_its_range_is_followed_beyond_it(quick, monkeypatch):
    monkeypatch.setattr(field, "FURTHER", 2)
    search = field.Search(field.waves(), "maml", 1, CPU, 3)
    # What is left depends on the rates alone: least at beta 0.03 and alpha 0.0011, both beyond what is tried first.
    monkeypatch.setattr(
        search, "train", lambda options, betas, seeds, ends: [(3, [(options["alpha"], b) for b in betas])]
    )
    monkeypatch.setattr(
        search, "judge", lambda rates, seed: [abs(math.log(rates[0] / 0.0011)) + abs(math.log(rates[1] / 0.03))]
    )
    search.run({"meta-steps": 3}, 1)
    assert sorted({setting.beta for setting in search.tried}) == [1e-3, 1e-2, 3e-2, 9e-2]
    assert sorted({dict(setting.options)["alpha"] for setting in search.tried}) == [
        0.00037,
        0.00111,
        0.003333,
        0.01,
    ]
    assert search.best("meta-steps") == field.Setting(3e-2, (("alpha", 0.00111),))


def test_a_run_that_comes_to_no_end_is_counted(quick):
    search = field.Search(field.waves(), "maml", 5, CPU, 3)
    budgets = {"meta-steps": 3, "arithmetic": 3}
    search.attempt({"alpha": 1e4}, field.BETAS, budgets)
    assert all(found["meta-steps"] is None for found in search.tried.values())
    search.attempt({"alpha": 0.01}, field.BETAS, budgets)
    assert dict(search.best("meta-steps").options) == {"alpha": 0.01}
    measured = search.measured("meta-steps", 3, 2)
    assert all(math.isfinite(error) for error in measured["errors"])


def test_a_curve_along_the_way_is_that_of_a_shorter_run(quick):
    search = field.Search(field.waves(), "maml", 1, CPU)
    (_, early), (_, late) = (
        (end, field.Search.judge(search, learners[0], 11))
        for end, learners in search.train({"alpha": 0.01}, [1e-2], [0], [2, 5])
    )
    ((_, (short,)),) = search.train({"alpha": 0.01}, [1e-2], [0], [2])
    assert search.judge(short, 11) == pytest.approx(early, rel=1e-4)
    assert early != late


def test_pictures_are_of_three_sets_of_scripts(quick):
    world = field.pictures()
    learn, (choose, report) = world.training.pool, (on.pool for on in world.judged)
    scripts = [set(pool.alphabets) for pool in (learn, choose, report)]
    assert not any(a & b for a, b in itertools.combinations(scripts, 2))
    looks = [set(pool.looks.tolist()) for pool in (learn, choose, report)]
    assert not any(a & b for a, b in itertools.combinations(looks, 2))
    search = field.Search(world, "protomaml", 1, CPU, 2)
    search.attempt({"alpha": 0.1}, [1e-2], {"meta-steps": 2})
    (found,) = search.tried.values()
    assert all(0 < share < 0.9 for share in found["meta-steps"])
