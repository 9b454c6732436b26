"""The protocol of the field: what is searched, what is chosen, what is reported, and that it can be stopped."""

import itertools
import json
import math

import pytest
import torch

from experiments import field, field_search, worlds
from experiments.field_search import Final, Search, Setting, mean_curve
from mamlbook.algorithms import ALGORITHMS
from mamlbook.analysis import unsolved
from mamlbook.pages import recall

CPU = torch.device("cpu")


@pytest.fixture
def quick(monkeypatch):
    for name, value in {
        "TASKS_JUDGED": 5,
        "BETAS": (1e-3, 1e-2),
        "FURTHER": 0,
        "TIMES": (1 / 3, 1),
    }.items():
        monkeypatch.setattr(field_search, name, value)
    few = lambda world: lambda: world()._replace(steps_judged=12)  # noqa: E731
    monkeypatch.setattr(field, "WORLDS", {name: few(world) for name, world in worlds.WORLDS.items()})


@pytest.fixture
def looked_up(quick, monkeypatch):
    """A search of MAML's two rates that reads errors from a table instead of training: (alpha, beta, seed) to one."""

    def search(error):
        found = Search(worlds.waves(), "maml", 1, CPU, 3)

        def train(options, betas, seeds, ends):
            for end in sorted(set(ends)):
                yield end, [(options["alpha"], beta, seed) for beta, seed in zip(betas, seeds, strict=True)]

        monkeypatch.setattr(found, "train", train)
        monkeypatch.setattr(found, "judge", lambda learner, *rest: error(*learner))
        found.run()
        return found

    return search


def words(folder, *rows, world="waves"):
    return ["--world", world, "--rows", *rows, "--steps", "4", "--seeds", "2", "--results", str(folder)]


def test_every_row_is_measured_or_refused_with_a_reason():
    for world in worlds.WORLDS.values():
        assert all(row in worlds.ROWS and reason for row, reason in world().refused.items())
    assert set(ALGORITHMS) - {row for row, _ in field.entries(list(worlds.ROWS))} == {"forward-mode"}
    few_first = [("kernel-ridge", None), ("reptile", 1), ("maml", 1), ("reptile", 5), ("maml", 5), ("reptile", 10)]
    assert field.entries(["reptile", "maml", "kernel-ridge"]) == few_first


