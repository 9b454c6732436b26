"""What a page reads of the field: errors, paired differences from MAML on the same tasks, runs that failed."""

import json

import pytest
import torch

from mamlbook.pages import recall_field


def entry(errors, other=None, **settings):
    kept = {"meta_steps": 4, "beta": 0.01, **settings, "inner_steps": 2, "errors": errors, "curves": []}
    return {"budgets": {"meta-steps": kept, "arithmetic": kept | {"errors": other or errors, "meta_steps": 2}}}


@pytest.fixture
def folder(tmp_path):
    entries = {
        "maml, S = 1": entry([0.5, 0.6, 0.7], alpha=0.01),
        "maml, S = 5": entry([0.3, 0.3, 0.3], [0.9, 0.8, 0.7], alpha=0.03),
        "maml, tasks that come back, S = 1": entry([1.0, 1.0, 1.0], alpha=0.01),
        "reptile, S = 5": entry([0.4, None, 0.5], alpha=0.02),
        "kernel-ridge": entry([0.1, 0.2, 0.4], lam=0.1),
        "moml, S = 1": entry([0.8, 0.7, 0.9], rate=0.5),
        "robust, S = 16": entry([None, None, 0.9], rate=0.5),
    }
    (tmp_path / "field-waves.json").write_text(json.dumps({"entries": entries}))
    return tmp_path


def test_differences_are_from_maml_with_as_many_steps_on_the_same_tasks(folder):
    found = recall_field(folder=folder)
    torch.testing.assert_close(found["kernel-ridge"].differences, torch.tensor([-0.4, -0.4, -0.3]))
    torch.testing.assert_close(found["reptile, S = 5"].differences, torch.tensor([0.1, 0.2]))
    torch.testing.assert_close(found["moml, S = 1"].differences, torch.tensor([-0.2, -0.3, -0.1]))
    assert len(found["robust, S = 16"].differences) == 0
    same = recall_field(budget="arithmetic", folder=folder)["reptile, S = 5"]
    assert same.meta_steps == 2
    assert same.settings == {"beta": 0.01, "alpha": 0.02}
    torch.testing.assert_close(same.differences, torch.tensor([-0.5, -0.2]))


def test_an_entry_without_a_budget_is_left_out_of_it(folder):
    path = folder / "field-waves.json"
    stored = json.loads(path.read_text())
    del stored["entries"]["moml, S = 1"]["budgets"]["arithmetic"]
    path.write_text(json.dumps(stored))
    assert "moml, S = 1" in recall_field(folder=folder)
    assert "moml, S = 1" not in recall_field(budget="arithmetic", folder=folder)


def test_what_is_not_there_is_said(folder):
    with pytest.raises(ValueError, match=r"budget: expected one of .*arithmetic.* got 'time'"):
        recall_field(budget="time", folder=folder)
    with pytest.raises(FileNotFoundError, match="field-glyphs"):
        recall_field("glyphs", folder=folder)
