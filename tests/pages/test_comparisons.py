"""Tables of stored comparisons: paired by seed, at the steps that were chosen, without the seeds that were lost."""

import pytest
import torch

from mamlbook.pages import paired, recall_errors, record


@pytest.fixture
def folder(tmp_path):
    def run(step, *means):
        return {"chosen": {"inner_steps": step}, "error": {str(i): {"mean": mean} for i, mean in enumerate(means)}}

    methods = {
        "maml": run(1, [9.0, 1.0], [9.0, 2.0], [9.0, 4.0]),
        "anil": run(0, [1.5, 9.0], [2.5, 9.0], [4.5, 9.0]),
        "boil": run(1, [9.0, 2.0], [9.0, 3.0], [9.0, None]),
    }
    record("some", {"methods": methods}, folder=tmp_path)
    return tmp_path


def test_errors_are_those_at_the_chosen_step(folder):
    errors = recall_errors("some", folder=folder)
    assert errors["maml"].tolist() == [1.0, 2.0, 4.0]
    assert errors["anil"].tolist() == [1.5, 2.5, 4.5]
    assert errors["boil"].isnan().tolist() == [False, False, True]


def test_differences_are_taken_seed_by_seed(folder):
    html = paired({"a title": "some"}, "anil", folder=folder).data
    assert "anil minus maml" in html
    # Every seed is half above, however far the seeds are apart.
    assert ">a title</td><td>2.333 ± 3.795</td><td>0.500 ± 0.000</td>" in html


def test_a_lost_seed_is_left_out_and_counted(folder):
    assert "<td>1.00 ± 0.00 (2 of 3 seeds)</td>" in paired({"": "some"}, "boil", digits=2, folder=folder).data


def test_the_interval_is_students(folder):
    half = 4.3027 * torch.tensor([1.0, 2.0, 4.0]).std() / 3**0.5
    assert f"2.333 ± {half:.3f}" in paired({"": "some"}, folder=folder).data
