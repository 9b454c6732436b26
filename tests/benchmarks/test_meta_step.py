"""The benchmark of one meta-gradient: what it checks, what it survives, what it stores."""

import json
import os

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import limit, meta_step
from benchmarks.command import known
from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.contenders.mamlbook import eager
from benchmarks.gradient_race import SINGLE, SINGLE_CONVOLUTIONAL, GradientRace
from benchmarks.job import Workload, distance
from benchmarks.limit import gigaflops
from benchmarks.race import TimeUp
from benchmarks.reference import reference
from benchmarks.report import block, merged, table
from benchmarks.worker import Gradient
from benchmarks.workers import Missing, Pace, Runner, Worker, plain, quartiles, ratio, rounds_that_fit
from benchmarks.workloads import GROUPS, chosen, job
from mamlbook.pages import recall

FAKES = "tests.benchmarks.fakes"
WORKLOADS = chosen()
ONCE = Pace(block=0.2, untimed=1, trial=1)


def fake(name):
    return Contender(f"{FAKES}:{name}")


def worker_of(name, folder, one_core=False):
    return Worker(f"{FAKES}:{name}", folder / "log", folder, body="gradient", one_core=one_core)


# ---------------------------------------------------------------- what is right


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_the_reference_is_this_packages_gradient(workload):
    """Two derivations of it, in double precision: a loop over tasks on networks written out, and the package."""
    wanted = job(workload)[1].first(2, "float64")
    gradient, loss = eager(wanted)()
    expected = reference(wanted)
    assert distance([g.numpy() for g in gradient], expected.gradient) < 1e-10
    assert loss.item() == pytest.approx(expected.loss, rel=1e-10)


def test_the_distance_is_relative_and_knows_shapes():
    one, two = (np.array([3.0, 0.0]), np.array([[4.0]])), (np.array([3.0, 0.0]), np.array([[4.5]]))
    assert distance(two, one) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="gradient: expected shapes"):
        distance(one[:1], one)


def test_operations_are_counted_on_the_loop():
    """One task, one layer of gradients: ten support points forward and back, twice, and ten query points."""
    counted = reference(job(Workload("", "mlp", "reptile", 1, 1, queries=10))[1]).operations
    weights = 40 + 1600 + 40
    assert counted == 2 * 10 * (weights + weights + (weights - 40) + weights)


@pytest.mark.parametrize("best", [torch.mm, torch.nn.functional.conv2d])
def test_the_limit_is_the_best_rate_of_all_that_is_tried(monkeypatch, best):
    def rate(operations, step, device):
        with FlopCounterMode(display=False) as counter:
            step()
        assert operations == counter.get_total_flops()
        return 2e-9 * operations if step.func is best else 0.0

    monkeypatch.setattr(limit, "_rate", rate)
    products, convolutions = (34.4, "products of 2048 x 2048"), (7.4, "convolutions of 128 channels")
    gflops, of = products if best is torch.mm else convolutions
    assert gigaflops() == {"gflops": gflops, "of": of}


