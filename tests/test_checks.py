"""Numbers as arguments: what counts as one, and what is said of the rest."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from mamlbook.checks import non_negative, positive, whole_number


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_a_whole_number_of_any_library_becomes_an_int(value):
    number = whole_number("steps", value)
    assert number == 3
    assert type(number) is int


@pytest.mark.parametrize(
    "value",
    [2.0, "2", None, True, np.True_, np.float64(2), torch.tensor(2.0), torch.tensor(True), torch.tensor([2, 3])],
)
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ValueError, match=r"steps: expected a whole number of steps of at least 0, or 'all', got "):
        whole_number("steps", value, 0, "a whole number of steps", ", or 'all'")


def test_a_whole_number_may_be_too_small():
    assert whole_number("steps", 0, least=0) == 0
    with pytest.raises(ValueError, match="steps: expected a whole number of at least 1, got 0"):
        whole_number("steps", 0)


@pytest.mark.parametrize("check", [non_negative, positive])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, 2),
        (0.5, 0.5),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.array(0.5), 0.5),
        (torch.tensor(0.5), 0.5),
        (Fraction(1, 2), 0.5),
    ],
)
def test_a_number_of_any_library_is_one(check, value, expected):
    number = check("alpha", "inner rate", value)
    assert number == expected
    assert not isinstance(number, np.generic | np.ndarray | torch.Tensor)


@pytest.mark.parametrize("check", [non_negative, positive])
@pytest.mark.parametrize(
    "value",
    [-1, math.nan, math.inf, "0.1", None, True, np.True_, 1j, [0.1], np.array([0.1]), torch.tensor([0.1]), np.nan],
)
def test_what_is_no_finite_number_is_refused(check, value):
    with pytest.raises(ValueError, match=r"alpha: expected a finite inner rate .* or a function, got "):
        check("alpha", "inner rate", value, " or a function")


def test_zero_is_not_positive():
    assert non_negative("lam", "pull", 0) == 0
    with pytest.raises(ValueError, match="lam: expected a finite pull above 0, got 0"):
        positive("lam", "pull", 0)


@pytest.mark.parametrize("check", [lambda v: non_negative("alpha", "rate", v), lambda v: whole_number("alpha", v)])
def test_a_tensor_that_waits_for_a_gradient_is_refused(check):
    with pytest.raises(ValueError, match=r"alpha: expected a number, got a tensor that requires a gradient"):
        check(torch.nn.Parameter(torch.tensor(0.1)))
