"""The picture of the benchmark: what it shows of a stored result."""

import pytest

from mamlbook.pages.figures import race


def row(contender, milliseconds, ratio):
    return {"contender": contender, "milliseconds": milliseconds, "ratio": ratio, "quartiles": [milliseconds] * 2}


@pytest.fixture
def result():
    """Two workloads of 10 and 20 MFLOP on a machine of 100 GFLOP a second: at the limit 0.1 and 0.2 ms."""
    rows = [row("higher", 80.0, 8.0), row("mamlbook", 10.0, 1.0), {"contender": "broken", "wrong": "by far"}]
    one = {"network": "mlp", "method": "maml", "steps": 5, "tasks": 25, "queries": 15, "flops": 1e7, "rows": rows}
    two = one | {"network": "conv4-max", "steps": 1, "flops": 2e7}
    return {"limit": {"gflops": 100.0}, "workloads": [one | {"name": "a"}, two | {"name": "b"}]}


def test_every_workload_has_a_panel_with_the_fastest_on_top_and_the_limit(result):
    figure = race(result)
    assert len(figure.axes) == 2
    for ax, limit in zip(figure.axes, (0.1, 0.2), strict=True):
        assert [label.get_text() for label in ax.get_yticklabels()] == ["mamlbook", "higher"]
        assert ax.get_xscale() == "log"
        assert [text.get_text() for text in ax.texts] == ["1×", "8×"]
        low, high = ax.get_ylim()
        assert low > high
        assert limit in [line.get_xdata()[0] for line in ax.lines]
        assert ax.get_xlim()[0] < limit
    assert (
        figure.axes[1].get_title(loc="left") == "conv4, max-pooling, second order\n1 step, 25 tasks, 15 queries a class"
    )
    assert figure.axes[0].get_title(loc="left").endswith("\n5 steps, 25 tasks")


def test_names_pick_workloads_and_their_order(result):
    figure = race(result, ["b"])
    assert len(figure.axes) == 1
    with pytest.raises(ValueError, match="names: expected some of a, b, got c"):
        race(result, ["a", "c"])
    with pytest.raises(ValueError, match="got none"):
        race(result, [])