# ---------------------------------------------------------------- the harness, in real processes


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Run the command twice: three contenders on one workload, then one of them on another."""
    folder = tmp_path_factory.mktemp("results")
    often = ["--rounds", "2", "--seconds", "0.1", "--results", str(folder)]
    names = "mamlbook,higher,torch.func"
    meta_step.main(["--workloads", "sine-1", "--contenders", names, "--figure", str(folder / "race.svg"), *often])
    first = json.loads((folder / "meta-step.json").read_text())
    meta_step.main(["--workloads", "reptile-5", "--contenders", "mamlbook", *often])
    return folder, first, json.loads((folder / "meta-step.json").read_text())


def test_every_contender_is_checked_and_timed(measured):
    folder, first, _ = measured
    (workload,) = first["workloads"]
    assert {row["contender"] for row in workload["rows"]} == {"mamlbook", "higher", "torch.func"}
    assert workload["rounds"] == 2
    assert first["missing"] == []
    require_form(first)
    assert all(row["error"] < 1e-6 for row in workload["rows"])
    assert (folder / "race.svg").read_text().startswith("<?xml")


def test_a_later_run_replaces_its_own_workloads_only(measured):
    _, first, second = measured
    assert [workload["name"] for workload in second["workloads"]] == ["sine-1", "reptile-5"]
    assert second["workloads"][0] == first["workloads"][0]
    require_form(second)


def test_an_interrupted_run_keeps_what_it_has(measured, monkeypatch, tmp_path):
    _, first, _ = measured
    answers = iter([(first["workloads"][0], [])])

    def run(race, workload):
        for answer in answers:
            return answer
        raise KeyboardInterrupt

    monkeypatch.setattr(GradientRace, "run", run)
    meta_step.main(["--workloads", "sine-1,sine-5", "--results", str(tmp_path)])
    assert json.loads((tmp_path / "meta-step.json").read_text())["workloads"] == first["workloads"]


def test_a_run_out_of_time_keeps_what_it_has_finished(measured, monkeypatch, tmp_path, capsys):
    _, first, _ = measured
    words = ["--workloads", "sine-1,sine-5,sine-10", "--minutes", "1e-9", "--results", str(tmp_path)]
    with pytest.raises(SystemExit, match="no workload was finished"):
        meta_step.main(words)
    assert "time is up, so these have no result: sine-1, sine-5, sine-10" in capsys.readouterr().out
    own, answers = GradientRace.run, iter([(first["workloads"][0], [])])
    monkeypatch.setattr(GradientRace, "run", lambda race, workload: next(answers, None) or own(race, workload))
    meta_step.main(words)
    assert "time is up, so these have no result: sine-5, sine-10" in capsys.readouterr().out
    assert json.loads((tmp_path / "meta-step.json").read_text())["workloads"] == first["workloads"]


def test_who_is_cut_short_by_the_clock_is_not_to_blame(tmp_path):
    said = []
    with (
        GradientRace({"hangs": fake("hangs")}, tmp_path, minutes=1 / 60, say=said.append) as race,
        pytest.raises(TimeUp),
    ):
        race.run(Workload("tiny", "mlp", "maml", 1, 2))
    assert said == []


def test_a_reason_names_no_folder_of_this_machine():
    assert plain("OSError: /a/b.c/d-e.so: undefined symbol") == "OSError: d-e.so: undefined symbol"
    assert plain("half of 1/2 and/or less") == "half of 1/2 and/or less"


def test_what_goes_wrong_is_said_and_ends_nothing(tmp_path):
    names = ["wrong", "misshapen", "raises", "dies", "dies_later", "hangs"]
    contenders = {name: fake(name) for name in names} | {"absent": Contender("nowhere.to_be:found")}
    said = []
    with GradientRace(contenders, tmp_path, patience=4.0, say=said.append) as race:
        result, missing = race.run(Workload("tiny", "mlp", "maml", 1, 2))
        assert all(row.keys() == {"contender", "wrong"} for row in result["rows"])
        assert "from the reference in float32, more than" in result["rows"][0]["wrong"]
        assert "gradient: expected shapes" in result["rows"][1]["wrong"]
        reasons = {entry["contender"]: entry["reason"] for entry in missing}
        assert reasons["raises"] == "ArithmeticError: no such number"
        assert reasons["dies"] == "its process ended with code 3"
        assert reasons["hangs"] == "took more than 4 s"
        assert reasons["absent"].startswith("ModuleNotFoundError: No module named 'nowhere'")
        assert {entry["workloads"][0] for entry in missing} == {"tiny"}
        assert set(race.workers) == {"wrong", "misshapen", "raises", "dies_later", "absent"}
    assert not race.workers


def test_who_dies_while_it_is_timed_is_missing(tmp_path):
    with GradientRace({"dies_later": fake("dies_later")}, tmp_path, patience=20.0, say=lambda text: None) as race:
        worker = race.workers["dies_later"] = worker_of("dies_later", tmp_path)
        worker.ask("first", job(Workload("", "mlp", "maml", 1, 1))[1], seconds=20)
        runner, missing = Runner("dies_later", worker, ONCE), {}
        assert race._timed([runner], missing) == []
        assert "ended with code 5" in missing["dies_later"]
        with pytest.raises(Missing):
            worker.ask("repeat", 1, seconds=20)


@pytest.mark.parametrize("one_core", [True, False])
def test_a_contender_has_one_core_where_it_is_to_have_one_thread(tmp_path, one_core):
    worker = worker_of("cores", tmp_path, one_core)
    answer = worker.ask("first", job(Workload("", "mlp", "maml", 1, 1))[1], seconds=20)
    worker.close()
    assert answer["loss"] == (1 if one_core else len(os.sched_getaffinity(0)))


def test_memory_is_what_a_step_has_in_use_at_most():
    body = Gradient(f"{FAKES}:greedy")
    body.first(job(Workload("", "mlp", "maml", 1, 1))[1])
    assert body.bytes() == pytest.approx(100 * 2**20, rel=0.1)


# ---------------------------------------------------------------- the numbers


def test_ratios_are_taken_round_by_round():
    """A machine that is ten times as slow in one round changes no ratio."""
    fast, slow = (Runner(name, None, ONCE, wall=wall) for name, wall in (("a", [1, 10, 1]), ("b", [3, 30, 3])))
    assert ratio(slow, fast) == 3
    assert quartiles([1.0, 2.0, 3.0]) == (1.5, 2.0, 2.5)
    assert quartiles([7.0]) == (7.0, 7.0, 7.0)


def test_a_call_that_does_not_count_precedes_every_block():
    asked = []

    class Answers:
        def ask(self, name, times, seconds):
            asked.append(times)
            return 0.5 * len(asked), 0.25 * len(asked)

    runner = Runner("a", Answers(), ONCE, times=4)
    runner.block(1.0)
    runner.block(1.0)
    assert asked == [1, 4, 1, 4]
    assert (runner.wall, runner.cpu) == ([0.25, 0.5], [0.125, 0.25])


def test_rounds_are_as_many_as_fit_but_three():
    runners = [Runner("a", None, ONCE, times=2, wall=[0.25]), Runner("b", None, ONCE, wall=[0.5])]
    assert [rounds_that_fit(runners, 11, seconds, 3) for seconds in (100, 14, 0.1)] == [11, 8, 3]
    assert rounds_that_fit(runners, 2, 0.1, 3) == 2


def test_missing_goes_with_its_workloads():
    old = {
        "device": "cpu",
        "limit": {"gflops": 90.0},
        "workloads": [{"name": "a", "rows": 1}, {"name": "b", "rows": 1}],
        "missing": [{"contender": "x", "reason": "no", "workloads": ["a", "b"]}],
    }
    new = {
        "device": "cpu",
        "limit": {"gflops": 80.0},
        "workloads": [{"name": "b", "rows": 2}, {"name": "c", "rows": 2}],
        "missing": [],
    }
    both = merged(old, new)
    assert both["limit"] == {"gflops": 90.0}
    assert merged(old, new | {"device": "another"})["limit"] == {"gflops": 80.0}
    assert [(workload["name"], workload["rows"]) for workload in both["workloads"]] == [("a", 1), ("b", 2), ("c", 2)]
    assert both["missing"] == [{"contender": "x", "reason": "no", "workloads": ["a"]}]
    assert merged(None, new) == new


def test_the_table_leaves_out_empty_columns():
    assert table([("a", "b", "c"), ("1", "", "30")]) == ["| a | c  |", "| - | -- |", "| 1 | 30 |"]


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="workloads: expected some of sine, first-order"):
        chosen(["sine", "cosine"])
    with pytest.raises(ValueError, match="contenders: expected some of mamlbook"):
        known(["tensorflow"], CONTENDERS)


def test_groups_and_names_choose_workloads():
    assert [workload.name for workload in chosen(["reptile", "sine-5", "sine-5"])] == ["reptile-5", "sine-5"]
    assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)


def test_pictures_have_as_many_queries_as_the_workload_says():
    one, fifteen = (job(GROUPS[group][0])[1] for group in ("omniglot", "omniglot-15"))
    assert one.support.y.shape == fifteen.support.y.shape == one.query.y.shape == (16, 5)
    assert fifteen.query.y.shape == (16, 75)
    assert np.array_equal(fifteen.query.y[0], np.repeat(np.arange(5), 15))


def test_who_is_asked_for_what():
    named = {workload.name: workload for workload in WORKLOADS}

    def asked(workload):
        return {name for name, contender in CONTENDERS.items() if contender.meets(named[workload])}

    assert asked("sine-5") >= {"mamlbook", "mamlbook compiled", "higher", "learn2learn", "torchopt", "JAX"}
    assert "higher" in asked("steps-64") - asked("tasks-512")
    assert "JAX im2col" in asked("conv4-max-5") - asked("sine-5")
    assert "torchopt" not in asked("reptile-5") | asked("first-order-5") | asked("tasks-8")
    compiled = CONTENDERS["torch.func compiled"]
    assert [compiled.excused(named[name]) for name in ("sine-10", "steps-16", "conv4-max-1")] == [False, True, True]
    assert not any(each.meets(w) and each.excused(w) for each in CONTENDERS.values() for w in WORKLOADS)


def test_the_network_of_a_contender_has_the_jobs_weights():
    """PyTorch's own batch norm in its place computes the same as the package's."""
    from benchmarks.contenders.common import network

    wanted = job(GROUPS["omniglot"][0])[1].first(1, "float64")
    x = torch.from_numpy(wanted.support.x[0])
    torch.testing.assert_close(network(wanted)(x), network(wanted, native=True)(x))
    for weight, given in zip(network(wanted, native=True).parameters(), wanted.theta, strict=True):
        assert np.array_equal(weight.detach().numpy(), given)


# ---------------------------------------------------------------- what is stored


def require_form(result):
    """Hold a result to what the pages read from it."""
    assert result["threads"] == 1
    assert result["limit"]["gflops"] > 0
    assert set(result) >= {"device", "versions", "missing", "workloads"}
    for entry in result["missing"]:
        assert entry["contender"] in CONTENDERS
        assert "\n" not in entry["reason"]
        assert entry["workloads"]
    for workload in result["workloads"]:
        assert workload["flops"] > 0
        assert block(workload, result["limit"]["gflops"]).count("\n") == len(workload["rows"]) + 4
        own = [row for row in workload["rows"] if row["contender"].startswith("mamlbook")]
        # By the medians; the median of ratios by rounds may see two that are close together the other way round.
        assert min(own, key=lambda row: row["milliseconds"])["ratio"] == 1
        for row in workload["rows"]:
            low, high = row["quartiles"]
            assert 0 < low <= row["milliseconds"] <= high
            assert row["first_call_seconds"] > 0
            assert row["contender"] in CONTENDERS


@pytest.mark.parametrize(
    ("name", "left"), [("meta-step", set()), ("meta-step-again", {each.name for each in GROUPS["omniglot-15"]})]
)
def test_what_is_stored_is_complete_and_right(name, left):
    stored = recall(name)
    require_form(stored)
    named = {workload["name"]: workload for workload in stored["workloads"]}
    assert set(named) == {workload.name for workload in WORKLOADS} - left
    for workload in (each for each in WORKLOADS if each.name in named):
        kept = named[workload.name]
        decided = ("network", "method", "steps", "tasks", "queries")
        assert [kept[key] for key in decided] == [getattr(workload, key) for key in decided]
        timed = {row["contender"]: row for row in kept["rows"]}
        absent = {entry["contender"] for entry in stored["missing"] if workload.name in entry["workloads"]}
        asked = {name for name, each in CONTENDERS.items() if each.meets(workload) or each.excused(workload)}
        assert set(timed) | absent == asked
        for row in timed.values():
            assert row["error"] < (SINGLE_CONVOLUTIONAL if workload.convolutional else SINGLE)
            assert row.get("double_error", 0) < 1e-8
            assert workload.kind != "memory" or row["bytes"] > 0
