"""The stored table as a page shows it: what it holds, its intervals, and what a missing cell says."""

import json

import pytest
import torch

from mamlbook import confidence
from mamlbook.pages import few_shot_table, recall_table
from mamlbook.pages.few_shot import numbers


@pytest.fixture
def stored(tmp_path):
    """Give a folder with a table: one row of three seeds, one of a single seed, one of none."""
    seeds = {str(seed): {"right": right} for seed, right in enumerate(("0a0b0c", "0b0b0d", "0p000a"))}
    cells = {
        "maml": {"seeds": seeds},
        "fomaml": {"seeds": {"0": {"right": "0p0p0p"}, "1": {"right": None}}},
        "boil": {"seeds": {"0": {"right": None}}},
    }
    missing = {"5w1s": {"fomaml": {"seeds": [2], "seconds": 61}, "boil": {"seeds": [1, 2], "seconds": 119}}}
    missing["20w1s"] = {"maml": {"seeds": [0, 1, 2], "seconds": None}}
    (tmp_path / "omniglot-table.json").write_text(json.dumps({"cells": {"5w1s": cells}, "missing": missing}))
    return tmp_path


def test_the_scores_of_every_task_come_back(stored):
    cells = recall_table(folder=stored)
    assert list(cells) == ["5w1s"]
    assert list(cells["5w1s"]) == ["maml", "fomaml"]
    maml = cells["5w1s"]["maml"]
    assert maml.right.tolist() == [[10, 11, 12], [11, 11, 13], [25, 0, 10]]
    assert maml.tasks.tolist() == pytest.approx([4 * 46 / 3, 4 * 22 / 3, 4 * 35 / 3])
    assert maml.seeds.tolist() == pytest.approx([4 * 11, 4 * 35 / 3, 4 * 35 / 3])
    assert numbers("").tolist() == []


def test_the_table_has_an_interval_or_says_why_not(stored):
    html = few_shot_table(
        ["maml", "fomaml", "boil"], ["5w1s", "20w1s"], {"paper": {"maml": "98.7"}}, folder=stored
    ).data
    mean, half = confidence(torch.tensor([44, 140 / 3, 140 / 3], dtype=torch.float64)[:, None])
    assert f"{mean.item():.1f} ± {half.item():.1f}<" in html
    assert "100.0, one seed" in html
    assert "missing (2 min)" in html
    assert ">missing<" in html
    assert html.count("98.7") == 1
    assert html.count("–") == 2


def test_without_a_result_the_reader_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no stored result omniglot-table"):
        recall_table(folder=tmp_path)
