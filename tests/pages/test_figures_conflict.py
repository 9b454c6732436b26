"""The figure of two tasks in conflict: the arrows end where the gradients say, and the shade helps both."""

import pytest
import torch

from mamlbook.pages import figures
from mamlbook.weighting.gradients import conflict_averse

GRADIENTS = torch.tensor([[-4.0, 0.5], [1.5, 1.5]])


def drawn(gradients=GRADIENTS, c=0.6):
    (ax,) = figures.conflict(gradients, c).axes
    return ax


def test_arrows_end_where_the_tasks_the_mean_and_the_settlement_want_to_go():
    tips = [note.xy for note in drawn().texts if note.get_text() == ""]
    settled = -conflict_averse(GRADIENTS @ GRADIENTS.T, 0.6) @ GRADIENTS
    expected = [*(-GRADIENTS).tolist(), (-GRADIENTS.mean(0)).tolist(), settled.tolist()]
    assert torch.tensor(tips) == pytest.approx(torch.tensor(expected), abs=1e-5)
    assert [note.get_text() for note in drawn().texts if note.get_text()] == [
        "task 1",
        "task 2",
        "their mean",
        "conflict-averse",
    ]


def test_every_shaded_direction_helps_both():
    (wedge,) = drawn().patches
    corners = torch.tensor(wedge.get_xy(), dtype=torch.float32)
    assert (corners @ -GRADIENTS.T >= -1e-4).all()


def test_opposite_tasks_have_nothing_in_common():
    assert not drawn(torch.tensor([[1.0, 0.5], [-2.0, -1.0]])).patches


def test_two_gradients_in_the_plane_are_needed():
    with pytest.raises(ValueError, match=r"gradients: expected two of two entries, \(2, 2\), got \(3, 2\)"):
        figures.conflict(torch.ones(3, 2), 0.5)
