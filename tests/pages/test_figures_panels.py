"""Curves in panels: what is drawn is what was given, and wrong shapes are named."""

import io

import pytest
import torch
from PIL import Image

from mamlbook.pages import figures
from mamlbook.pages.figures.styling import COLOURS, drawing


def test_a_line_for_each_role_at_the_mean_of_its_seeds():
    rows = torch.tensor([[1.0, 2.0, 4.0], [3.0, 4.0, 8.0]])
    fig = figures.panels([0, 1, 10], {"a": {"maml": rows, "joint": rows[0]}, "b": {"maml": rows}}, "x", xscale="symlog")
    left, right = fig.axes
    assert [line.get_ydata().tolist() for line in left.lines] == [[2, 3, 6], [1, 2, 4]]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["MAML", "joint training"]
    assert [axis.get_title(loc="left") for axis in (left, right)] == ["a", "b"]


def test_a_single_line_needs_no_legend_and_each_panel_may_have_its_scale():
    one = {"maml": torch.tensor([1.0, 10.0])}
    fig = figures.panels([1.0, 2.0], {"a": one, "b": one}, "x", yscale=("log", "linear"))
    assert [axis.get_yscale() for axis in fig.axes] == ["log", "linear"]
    assert fig.axes[0].get_legend() is None


def test_lines_that_are_no_roles_are_in_ink_and_told_apart():
    lines = {name: torch.tensor([1.0, 2.0]) for name in ("one task", "25 tasks", "100 tasks")}
    (axis,) = figures.panels([1.0, 2.0], {"": lines}, "x").axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == list(lines)
    assert not {line.get_color() for line in axis.lines} & (set(COLOURS.values()) - {COLOURS["support"]})
    assert len({(line.get_linestyle(), line.get_marker()) for line in axis.lines}) == 3


def test_panels_with_other_lines_have_legends_of_their_own_below():
    one, two = torch.ones(2), torch.zeros(2)
    fig = figures.panels([1.0, 2.0], {"": {"a": one, "b": two}, "same": {"a": two}}, "x")
    assert [axis.get_legend() is not None for axis in fig.axes] == [True, False]
    fig = figures.panels([1.0, 2.0], {"": {"a": one, "b": two}, "other": {"a": one, "c": two}}, "x")
    fig.canvas.draw()
    said = [[text.get_text() for text in axis.get_legend().get_texts()] for axis in fig.axes]
    assert said == [["a", "b"], ["a", "c"]]
    for axis in fig.axes:
        assert axis.get_legend().get_window_extent().y1 < axis.xaxis.label.get_window_extent().y0


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"values: expected 2 numbers along the last axis.* got shape \(3,\)"):
        figures.panels([1.0, 2.0], {"": {"maml": torch.ones(3)}}, "x")
    with pytest.raises(ValueError, match="yscale: expected one scale for each of 1 panels, got 2"):
        figures.panels([1.0], {"": {"maml": torch.ones(1)}}, "x", yscale=("log", "log"))


def test_a_notebook_shows_a_picture_with_two_pixels_for_each_of_the_page(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata, raw: shown.append((data, metadata)))
    with drawing(4.0, 3.0) as (fig, axis):
        axis.plot([1.0, 2.0])
    fig._ipython_display_()
    ((data, told),) = shown
    picture, size = Image.open(io.BytesIO(data["image/png"])), told["image/png"]
    assert picture.width == pytest.approx(2 * size["width"], abs=1)
    assert picture.width > 1.9 * 4 * 96
    assert picture.height == pytest.approx(2 * size["height"], abs=1)
    assert round(picture.info["dpi"][0]) == 2 * 96  # the site shows it as wide as its inches are
