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


def test_heat_writes_every_number_and_frames_equal_settings():
    table = torch.tensor([[316.0, 0.6012, 0.2], [2.0, NAN, 0.0456]])
    (ax,) = figures.heat(table, ["1", "10"], ["0", "1", "10"], "trained", "tested", "error").axes
    assert words(ax) == ["316", "0.601", "0.200", "2.00", "–", "0.0456"]
    assert [(box.get_x() + 0.47, box.get_y() + 0.45) for box in ax.patches] == [(1, 0), (2, 1)]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("trained", "tested")


def test_numbers_are_light_on_dark_cells_only():
    (ax,) = figures.heat(torch.tensor([[0.1, 10.0]]), ["1"], ["1", "2"], "", "", "").axes
    assert [text.get_color() for text in ax.texts] == ["#1F2328", "white"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (torch.ones(2, 1), r"expected the shape \(1, 2\) of its labels, got \(2, 1\)"),
        (torch.tensor([[0.0, 1.0]]), "expected positive numbers"),
        (torch.tensor([[NAN, NAN]]), "expected positive numbers"),
    ],
)
def test_heat_refuses_what_it_cannot_shade(table, message):
    with pytest.raises(ValueError, match=message):
        figures.heat(table, ["1"], ["1", "2"], "", "", "")
