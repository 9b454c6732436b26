"""The race of a processor and a GPU: its command, its counts, and what is stored."""

import torch

from experiments import crossover as experiment
from experiments import race
from experiments.crossover import WAYS, WORKLOADS, Workload, compiled_kernels, counted
from mamlbook import Execution
from mamlbook.analysis import KernelCounter
from mamlbook.pages import recall

CPU = torch.device("cpu")


def kernels(workload: Workload, way: Execution) -> int:
    compute, tasks = way.of(workload.learner(CPU)), workload.drawn(CPU)
    with KernelCounter() as found:
        compute(tasks)
    return found.total


def test_the_law_of_one_by_one_is_what_is_counted():
    workload = Workload(tasks=4, width=8, steps=2)
    row = counted(workload)
    assert row["kernels"] == {way: kernels(workload, WAYS[way]) for way in ("one by one", "all at once")}
    assert (row["tasks"], row["width"], row["steps"]) == workload


def test_compiled_code_has_fewer_kernels_and_says_so_again():
    workload = Workload(tasks=2, width=4)
    code, tasks = WAYS["compiled"].of(workload.learner(CPU)), workload.drawn(CPU)
    first = compiled_kernels(code, tasks)
    assert 5 < first < kernels(workload, WAYS["all at once"])
    again = WAYS["compiled"].of(workload.learner(CPU))
    assert compiled_kernels(again, tasks) == first  # from the cache of the compiler


def test_the_command_writes_what_it_has_after_every_round(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(race, "LEAST", 0.001)
    monkeypatch.setattr(experiment, "WORKLOADS", [Workload(2, 4, 1), Workload(3, 4, 1)])
    monkeypatch.setattr(experiment, "COPIED", 1 << 12)
    monkeypatch.setattr(experiment, "gigaflops", lambda device: {"gflops": 1.0})
    written = []
    monkeypatch.setattr(experiment, "record", lambda name, result, folder: written.append((name, result["rounds"])))
    experiment.main(["--rounds", "3", "--compiled", "0", "--results", str(tmp_path)])
    assert written == [("crossover-cpu", 1), ("crossover-cpu", 2), ("crossover-cpu", 3)]


def test_when_the_minutes_are_over_one_round_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(race, "LEAST", 0.001)
    monkeypatch.setattr(experiment, "WORKLOADS", [Workload(2, 4, 1)])
    monkeypatch.setattr(experiment, "COPIED", 1 << 12)
    monkeypatch.setattr(experiment, "gigaflops", lambda device: {"gflops": 1.0})
    experiment.main(["--minutes", "0.0001", "--results", str(tmp_path)])
    assert str(tmp_path / "crossover-cpu.json") in capsys.readouterr().out
    (row,) = recall("crossover-cpu", folder=tmp_path)["workloads"]
    assert set(row["times"]) == set(row["kernels"]) == {"one by one", "all at once"}


def test_what_is_stored_is_of_the_workloads_and_counted_alike():
    stored = recall("crossover-cpu")["workloads"]
    assert [Workload(row["tasks"], row["width"], row["steps"]) for row in stored] == WORKLOADS
    for row, workload in zip(stored, WORKLOADS, strict=True):
        compiled = workload.steps <= experiment.LONGEST
        assert set(row["times"]) == set(row["kernels"]) == {"one by one", "all at once", *["compiled"] * compiled}
        for time in row["times"].values():
            low, high = time["quartiles"]
            assert 0 < low <= time["milliseconds"] <= high
    again = counted(WORKLOADS[0])
    assert {name: stored[0][name] for name in ("operations", "bytes")} == {
        name: again[name] for name in ("operations", "bytes")
    }
    assert again["kernels"].items() <= stored[0]["kernels"].items()


def test_all_axes_cross_in_the_first():
    for workload in WORKLOADS:
        assert sum(one != other for one, other in zip(workload, WORKLOADS[0], strict=True)) <= 1
