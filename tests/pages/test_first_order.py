"""What a page reads of MAML, FOMAML and Reptile: the runs that each column was chosen for, nan for what is missing."""

import re

import torch

from mamlbook.pages import first_order_table, recall, recall_first_order, record
from tools.book import ROOT
from tools.notebooks import load


def run(arrived, meta_steps, arithmetic, *losses):
    return {"arrived": arrived, "errors": {"meta-steps": meta_steps, "arithmetic": arithmetic}, "losses": [*losses]}


def test_each_column_is_of_the_runs_that_were_chosen_for_it(tmp_path):
    fast, far = [run(30, 0.5, 0.6, 2.0, 1.0), run(None, 0.4, None, 3.0, None)], [run(90, 0.3, 0.2), run(80, 0.3, None)]
    kept = {
        "gradients": 6,
        "chosen": {"soonest": "fast", "meta-steps": "fast", "arithmetic": "far"},
        "runs": {"fast": fast, "far": far},
        "search": [run([20, 30], [0.7, 0.9], [0.1, None]), run([9, None], [0.1, 0.3], [0.9, 0.7])],
    }
    record("first-order", {"contenders": {"fomaml, S = 5": kept}}, folder=tmp_path)
    ((name, found),) = recall_first_order(folder=tmp_path).items()
    nan = torch.nan
    assert name == "fomaml, S = 5"
    for value, expected in (
        (found.arrived, [[30, 180], [nan, nan]]),
        (found.errors, [[0.5, 0.2], [0.4, nan]]),
        (found.losses, [[2.0, 1.0], [3.0, nan]]),
        (found.validation, [0.2, 0.8]),
    ):
        torch.testing.assert_close(value, torch.tensor(expected), equal_nan=True, check_dtype=False)
    assert found.rates == kept["chosen"]


def test_a_table_pairs_the_seeds_that_have_both_numbers(tmp_path):
    def kept(*runs):
        chosen = dict.fromkeys(("soonest", "meta-steps", "arithmetic"), "all")
        return {"gradients": 2, "chosen": chosen, "runs": {"all": runs}, "search": [run([1], [1.0], [1.0])]}

    one = kept(run(10, 0.5, 0.6), run(20, 0.5, None), run(30, 0.5, 0.7))
    other = kept(run(9, 0.1, 0.1), run(19, 0.2, 0.2), run(None, 0.3, 0.3))
    record("first-order", {"contenders": {"one": one, "other": other}}, folder=tmp_path)
    shown = first_order_table(("one", "other"), folder=tmp_path).data
    first, second, apart = (re.findall(r"<td[^>]*>([^<]*)", line) for line in shown.split("<tr>")[2:])
    assert (first[0], second[0], apart[0]) == ("other", "one", "one, minus other")
    assert apart[1] == "1 ± 0 (2 of 3 seeds)"
    assert apart[2] == "2 ± 0 (2 of 3 seeds)"
    assert apart[3].startswith("0.300 ± 0.248")
    assert apart[4].startswith("0.450 ±")
    assert apart[4].endswith("(2 of 3 seeds)")


def test_what_is_stored_is_read():
    stored = recall("first-order")["contenders"]
    for name, found in recall_first_order().items():
        assert found.errors.shape == found.arrived.shape == (5, 2)
        assert found.rates == stored[name]["chosen"]


def test_the_pages_say_how_many_arrive_at_each_outer_rate():
    def arrivals(name: str, limit: int) -> dict[str, int]:
        runs = recall("first-order")["contenders"][name]["runs"]
        return {rates: sum((one["arrived"] or limit + 1) <= limit for one in runs[rates]) for rates in runs}

    fomaml, maml, reptile = (
        arrivals(name, limit) for name, limit in (("fomaml, S = 5", 200), ("maml, S = 5", 150), ("reptile, S = 5", 150))
    )
    assert fomaml == {"alpha 0.01, beta 0.01": 1, "alpha 0.01, beta 0.02": 3, "alpha 0.01, beta 0.04": 2}
    assert maml == {"alpha 0.02, beta 0.02": 4, "alpha 0.02, beta 0.04": 1}
    assert reptile == {"alpha 0.02, beta 0.04": 4, "alpha 0.02, beta 0.02": 3}
    first, second = (
        " ".join(cell.source for cell in load(ROOT / f"book/variants/{page}.ipynb").cells)
        for page in ("first-order", "reptile")
    )
    assert "one, three and two arrive within 200 meta-steps at the outer rates 0.01, 0.02 and 0.04" in first
    assert "four and one arrive within 150, at 0.02 and 0.04" in first
    assert "Reptile's are three and MAML's one" in second
