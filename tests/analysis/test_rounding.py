"""Rounded products: the rounding against Python's own, and what is rounded and what is not."""

import math

import pytest
import torch

from mamlbook.analysis.rounding import TF32, RoundedProducts, rounded


def by_python(value: float, bits: int) -> float:
    """The nearest number with so many bits behind the first, halves away from zero."""
    if value == 0 or not math.isfinite(value):
        return value
    mantissa, exponent = math.frexp(value)  # 0.5 <= |mantissa| < 1
    scaled = abs(mantissa) * 2 ** (bits + 1)
    return math.copysign(math.ldexp(math.floor(scaled + 0.5), exponent - bits - 1), value)


@pytest.mark.parametrize("bits", [1, 7, TF32, 22])
def test_rounding_is_to_the_nearest(bits):
    x = torch.cat([torch.randn(500), 1e-20 * torch.randn(50), 1e20 * torch.randn(50), torch.tensor([0.0, 1.0, -1.5])])
    found = rounded(x, bits)
    assert found.tolist() == [by_python(value, bits) for value in x.tolist()]
    assert torch.equal(rounded(found, bits), found)


def test_bfloat16_has_seven_bits_and_float32_all():
    x = torch.randn(1000)
    apart = rounded(x, 7) - x.bfloat16().float()
    assert apart.abs().max() == 0  # no halves among them
    assert rounded(x, 23) is x
    assert torch.equal(rounded(x.double(), 7), x.double())


def test_what_is_not_finite_stays():
    assert str(rounded(torch.tensor([math.inf, -math.inf, math.nan]), 7).tolist()) == "[inf, -inf, nan]"


@pytest.mark.parametrize(
    "product",
    [
        lambda a, b: a @ b,
        lambda a, b: torch.bmm(a[None], b[None])[0],
        lambda a, b: torch.addmm(torch.zeros(4), a, b),
        lambda a, b: torch.conv2d(a[:, None, None], b[None, :1, None]),
    ],
)
def test_operands_of_products_are_rounded_forward_and_backward(product):
    a, b = (torch.randn(4, 4, requires_grad=True) for _ in range(2))
    with RoundedProducts(7):
        found = product(a, b)
        gradients = torch.autograd.grad(found.square().sum() / 2, (a, b))
    low = [rounded(t.detach(), 7).requires_grad_() for t in (a, b)]
    exact = product(*low)
    torch.testing.assert_close(found, exact)
    torch.testing.assert_close(gradients, torch.autograd.grad(exact, low, rounded(found.detach(), 7)))


def test_the_rest_is_not_rounded():
    a = torch.randn(100)
    with RoundedProducts(1):
        assert torch.equal(a * a + a.sin().sum(), a * a + a.sin().sum())
        found = (a * a).sum()
    assert found == (a * a).sum()


@pytest.mark.parametrize("bits", [0, 24, 2.5])
def test_a_number_of_bits_that_float32_has_not_is_refused(bits):
    with pytest.raises(ValueError, match="bits: expected"):
        RoundedProducts(bits)
