"""The table of networks and rows: the command, and what is stored against the zoo and its lists of refusals."""

import re

import pytest

from experiments import networks as experiment
from mamlbook import ALGORITHMS
from mamlbook.pages import recall
from zoo.cells import cell, tolerance
from zoo.networks import ZOO
from zoo.oracle import SETTINGS


def test_the_command_records_a_network_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(experiment, "SETTINGS", {row: SETTINGS[row] for row in ("maml", "anil", "cavia")})
    for names in (["output in the middle"], ["output in the middle", "boolean mask"]):
        experiment.main(["--networks", *names, "--results", str(tmp_path)])
    assert str(tmp_path / "networks.json") in capsys.readouterr().out
    runs = recall("networks", folder=tmp_path)["runs"]
    assert set(runs) == {"output in the middle", "boolean mask"}
    assert runs["output in the middle"]["needing"] == ["anil"]
    assert runs["output in the middle"]["cells"]["maml"] < 1e-12
    assert "'context'" in runs["output in the middle"]["cells"]["cavia"]
    assert all("mask" in said or "context" in said for said in runs["boolean mask"]["cells"].values())


def test_what_is_neither_exact_nor_refused_is_no_result(monkeypatch):
    monkeypatch.setattr(experiment, "SETTINGS", {"maml": {}})
    for found, message in (
        (experiment.cell("mlp", "maml")._replace(error=1e-3), "off by 0.001"),
        (experiment.cell("mlp", "maml")._replace(error=None, said=KeyError("k")), "expected a refusal"),
    ):
        monkeypatch.setattr(experiment, "cell", lambda name, row, found=found: found)
        with pytest.raises(AssertionError, match=message):
            experiment.measure("mlp")
        monkeypatch.undo()
        monkeypatch.setattr(experiment, "SETTINGS", {"maml": {}})


def test_what_is_stored_belongs_to_the_table():
    runs = recall("networks")["runs"]
    assert list(runs) == list(experiment.SHOWN)
    for name, run in runs.items():
        assert list(run["cells"]) == list(SETTINGS)
        assert set(run["cells"]) <= set(ALGORITHMS)
        assert (run["kind"], run["option"]) == experiment.SHOWN[name]
        assert run["about"] == ZOO[name].about
        assert set(run["needing"]) <= {row for row, found in run["cells"].items() if not isinstance(found, str)}


# One row of each kind of derivative, on every network that is stored.
AGAIN = ("maml", "anil", "kernel-ridge", "cavia")


@pytest.mark.parametrize("name", list(experiment.SHOWN))
def test_a_stored_cell_is_measured_again(name):
    for row in AGAIN:
        stored, found = recall("networks")["runs"][name]["cells"][row], cell(name, row)
        if isinstance(stored, str):
            assert re.sub(r"\s+", " ", str(found.said)) == re.sub(r"\s+", " ", stored)
        else:
            assert stored < tolerance(row)
            assert found.error < tolerance(row)
