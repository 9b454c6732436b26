"""The pictures of a sweep: what they draw, and what they refuse."""

import pytest
import torch

from mamlbook.pages import figures

NAN = float("nan")


def words(ax) -> list[str]:
    """List the texts inside the axes."""
    return [text.get_text() for text in ax.texts]


def test_dots_draw_every_seed_and_the_mean():
    values = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([2.0, 2.0, 5.0])}
    (ax,) = figures.dots(values, "knob", "error", {2.5: "limit"}).axes
    drawn = {round(line.get_xdata()[0]): line.get_ydata() for line in ax.lines if line.get_marker() == "o"}
    assert {place: list(y) for place, y in drawn.items()} == {0: [1, 3], 1: [2, 2, 5]}
    assert [bar.get_segments()[0][0][1] for bar in ax.collections] == [2, 3]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]
    assert words(ax) == ["limit"]


def test_dots_say_where_a_seed_is_not_finite():
    (ax,) = figures.dots({"a": torch.tensor([1.0, NAN]), "b": torch.ones(2)}, "", "", logarithmic=True).axes
    assert words(ax) == ["not finite"]
    assert len(ax.lines) == 1
    assert ax.get_yscale() == "log"


def test_one_seed_is_enough():
    (ax,) = figures.dots({"a": torch.tensor([1.0])}, "", "").axes
    assert list(ax.lines[0].get_xdata()) == [0]


@pytest.mark.parametrize("values", [{}, {"a": torch.tensor([])}, {"a": torch.ones(2, 2)}])
def test_dots_need_a_row_of_seeds(values):
    with pytest.raises(ValueError, match=r"values: expected a tensor of shape \(seeds,\)"):
        figures.dots(values, "", "")
