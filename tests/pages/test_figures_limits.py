"""The pictures of sensitivity and of tracking: what they draw, and what has no place in them."""

import torch

from mamlbook.pages import figures


def test_sensitivity_draws_a_row_for_each_knob_and_names_what_is_not_finite():
    settings = {"1": torch.tensor([1.0, 2.0]), "2": torch.tensor([4.0, 6.0]), "3": torch.tensor([1.0, torch.nan])}
    (ax,) = figures.sensitivity({"alpha": settings, "beta": settings}, {"alpha": "1", "beta": "2"}, "error").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["alpha", "beta"]
    marks = [line for line in ax.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in marks] == [(1.5, 0), (5, 0), (1.5, 1), (5, 1)]
    assert [line.get_markerfacecolor() == "white" for line in marks] == [True, False, False, True]
    assert [text.get_text() for text in ax.texts] == ["1", "2", "not finite: 3"] * 2
    assert ax.get_xscale() == "log"


def test_tracking_draws_lines_and_the_dots_that_belong_to_them():
    q = torch.tensor([0.1, 0.2])
    lines = {"still": (q, q), "moving": (q, 2 * q)}
    (ax,) = figures.tracking(lines, {"moving": (q, 3 * q)}).axes
    still, moving, dots = ax.lines
    assert list(dots.get_ydata()) == (3 * q).tolist()
    assert dots.get_color() == moving.get_color() != still.get_color()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["still", "moving"]
