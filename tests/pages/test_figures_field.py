"""The figure of all algorithms: what is drawn, and what is only counted."""

import pytest
import torch

from mamlbook.pages import figures

NAN = float("nan")
GROUPS = {
    "one": {"maml": torch.tensor([0.2, 0.3, 0.4]), "fomaml": torch.tensor([0.5, NAN, 0.7])},
    "two": {"other": torch.tensor([0.1, 9.0, 0.3]), "wild": torch.tensor([NAN, NAN, NAN])},
}


@pytest.fixture
def axes():
    (ax,) = figures.field(GROUPS, "error", (0.05, 5.0), "maml").axes
    return ax


def test_every_row_has_its_name_and_every_group_its_heading(axes):
    assert [label.get_text() for label in axes.get_yticklabels()] == ["maml", "fomaml", "other", "wild"]
    assert {"one", "two"} <= {text.get_text() for text in axes.texts}


def test_what_is_not_shown_is_counted(axes):
    assert [t.get_text() for t in axes.texts if " of " in t.get_text()] == ["2 of 3", "2 of 3", "0 of 3"]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    shown = [sorted(line.get_xdata().tolist()) for line in dots]
    assert [len(values) for values in shown] == [3, 2, 2, 0]
    assert shown[2] == pytest.approx([0.1, 0.3])


def test_a_line_stands_at_the_mean_of_the_reference(axes):
    assert axes.lines[0].get_xdata() == pytest.approx([0.3, 0.3])


def test_an_unknown_reference():
    with pytest.raises(ValueError, match="reference: expected one of"):
        figures.field(GROUPS, "error", (0.05, 5.0), "nobody")
