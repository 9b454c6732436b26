"""Stored results: complete, readable, and never half written."""

import json

import pytest
import torch

from mamlbook import mlp
from mamlbook.pages import environment, load_theta, recall, recall_chosen, recall_sweep, recall_weights, record
from mamlbook.pages.figures import recall_times


def test_what_is_recorded_is_recalled(tmp_path):
    net = mlp(2, 3, 1, seed=3)
    path = record("name", {"accuracy": 98.5, "text": "± λ"}, tuple(net.parameters()), folder=tmp_path)
    assert path == tmp_path / "name.json"
    assert recall("name", folder=tmp_path) == {"accuracy": 98.5, "text": "± λ"}
    loaded = load_theta(mlp(2, 3, 1, seed=4), recall_weights("name", folder=tmp_path))
    for stored, weight in zip(loaded.parameters(), net.parameters(), strict=True):
        assert torch.equal(stored, weight.half().float())


def test_more_than_ten_tensors_keep_their_order(tmp_path):
    theta = tuple(torch.full((1,), float(number)) for number in range(120))
    record("many", {}, theta, folder=tmp_path)
    assert [t.item() for t in recall_weights("many", folder=tmp_path)] == list(range(120))


def test_a_failure_leaves_nothing_behind(tmp_path):
    record("name", {"old": 1}, folder=tmp_path)
    with pytest.raises(TypeError):
        record("name", {"bad": object()}, folder=tmp_path)
    assert recall("name", folder=tmp_path) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["name.json"]


def test_a_missing_result_names_those_that_exist(tmp_path):
    record("here", {}, folder=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no stored result gone.json; there are: here"):
        recall("gone", folder=tmp_path)


def test_a_sweep_has_nan_where_a_run_became_infinite(tmp_path):
    runs = {"wild": {"error": {"0": {"new": [2.0, None]}, "1": {"new": [3.0, 1.0]}}}}
    record("sweep-knob", {"runs": runs}, folder=tmp_path)
    wild = recall_sweep("knob", folder=tmp_path)["wild"]
    assert torch.equal(wild.isnan(), torch.tensor([[False, True], [False, False]]))
    assert wild[1].tolist() == [3.0, 1.0]


def test_times_are_recalled_with_their_limit(tmp_path):
    quick = {"contender": "quick", "milliseconds": 2.0, "first_call_seconds": 9.0}
    rows = [quick, {"contender": "broken", "wrong": "by far"}]
    workload = {"name": "sine", "flops": 1e8, "rows": rows}
    record("race", {"limit": {"gflops": 100.0}, "workloads": [workload]}, folder=tmp_path)
    assert recall_times(name="race", folder=tmp_path) == {"sine": {"limit": 1.0, "quick": 2.0}}
    assert recall_times("first_call_seconds", name="race", folder=tmp_path)["sine"]["quick"] == 9.0


def test_weights_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected 13 weights"):
        load_theta(mlp(2, 3, 1), (torch.zeros(3, 2),))


def test_an_error_while_writing_leaves_the_stored_weights_as_they_were(tmp_path, monkeypatch):
    def broken(file, **arrays):
        file.write(b"half")
        raise OSError("no space left")

    record("name", {"old": 1}, (torch.ones(2),), folder=tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    monkeypatch.setattr("numpy.savez_compressed", broken)
    with pytest.raises(OSError, match="no space left"):
        record("name", {"new": 1}, (torch.zeros(2),), folder=tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_the_environment_says_what_a_number_depends_on(monkeypatch):
    # The wheel's metadata says 2.13.0 for every build.
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")
    found = environment(torch.device("cpu"))
    assert found["device"].startswith("cpu")
    assert found["versions"]["torch"] == "2.13.0+cu130"
    assert found["versions"]["higher"] == "0.2.1"
    json.dumps(found)


def test_a_comparison_is_recalled_by_what_chose_the_settings_and_a_failed_training_is_nan(tmp_path):
    errors = {"mean": [[1.0, 2.0], None], "worst": [[3.0, None], [5.0, 6.0]]}
    record("compared", {"runs": {"maml": {"errors": errors}}}, folder=tmp_path)
    nan = float("nan")
    for criterion, expected in (("mean", [[1.0, 2.0], [nan, nan]]), ("worst", [[3.0, nan], [5.0, 6.0]])):
        found = recall_chosen("compared", criterion, folder=tmp_path)
        torch.testing.assert_close(found["maml"], torch.tensor(expected), equal_nan=True)