@pytest.mark.parametrize(("row", "steps"), sorted(field.AS_MAML))
def test_a_row_without_a_run_of_its_own_has_the_meta_gradient_of_maml(row, steps):
    world = worlds.waves()
    batch = world.training.draw(3, torch.Generator().manual_seed(0))
    model = world.model(worlds.ROWS[row], 0)
    learners = [worlds.ROWS[name].build(model, 0.01, steps).double() for name in ("maml", row)]
    own, same = (learner.gradients(batch.to(torch.double))[0] for learner in learners)
    for one, other in zip(own, same, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_every_knob_is_a_parameter_of_its_row():
    world = worlds.waves()
    for row, knobs in field_search.KNOBS.items():
        search = Search(world, row, None, CPU)
        for name, values in knobs.items():
            kind = type(search.defaults[name])
            assert all(isinstance(search.learner(search.first() | {name: v}, 0), object) for v in values)
            assert kind in (int, float)
            assert len(set(values)) == len(values) > 1


def test_the_command_stores_search_and_fresh_seeds(tmp_path, quick, monkeypatch):
    monkeypatch.setattr(field, "entries", lambda rows: [("kernel-ridge", None), ("maml", 1), ("maml", 2)])
    field.main(words(tmp_path, "maml", "kernel-ridge"))
    stored = recall("field-waves", folder=tmp_path)
    assert list(stored["entries"]) == ["kernel-ridge", "maml, S = 1", "maml, S = 2"]
    ridge, one, two = stored["entries"].values()
    assert one["budgets"]["meta-steps"]["meta_steps"] == one["budgets"]["arithmetic"]["meta_steps"] == 4
    # Two inner steps are 7/4 of the work of one, a solved ridge regression is less than it.
    assert two["budgets"]["arithmetic"]["meta_steps"] == 2 < 4 < ridge["budgets"]["arithmetic"]["meta_steps"]
    assert {(s["alpha"], s["beta"]) for s in one["search"]} == set(
        itertools.product((0.003333, 0.01), field_search.BETAS)
    )
    for entry in stored["entries"].values():
        for budget, chosen in entry["budgets"].items():
            first = sorted(entry["search"], key=lambda tried: min(tried[budget]))[: field_search.FINALISTS]
            final = {told(one): one[budget] for one in entry["final"] if budget in one}
            assert {told(one) for one in first} <= final.keys()
            assert all(len(one["errors"]) == len(field_search.FINAL_SEEDS) for one in final.values())
            best = min(final, key=lambda one: sum(final[one]["errors"]))
            assert told(chosen) == best
            assert chosen["inner_steps"] == final[best]["inner_steps"]
            assert len(chosen["errors"]) == 2


def told(one):
    return tuple((name, one[name]) for name in ("beta", "alpha", "lam") if name in one)


def test_it_goes_on_where_it_stopped(tmp_path, quick, monkeypatch):
    field.main(words(tmp_path, "kernel-ridge"))
    path = tmp_path / "field-waves.json"
    before = json.loads(path.read_text())
    whole = before["entries"]["kernel-ridge"]
    monkeypatch.setattr(field, "measure", lambda search, *rest: {"row": search.fixed})
    field.main(words(tmp_path, "kernel-ridge", "joint"))
    assert json.loads(path.read_text())["entries"] == {"kernel-ridge": whole, "joint": {"row": {}}}


def test_a_stored_search_is_not_run_again(tmp_path, quick, monkeypatch):
    field.main(words(tmp_path, "kernel-ridge"))
    path = tmp_path / "field-waves.json"
    before = json.loads(path.read_text())
    first = {name: {"search": entry["search"]} for name, entry in before["entries"].items()}
    path.write_text(json.dumps(before | {"entries": first}))
    monkeypatch.setattr(Search, "run", lambda *given: pytest.fail("the first round was run again"))
    field.main(words(tmp_path, "kernel-ridge"))
    for name, entry in json.loads(path.read_text())["entries"].items():
        for part in ("search", "final", "budgets"):
            assert entry[part] == before["entries"][name][part]


def test_what_is_best_from_one_seed_is_chosen_only_if_other_seeds_agree(looked_up):
    def error(alpha, beta, seed):
        lucky = seed == field_search.SEARCH_SEED and alpha == 0.003333
        return [0.1 if lucky else 0.2 + abs(math.log(alpha / 0.01)) + abs(math.log(beta / 0.001))]

    final = Final(looked_up(error))
    assert final.search.best("meta-steps").told["alpha"] == 0.003333
    final.run()
    assert final.best("meta-steps").told == {"beta": 1e-3, "alpha": 0.01}
    assert final.report(2)["meta-steps"]["errors"] == [0.2, 0.2]


def test_a_setting_that_one_seed_is_lost_with_is_not_chosen(looked_up):
    def error(alpha, beta, seed):
        lost = seed == field_search.FINAL_SEEDS[-1] and (alpha, beta) == (0.01, 1e-3)
        return None if lost else [abs(math.log(alpha / 0.01)) + abs(math.log(beta / 0.001))]

    final = Final(looked_up(error))
    assert final.search.best("meta-steps").told == {"beta": 1e-3, "alpha": 0.01}
    stored = final.run()
    assert final.best("meta-steps").told != {"beta": 1e-3, "alpha": 0.01}
    assert [None] in [one["meta-steps"]["errors"][-1:] for one in stored]


def test_rates_next_to_the_best_are_tried_until_it_is_inside(looked_up, monkeypatch):
    def error(alpha, beta, seed):  # two places away, along a valley that the first round does not look into
        return [abs(math.log(alpha / 0.03)) + abs(math.log(beta / 0.03))]

    found = looked_up(error)
    tried = {tuple(setting.told.values()) for setting in found.tried}
    assert tried == {(1e-3, 0.01), (1e-2, 0.01), (1e-3, 0.003333), (1e-2, 0.003333)}
    monkeypatch.setattr(field_search, "FURTHER", 2)
    final = Final(found)
    final.run()
    assert final.best("meta-steps").told == {"beta": 0.03, "alpha": 0.03}


def test_the_mean_over_seeds_needs_all_of_them():
    assert mean_curve([[1.0, 2.0], [3.0, None]]) == [2.0, None]
    assert mean_curve([[1.0, 2.0], None]) is None


def test_a_rate_at_the_end_of_its_range_is_followed_beyond_it(looked_up, monkeypatch):
    monkeypatch.setattr(field_search, "FURTHER", 2)
    # Least at beta 0.03 and alpha 0.0011, both beyond what is tried first.
    search = looked_up(lambda alpha, beta, seed: [abs(math.log(alpha / 0.0011)) + abs(math.log(beta / 0.03))])
    assert sorted({setting.beta for setting in search.tried}) == [1e-3, 1e-2, 3e-2, 9e-2]
    assert sorted({dict(setting.options)["alpha"] for setting in search.tried}) == [
        0.00037,
        0.00111,
        0.003333,
        0.01,
    ]
    assert search.best("meta-steps") == Setting(3e-2, (("alpha", 0.00111),))


def test_a_run_that_comes_to_no_end_is_counted(quick):
    search = Search(worlds.waves(), "maml", 5, CPU, 3)
    search.attempt({"alpha": 1e4}, field_search.BETAS)
    assert all(found["meta-steps"] is None for found in search.tried.values())
    search.attempt({"alpha": 0.01}, field_search.BETAS)
    assert dict(search.best("meta-steps").options) == {"alpha": 0.01}
    for learner in search.trained(search.best("meta-steps"), 3, 2):
        assert all(math.isfinite(error) for error in search.judge(learner, field_search.TEST))


@pytest.mark.parametrize(("row", "after"), [("annealed", 4), ("annealed", 50), ("maml++", 4), ("annealed", 0)])
def test_equal_arithmetic_pays_each_phase_of_a_schedule_its_own_price(row, after):
    world = worlds.waves()
    cheap, dear = (
        next(one.prices(one.first())) for one in (Search(world, name, 1, CPU) for name in ("fomaml", "maml"))
    )
    search = Search(world, row, 1, CPU, operations=10 * dear)
    options = search.first() | {"after": after}
    count = search.ends(options)["arithmetic"]
    spent = lambda steps: min(steps, after) * cheap + max(0, steps - after) * dear  # noqa: E731
    # The weighted loss of MAML++ costs a few additions on top.
    assert abs(spent(count) - 10 * dear) <= 0.501 * (spent(count + 1) - spent(count))
    assert search.ends(options)["meta-steps"] == field_search.STEPS


def test_where_a_minimum_is_differentiated_it_is_said_how_near_it_is(quick, monkeypatch):
    monkeypatch.setitem(field_search.KNOBS, "imaml", {})
    monkeypatch.setattr(field_search, "TIMES", (1 / 3, 1))
    final = Final(Search(worlds.waves(), "imaml", 1, CPU, 2))
    final.search.attempt({"alpha": 0.01}, [1e-3])
    final.run()
    (left,) = (found["unsolved"] for found in final.report(2).values())
    assert len(left) == 2
    tasks = worlds.waves().judged[0].draw(50, torch.Generator().manual_seed(0))
    near = unsolved(worlds.arriving(worlds.waves().model(worlds.ROWS["imaml"], 0)), tasks).median()
    assert near < 0.1 < min(left)


def test_a_memory_is_priced_without_a_first_meta_step():
    search = Search(worlds.waves(), "moml", 1, CPU, operations=10**8)
    assert search.ends(search.first())["arithmetic"] > 1


def test_a_curve_along_the_way_is_that_of_a_shorter_run(quick):
    search = Search(worlds.waves(), "maml", 1, CPU)
    (_, early), (_, late) = (
        (end, Search.judge(search, learners[0], 11))
        for end, learners in search.train({"alpha": 0.01}, [1e-2], [0], [2, 5])
    )
    ((_, (short,)),) = search.train({"alpha": 0.01}, [1e-2], [0], [2])
    assert search.judge(short, 11) == pytest.approx(early, rel=1e-4)
    assert early != late


def test_pictures_are_of_three_sets_of_scripts(quick):
    world = worlds.pictures()
    learn, (choose, report) = world.training.pool, (on.pool for on in world.judged)
    scripts = [set(pool.alphabets) for pool in (learn, choose, report)]
    assert not any(a & b for a, b in itertools.combinations(scripts, 2))
    looks = [set(pool.looks.tolist()) for pool in (learn, choose, report)]
    assert not any(a & b for a, b in itertools.combinations(looks, 2))
    search = Search(world, "protomaml", 1, CPU, 2)
    search.attempt({"alpha": 0.1}, [1e-2])
    (found,) = search.tried.values()
    assert all(0 < share < 0.9 for share in found["meta-steps"])
