"""The stored table as a page shows it: what it holds, its intervals, and what a missing cell says."""

import json
import re

import pytest
import torch

from experiments.omniglot_table import TRAININGS, Row
from mamlbook import confidence
from mamlbook.pages import few_shot_table, recall_table
from mamlbook.pages.few_shot import numbers
from tools.book import ROOT
from tools.notebooks import load


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


PAGES = ["few-shot-images", "baselines"]
FREEDOM = {3: 4.302653}  # Student's 97.5 % quantile for three trainings, from a table of it


def row_of(page: str, claim: str) -> str:
    """The row of a claim in the table of a page."""
    text = "\n".join(cell.source for cell in load(ROOT / f"book/practice/{page}.ipynb").cells)
    (row,) = re.findall(rf"^\| {re.escape(claim)} \|.*$", text, re.MULTILINE)
    return row


def test_two_pages_say_the_same_of_pre_training_and_the_stored_trainings_say_so():
    rows = [row_of(page, "MAML beats a pre-trained backbone.") for page in PAGES]
    assert rows[0] == rows[1]
    assert "**not settled**" in rows[0]
    cells = recall_table()["5w1s"]
    for name in ("nearest mean", "linear head", "fine-tuned"):
        less = [a - b for a, b in zip(cells[f"pre-training, {name}"].seeds, cells["maml"].seeds, strict=True)]
        mean = sum(less) / len(less)
        half = FREEDOM[len(less)] * (sum((x - mean) ** 2 for x in less) / (len(less) - 1) / len(less)) ** 0.5
        assert f"{name} −{-mean:.1f} ± {half:.1f}" in rows[0]
        assert (mean + half < 0) == (name == "fine-tuned"), "whose interval excludes zero"


def test_the_page_says_how_many_inner_steps_each_row_takes_in_training():
    words = {"one": 1, "three": 3, "five": 5}
    text = " ".join(cell.source for cell in load(ROOT / "book/practice/few-shot-images.ipynb").cells)
    (said,) = re.findall(r"In training (.*?)\. MAML\+\+ is first order for its first (\d+) .*? first (\d+)\.", text)
    takes = {}
    for together, count in re.findall(
        r"(.+?) (one|three|five)\b,? ?", said[0].lower().replace(" take ", " ").replace(" inner step", "")
    ):
        takes |= dict.fromkeys(re.split(r", | and ", together), words[count])
    rows = {name: training.learner.options for name, training in TRAININGS.items() if isinstance(training.learner, Row)}
    assert takes == {name: options["steps"] for name, options in rows.items() if "steps" in options}
    schedule = rows["maml++"]
    assert said[1:] == (str(schedule["after"]), str(schedule["anneal"]))
    assert {name for name, steps in takes.items() if steps != takes["maml"]} == {"anil", "maml++", "reptile", "imaml"}
