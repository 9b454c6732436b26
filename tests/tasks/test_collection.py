"""The finite collection of sine waves: every wave its number, fresh points in every draw, no wave twice."""

import math

import pytest
import torch

from mamlbook.tasks import WaveCollection


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_draw_has_no_wave_twice_and_lies_on_the_waves_it_names():
    waves = WaveCollection(shots=3, queries=4)
    assert len(waves) == 25
    support, query, index = waves.draw(7, generator())
    assert support.x.shape == (7, 3, 1)
    assert query.y.shape == (7, 4, 1)
    assert len(index.unique()) == 7
    amplitude, phase = (1 + index // 5)[:, None, None], (index % 5)[:, None, None] * math.pi / 5
    for data in (support, query):
        torch.testing.assert_close(data.y, amplitude * torch.sin(data.x - phase), rtol=0, atol=1e-5)
    assert sorted(waves.draw(25, generator())[2].tolist()) == list(range(25))


def test_points_are_fresh_and_the_seed_decides():
    waves = WaveCollection((1.0,), (0.0, 1.0))
    source = generator()
    first, second = waves.draw(2, source), waves.draw(2, source)
    assert not torch.equal(first.support.x, second.support.x)
    assert torch.equal(first.support.x, waves.draw(2, generator()).support.x)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: WaveCollection(()), "amplitudes, phases: expected at least one each"),
        (lambda: WaveCollection(shots=0), "shots: expected a whole number of at least 1, got 0"),
        (lambda: WaveCollection(domain=(1, 0)), "domain: expected"),
        (lambda: WaveCollection().draw(26, generator()), "between 1 and the 25 waves"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_prints():
    assert repr(WaveCollection((1, 2), (0.0,))) == "WaveCollection((1, 2), (0), shots=10, queries=10)"
